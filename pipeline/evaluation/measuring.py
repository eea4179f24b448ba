"""Embeds the questions of a split and measures how well their similarity tells duplicates from others."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline.core.errors import PipelineError
from pipeline.core.progress import Advanced, OnProgress, ignore
from pipeline.evaluation.measurement import Measurement
from pipeline.evaluation.metrics import SimilarityMetrics, embedding_metrics, pair_scores
from pipeline.evaluation.tasks import task_metrics
from pipeline.models.embedding_models import Device, describe_device
from pipeline.models.precision import Precision, PrecisionChoice, resolve_precision
from pipeline.question_pairs.schema import PairTable

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_TOKENS_OF_A_QUESTION = 32
"""What a padded question counts for: how many it has is known only when the library has tokenised it."""

_REPORTED_EVERY = 2_048
"""Questions embedded between two progress events."""


class EvaluationOptions(BaseModel):
    """How a model is measured for a report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Device = Field(default="auto", description="Where to embed: `auto` takes a GPU where there is one.")
    precision: PrecisionChoice = Field(
        default="auto",
        description="Of the embedding: `auto` takes bf16 (autocast) where the hardware has it. Scores are fp32 always.",
    )
    token_budget: int = Field(
        default=4_096, ge=64, le=1_048_576, description="Most tokens of a forward pass. It changes the speed only."
    )
    task_questions: int = Field(
        default=10_000,
        ge=0,
        le=100_000,
        description="Duplicate mining and retrieval are measured on the eval pairs with the first so many distinct "
        "questions; 0 leaves them out. The work grows with the square.",
    )


def embed_questions(
    model: "SentenceTransformer",
    questions: list[str],
    token_budget: int,
    on_progress: OnProgress = ignore,
    stage: str = "embedding questions",
    precision: Precision = "fp32",
) -> np.ndarray:
    """Embed questions, sorted by length, without padding where the model can do without.

    Args:
        token_budget: most tokens of a forward pass; a question that has more is one by itself.

    Returns:
        float32 of shape (len(questions), dimensions), in the order of `questions`.
    """
    import torch

    from pipeline.models.packing import why_not_packed

    if not questions:
        raise PipelineError("there are no questions to embed: the split is empty")
    model.eval()
    batches = _padded_batches if why_not_packed(model) else _packed_batches
    done, order, parts = 0, [], []
    half = torch.autocast(model.device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
    with half:
        for indices, part in batches(model, questions, token_budget):
            order.append(indices)
            parts.append(part)
            before, done = done, done + len(indices)
            if done // _REPORTED_EVERY > before // _REPORTED_EVERY or done == len(questions):
                on_progress(Advanced(stage, done, len(questions)))
    stacked = np.concatenate(parts).astype(np.float32, copy=False)
    embeddings = np.empty_like(stacked)
    embeddings[np.concatenate(order)] = stacked
    return embeddings


def _packed_batches(
    model: "SentenceTransformer", questions: list[str], token_budget: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(indices of some questions, their embeddings), again and again."""
    import torch

    from pipeline.models.packing import pack, packed_attention, to_device, tokenize

    tokens = tokenize(model, questions)
    order = np.argsort(tokens.lengths, kind="stable")
    with packed_attention(model) as packing, torch.inference_mode():
        for chosen in _by_budget(order, tokens.lengths, token_budget):
            features = to_device(pack(tokens, chosen, packing.first_position), model.device)
            yield chosen, model(features)["sentence_embedding"].float().cpu().numpy()


def _padded_batches(
    model: "SentenceTransformer", questions: list[str], token_budget: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """As `_packed_batches`, by the model's own `encode`; questions of like length together need little padding."""
    order = np.argsort([len(question) for question in questions], kind="stable")
    size = max(1, token_budget // _TOKENS_OF_A_QUESTION)
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        texts = [questions[i] for i in chosen]
        yield chosen, model.encode(texts, batch_size=size, show_progress_bar=False, convert_to_numpy=True)


def _by_budget(order: np.ndarray, lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Consecutive parts of `order` of at most so many tokens, but at least one question."""
    ends = np.cumsum(lengths[order])
    start = 0
    while start < len(order):
        used = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, used + budget, side="right")))
        yield order[start:stop]
        start = stop


def evaluate_pairs(
    model: "SentenceTransformer", table: PairTable, token_budget: int = 4_096
) -> dict[str, SimilarityMetrics]:
    """Metrics of a model on question pairs, at the best thresholds for these very pairs; embedded in fp32.

    Each distinct question is embedded once.

    Raises:
        PipelineError: when the table is empty or has one class only, or embeddings are not finite.
    """
    questions, first, second = table.distinct_questions()
    embeddings = embed_questions(model, questions, token_budget)
    return embedding_metrics(embeddings[first], embeddings[second], table.labels)


def measure(
    model: "SentenceTransformer",
    eval_split: PairTable,
    dev_split: PairTable,
    options: EvaluationOptions,
    on_progress: OnProgress = ignore,
    stage: str = "embedding questions",
) -> Measurement:
    """How similar a model finds the pairs of both splits, and its duplicate mining and retrieval on `eval_split`.

    Each distinct question of the two is embedded once. The seconds leave out loading the model.

    Raises:
        PipelineError: when `eval_split` is empty, or embeddings are not finite.
    """
    start = time.perf_counter()
    if not len(eval_split):
        raise PipelineError("there are no pairs to evaluate: eval_split is empty")
    precision = resolve_precision(options.precision, model.device.type)
    both = eval_split.followed_by(dev_split)
    questions, first, second = both.distinct_questions()
    embeddings = embed_questions(model, questions, options.token_budget, on_progress, stage, precision)
    n = len(eval_split)
    scores = pair_scores(embeddings[first], embeddings[second])
    return Measurement(
        eval_scores={name: values[:n] for name, values in scores.items()},
        dev_scores={name: values[n:] for name, values in scores.items()},
        tasks=task_metrics(embeddings, first[:n], second[:n], eval_split.labels, options.task_questions),
        seconds=time.perf_counter() - start,
        questions=len(questions),
        device=describe_device(model.device.type),
        precision=precision,
    )
