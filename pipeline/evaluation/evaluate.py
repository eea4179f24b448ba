"""Embeds the questions of a split and measures how well their similarity tells duplicates from others."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline.embedding_models import Device
from pipeline.errors import PipelineError
from pipeline.evaluation.metrics import SimilarityMetrics, embedding_metrics
from pipeline.progress import Advanced, OnProgress, ignore
from pipeline.question_pairs.schema import PairTable

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_REPORTED_EVERY = 2_048
"""Questions embedded between two progress events."""


class EvaluationOptions(BaseModel):
    """How questions are embedded for a report. It changes the speed, not the result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Device = Field(default="auto", description="Where to embed: `auto` takes a GPU where there is one.")
    encode_batch_size: int = Field(default=64, ge=1, le=65_536, description="Questions in one forward pass.")


def embed_questions(
    model: "SentenceTransformer",
    questions: list[str],
    batch_size: int,
    on_progress: OnProgress = ignore,
    stage: str = "embedding questions",
) -> np.ndarray:
    """Embed questions in fp32, without padding where the model can do without.

    Returns:
        float32 of shape (len(questions), dimensions), in the order of `questions`.
    """
    from pipeline.packing import why_not_packed

    if not questions:
        raise PipelineError("there are no questions to embed: the split is empty")
    model.eval()
    batches = _padded_batches if why_not_packed(model) else _packed_batches
    done, order, parts = 0, [], []
    for indices, part in batches(model, questions, batch_size):
        order.append(indices)
        parts.append(part)
        if (done + len(indices)) // _REPORTED_EVERY > done // _REPORTED_EVERY or done + len(indices) == len(questions):
            on_progress(Advanced(stage, done + len(indices), len(questions)))
        done += len(indices)
    stacked = np.concatenate(parts).astype(np.float32, copy=False)
    embeddings = np.empty_like(stacked)
    embeddings[np.concatenate(order)] = stacked
    return embeddings


def _packed_batches(
    model: "SentenceTransformer", questions: list[str], batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(indices of some questions, their embeddings), again and again."""
    import torch

    from pipeline.packing import pack, packed_attention, to_device, tokenize

    tokens = tokenize(model, questions)
    order = np.argsort(tokens.lengths, kind="stable")
    with packed_attention(model) as packing, torch.inference_mode():
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            features = to_device(pack(tokens, chosen, packing.first_position), model.device)
            yield chosen, model(features)["sentence_embedding"].float().cpu().numpy()


def _padded_batches(
    model: "SentenceTransformer", questions: list[str], batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """As `_packed_batches`, by the model's own `encode`; questions of like length together need little padding."""
    order = np.argsort([len(question) for question in questions], kind="stable")
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        texts = [questions[i] for i in chosen]
        yield chosen, model.encode(texts, batch_size=batch_size, show_progress_bar=False, convert_to_numpy=True)


def evaluate_pairs(
    model: "SentenceTransformer",
    table: PairTable,
    batch_size: int,
    on_progress: OnProgress = ignore,
    stage: str = "embedding questions",
) -> dict[str, SimilarityMetrics]:
    """Metrics of a model on question pairs; each distinct question is embedded once.

    Raises:
        PipelineError: when the table is empty or has one class only, or embeddings are not finite.
    """
    questions, first, second = table.distinct_questions()
    embeddings = embed_questions(model, questions, batch_size, on_progress, stage)
    return embedding_metrics(embeddings[first], embeddings[second], table.labels)


def timed_evaluation(
    model: "SentenceTransformer",
    table: PairTable,
    batch_size: int,
    on_progress: OnProgress = ignore,
    stage: str = "embedding questions",
) -> tuple[dict[str, SimilarityMetrics], float]:
    """`evaluate_pairs` and the seconds that it took."""
    start = time.perf_counter()
    metrics = evaluate_pairs(model, table, batch_size, on_progress, stage)
    return metrics, time.perf_counter() - start
