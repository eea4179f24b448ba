"""The metrics of one similarity, as values."""

from pipeline.core.values import FrozenModel

SIMILARITIES = ("cosine", "manhattan", "euclidean", "dot")
"""In the order of the reference system's CSV."""

LOWER_IS_BETTER = ("manhattan", "euclidean")
"""Distances: a pair counts as duplicate at or below the threshold."""


class SimilarityMetrics(FrozenModel):
    """What one similarity achieves at its best thresholds.

    Thresholds are in the unit of the similarity; all else lies between 0 and 1. Precision and recall belong to
    the threshold of the best F1. `ap` is average precision, which needs no threshold.
    """

    accuracy: float
    accuracy_threshold: float
    f1: float
    precision: float
    recall: float
    f1_threshold: float
    ap: float


class ThresholdMetrics(FrozenModel):
    """What one similarity achieves on some pairs at thresholds that were fixed before, and without one.

    Attributes:
        ap: average precision.
        roc_auc: area under the ROC curve.
        accuracy: at `accuracy_threshold`.
        f1, precision, recall, mcc: at `f1_threshold`; `mcc` is Matthews' correlation coefficient, between -1 and 1.
    """

    ap: float
    roc_auc: float
    accuracy: float
    accuracy_threshold: float
    f1: float
    precision: float
    recall: float
    mcc: float
    f1_threshold: float
