"""Binary-classification metrics of similarity scores, as sentence-transformers defines them, without its loops."""

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
)

from pipeline.core.errors import PipelineError
from pipeline.evaluation.metric_values import SimilarityMetrics, ThresholdMetrics


def metrics_at(
    scores: np.ndarray,
    labels: np.ndarray,
    accuracy_threshold: float,
    f1_threshold: float,
    lower_is_better: bool = False,
) -> ThresholdMetrics:
    """Metrics of scores (n,) and labels (n,) at given thresholds, in the unit of the scores.

    Raises:
        PipelineError: when all labels are the same.
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
    """1 where a pair counts as duplicate at the threshold, else 0: int64 of shape (n,)."""
    return (scores <= threshold if lower_is_better else scores >= threshold).astype(np.int64)


def ends_of_ties(ranked: np.ndarray) -> np.ndarray:
    """The ranks below which a ranking can be cut: where the next score differs, and the last. `ranked` is sorted."""
    return np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))


def has_both_classes(labels: np.ndarray) -> bool:
    """Whether some labels are 1 and some 0; false for none at all."""
    return 0 < int(labels.sum()) < len(labels)


def require_both_classes(labels: np.ndarray) -> None:
    """Refuse labels without which no metric means anything.

    Raises:
        PipelineError: when all are the same.
    """
    if not has_both_classes(labels):
        raise PipelineError(
            f"all {len(labels):,} pairs to evaluate are {'duplicates' if labels.any() else 'not duplicates'}: metrics "
            "need both"
        )


def similarity_metrics(scores: np.ndarray, labels: np.ndarray, lower_is_better: bool = False) -> SimilarityMetrics:
    """Best accuracy and best F1 over all thresholds, and average precision.

    A threshold lies midway between two neighbouring distinct scores, so tied pairs are never torn apart; of
    equally good thresholds the strictest wins. Both as in `BinaryClassificationEvaluator` of sentence-transformers;
    average precision is scikit-learn's.

    Args:
        scores: floating point, of shape (n,).
        labels: 0 or 1, of shape (n,).
        lower_is_better: true for distances.

    Raises:
        PipelineError: when all labels are the same: no threshold means anything then.
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
    # Two neighbouring floats have no number between them.
    thresholds = np.where(thresholds == below, ranked[cuts], thresholds)

    accuracies = (correct + (n - n_positive) - (predicted - correct)) / n
    best = int(np.argmax(accuracies))
    accuracy, accuracy_threshold = accuracies[best], thresholds[best]
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
