"""Scores of embedded pairs by each similarity, by sentence-transformers' own functions: the metrics that need torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sentence_transformers import util

from pipeline.core.errors import PipelineError
from pipeline.evaluation.metric_values import LOWER_IS_BETTER, SIMILARITIES, SimilarityMetrics
from pipeline.evaluation.metrics import similarity_metrics


def pair_scores(embeddings1: np.ndarray, embeddings2: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of row-aligned embeddings by each of `SIMILARITIES`; distances are positive numbers.

    Args:
        embeddings1: float32 of shape (n, dimensions).
        embeddings2: likewise.

    Returns:
        A float32 array of shape (n,) for each similarity.

    Raises:
        PipelineError: when there are no rows, or a value is NaN or infinite: such rows would count as perfect.
    """
    if not len(embeddings1):
        raise PipelineError("there are no pairs to evaluate: bring at least one")
    for embeddings in (embeddings1, embeddings2):
        broken = ~np.isfinite(embeddings).all(axis=1)
        if broken.any():
            raise PipelineError(
                f"the model gave NaN or infinite embeddings for {int(broken.sum()):,} of {len(broken):,} questions: "
                "its training has diverged or its weights are damaged"
            )
    first, second = torch.from_numpy(embeddings1), torch.from_numpy(embeddings2)
    functions: dict[str, Callable[[Any, Any], Any]] = {
        "cosine": util.pairwise_cos_sim,
        "manhattan": util.pairwise_manhattan_sim,
        "euclidean": util.pairwise_euclidean_sim,
        "dot": util.pairwise_dot_score,
    }
    scores = {name: functions[name](first, second).numpy() for name in SIMILARITIES}
    # The library's similarities grow with likeness: it negates distances.
    return {name: -values if name in LOWER_IS_BETTER else values for name, values in scores.items()}


def embedding_metrics(
    embeddings1: np.ndarray, embeddings2: np.ndarray, labels: np.ndarray
) -> dict[str, SimilarityMetrics]:
    """The metrics of each of `SIMILARITIES` for row-aligned embeddings of shape (n, dimensions) and labels (n,)."""
    return {
        name: similarity_metrics(scores, labels, lower_is_better=name in LOWER_IS_BETTER)
        for name, scores in pair_scores(embeddings1, embeddings2).items()
    }
