"""Embeds the questions of a split and measures how well their similarity tells duplicates from others."""

import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from pipeline.embedding_models import Device
from pipeline.errors import PipelineError
from pipeline.evaluation.metrics import SimilarityMetrics, embedding_metrics
from pipeline.progress import Advanced, OnProgress, ignore
from pipeline.question_pairs.schema import PairTable

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_CHUNK = 2_048
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
    """Embed questions, longest first so that a batch needs little padding.

    Returns:
        float32 of shape (len(questions), dimensions), in the order of `questions`.
    """
    if not questions:
        raise PipelineError("there are no questions to embed: the split is empty")
    order = np.argsort([-len(question) for question in questions], kind="stable")
    parts = []
    for start in range(0, len(order), _CHUNK):
        chunk = [questions[i] for i in order[start : start + _CHUNK]]
        parts.append(model.encode(chunk, batch_size=batch_size, show_progress_bar=False, convert_to_numpy=True))
        on_progress(Advanced(stage, start + len(chunk), len(order)))
    stacked = np.concatenate(parts).astype(np.float32, copy=False)
    embeddings = np.empty_like(stacked)
    embeddings[order] = stacked
    return embeddings


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
    texts = np.concatenate([table.pairs["question1"].to_numpy(object), table.pairs["question2"].to_numpy(object)])
    codes, distinct = pd.factorize(texts)
    embeddings = embed_questions(model, list(distinct), batch_size, on_progress, stage)
    n = len(table)
    return embedding_metrics(embeddings[codes[:n]], embeddings[codes[n:]], table.labels)


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
