"""Binary classification metrics of similarity scores, as sentence-transformers defines them, vectorized."""

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
)

from pipeline.core.errors import InputError
from pipeline.evaluation.measurement import LOWER_IS_BETTER, SIMILARITIES, SimilarityMetrics, ThresholdMetrics


def metrics_at(
    scores: np.ndarray,
    labels: np.ndarray,
    accuracy_threshold: float,
    f1_threshold: float,
    lower_is_better: bool = False,
) -> ThresholdMetrics:
    """Return the metrics of scores and labels, both of shape (n,), at given thresholds, in the unit of the scores.

    Raises:
        InputError: when all labels are the same.
    """
    require_both_classes(labels)
    ranking = -scores if lower_is_better else scores
    called = is_called_duplicate(scores, f1_threshold, lower_is_better)
    return ThresholdMetrics(
        ap=float(average_precision_score(labels, ranking)),
        roc_auc=float(roc_auc_score(labels, ranking)),
        accuracy=float((is_called_duplicate(scores, accuracy_threshold, lower_is_better) == labels).mean()),
        accuracy_threshold=accuracy_threshold,
        f1=float(f1_score(labels, called, zero_division=0)),
        precision=float(precision_score(labels, called, zero_division=0)),
        recall=float(recall_score(labels, called)),
        mcc=float(matthews_corrcoef(labels, called)),
        f1_threshold=f1_threshold,
    )


def is_called_duplicate(scores: np.ndarray, threshold: float, lower_is_better: bool = False) -> np.ndarray:
    """Return 1 for each pair that counts as a duplicate at the threshold, else 0: int64 of shape (n,)."""
    return (scores <= threshold if lower_is_better else scores >= threshold).astype(np.int64)


def ends_of_ties(ranked: np.ndarray) -> np.ndarray:
    """Return the ranks at which a sorted ranking can be cut: those where the next score differs, and the last."""
    return np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))


def has_both_classes(labels: np.ndarray) -> bool:
    """Whether some labels are 1 and some are 0; false for no labels at all."""
    return 0 < int(labels.sum()) < len(labels)


def require_both_classes(labels: np.ndarray) -> None:
    """Refuse labels of only one class, for which no metric means anything.

    Raises:
        InputError: when all labels are the same.
    """
    if not has_both_classes(labels):
        only = "duplicates" if labels.any() else "not duplicates"
        raise InputError(
            f"all {len(labels):,} pairs to evaluate are {only}: metrics need both", pairs=len(labels), only=only
        )


def similarity_metrics(scores: np.ndarray, labels: np.ndarray, lower_is_better: bool = False) -> SimilarityMetrics:
    """Return the best accuracy and the best F1 over all thresholds, and average precision.

    A threshold is midway between two neighbouring distinct scores, so tied pairs are never separated; of equally good
    thresholds the strictest wins. Both as in sentence-transformers' `BinaryClassificationEvaluator`; average precision
    is scikit-learn's.

    Args:
        scores: floating point, of shape (n,).
        labels: 0 or 1, of shape (n,).
        lower_is_better: true for distances.

    Raises:
        InputError: when all labels are the same.
    """
    require_both_classes(labels)
    n, n_positive = len(labels), int(labels.sum())
    direction = -1 if lower_is_better else 1
    order = np.argsort(-direction * scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(labels[order])
    cuts = ends_of_ties(ranked)
    predicted, correct = cuts + 1, hits[cuts]
    below = np.append(ranked[1:], ranked[-1])[cuts]
    thresholds = (ranked[cuts] + below) / 2
    # There is no float between two adjacent ones, and rounding must not choose the lower.
    thresholds = np.where(thresholds == below, ranked[cuts], thresholds)

    accuracies = (correct + (n - n_positive) - (predicted - correct)) / n
    best = int(np.argmax(accuracies))
    accuracy, accuracy_threshold = accuracies[best], thresholds[best]
    # Calling no pair a duplicate may be best: the threshold is then above every score.
    if (nothing := (n - n_positive) / n) >= accuracy:
        accuracy, accuracy_threshold = nothing, np.nextafter(ranked[0], ranked.dtype.type(direction * np.inf))

    f1s = 2 * correct / (predicted + n_positive)
    best = int(np.argmax(f1s))
    return SimilarityMetrics(
        accuracy=float(accuracy),
        accuracy_threshold=float(accuracy_threshold),
        f1=float(f1s[best]),
        precision=float(correct[best] / predicted[best]),
        recall=float(correct[best] / n_positive),
        f1_threshold=float(thresholds[best]),
        ap=float(average_precision_score(labels, direction * scores)),
    )


def best_metrics(scores: Mapping[str, np.ndarray], labels: np.ndarray) -> dict[str, SimilarityMetrics]:
    """Return `similarity_metrics` for the scores of each of `SIMILARITIES`."""
    return {name: similarity_metrics(scores[name], labels, name in LOWER_IS_BETTER) for name in SIMILARITIES}
