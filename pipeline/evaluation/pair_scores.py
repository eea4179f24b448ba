"""Scores labelled pairs by a model's embeddings, with sentence-transformers' own similarity functions.

Everything in here needs torch. What follows from scores alone is in `metrics` and `decision`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer, util

from pipeline.core.errors import InputError, ModelError
from pipeline.core.progress import OnProgress, ignore
from pipeline.evaluation.decision import decision_from
from pipeline.evaluation.measurement import LOWER_IS_BETTER, SIMILARITIES, SimilarityMetrics
from pipeline.evaluation.metrics import best_metrics, has_both_classes
from pipeline.models.decision import Decision
from pipeline.models.encoding import embed_questions
from pipeline.models.options import TOKEN_BUDGET
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.question_pairs.schema import PairTable


def pair_scores(embeddings1: np.ndarray, embeddings2: np.ndarray) -> dict[str, np.ndarray]:
    """Return the score of each pair by each of `SIMILARITIES`. Distances are positive.

    Args:
        embeddings1, embeddings2: float32 of shape (pairs, dimensions), row by row the two questions of a pair.

    Returns:
        A float32 array of shape (pairs,) for each similarity.

    Raises:
        InputError: when there are no pairs.
        ModelError: when a value is NaN or infinite: such pairs would get perfect scores.
    """
    if not len(embeddings1):
        raise InputError("there are no pairs to evaluate: bring at least one")
    for embeddings in (embeddings1, embeddings2):
        broken = int((~np.isfinite(embeddings)).any(axis=1).sum())
        if broken:
            raise ModelError(
                f"the model gave NaN or infinite embeddings for {broken:,} of {len(embeddings):,} questions: its "
                "training has diverged or its weights are damaged",
                broken=broken,
                questions=len(embeddings),
            )
    first, second = torch.from_numpy(embeddings1), torch.from_numpy(embeddings2)
    functions: dict[str, Callable[[Any, Any], Any]] = {
        "cosine": util.pairwise_cos_sim,
        "manhattan": util.pairwise_manhattan_sim,
        "euclidean": util.pairwise_euclidean_sim,
        "dot": util.pairwise_dot_score,
    }
    scores = {name: functions[name](first, second).numpy() for name in SIMILARITIES}
    # The library negates distances, so that a higher value is always more similar.
    return {name: -values if name in LOWER_IS_BETTER else values for name, values in scores.items()}


def embedding_metrics(
    embeddings1: np.ndarray, embeddings2: np.ndarray, labels: np.ndarray
) -> dict[str, SimilarityMetrics]:
    """Return the metrics of each similarity, for embeddings as in `pair_scores` and labels of shape (pairs,)."""
    return best_metrics(pair_scores(embeddings1, embeddings2), labels)


def evaluate_pairs(
    model: SentenceTransformer, table: PairTable, on_progress: OnProgress = ignore
) -> dict[str, SimilarityMetrics]:
    """Return the metrics of each similarity on a table of pairs. Each distinct text is embedded once, in fp32.

    Raises:
        PipelineError: when the table is empty or has only one class, or embeddings are not finite.
    """
    index = DistinctQuestions.of(table)
    embeddings = embed_questions(model, index.texts, TOKEN_BUDGET, on_progress)
    return embedding_metrics(embeddings[index.first], embeddings[index.second], table.labels)


def decide(
    model: SentenceTransformer, model_version: str, dev_split: PairTable, on_progress: OnProgress = ignore
) -> Decision | None:
    """Choose the decision of a model by its embeddings of the dev pairs, in fp32.

    Returns:
        None when the dev split lacks one of the two classes, so that nothing can be chosen on it.

    Raises:
        PipelineError: when embeddings are not finite.
    """
    if not has_both_classes(dev_split.labels):
        return None
    index = DistinctQuestions.of(dev_split)
    embeddings = embed_questions(model, index.texts, TOKEN_BUDGET, on_progress, "choosing thresholds on the dev split")
    scores = pair_scores(embeddings[index.first], embeddings[index.second])
    return decision_from(scores, dev_split.labels, model_version, dev_split.data_version)
