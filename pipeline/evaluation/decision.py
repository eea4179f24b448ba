"""Chooses thresholds, a calibrated probability and a precision curve from the scores of labelled pairs."""

from collections.abc import Mapping

import numpy as np
from sklearn.linear_model import LogisticRegression

from pipeline.evaluation.measurement import SimilarityMetrics
from pipeline.evaluation.metrics import best_metrics, ends_of_ties
from pipeline.models.decision import Decision, DecisionCalibration, OperatingPoint, Thresholds

_MOST_POINTS = 200


def decision_from(
    scores: Mapping[str, np.ndarray], labels: np.ndarray, model_version: str, dev_version: str
) -> Decision:
    """Choose the decision of a model.

    Args:
        scores: of the dev pairs, for each of `SIMILARITIES`, of shape (pairs,).
        labels: 0 or 1, of shape (pairs,), both present.
    """
    slope, intercept = platt(scores["cosine"], labels)
    return Decision(
        model_version=model_version,
        dev_version=dev_version,
        dev_pairs=len(labels),
        thresholds=thresholds_of(best_metrics(scores, labels)),
        calibration=DecisionCalibration(
            slope=slope, intercept=intercept, fitted_on=len(labels), positive_rate=float(labels.mean())
        ),
        curve=precision_curve(scores["cosine"], labels),
    )


def thresholds_of(metrics: Mapping[str, SimilarityMetrics]) -> dict[str, Thresholds]:
    """Return the best thresholds of each similarity."""
    return {
        name: Thresholds(accuracy=values.accuracy_threshold, f1=values.f1_threshold) for name, values in metrics.items()
    }


def platt(cosine: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Fit Platt scaling by scikit-learn's logistic regression without a penalty; return the slope and the intercept.

    J. Platt, "Probabilistic outputs for support vector machines", 1999.

    Args:
        cosine: of shape (n,).
        labels: 0 or 1, of shape (n,), both present.
    """
    fitted = LogisticRegression(C=np.inf, max_iter=1_000).fit(cosine.astype(np.float64)[:, None], labels)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def precision_curve(cosine: np.ndarray, labels: np.ndarray) -> list[OperatingPoint]:
    """Return thresholds of ascending precision, each the lowest with its precision or a higher one; about 200 at most.

    At any share of duplicates, precision falls as the ratio of false alarms to recall rises. So the same thresholds are
    the best ones for every share.
    """
    order = np.argsort(-cosine, kind="stable")
    ranked, hits = cosine[order], np.cumsum(labels[order])
    cuts = ends_of_ties(ranked)
    right, called = hits[cuts], cuts + 1
    duplicates, others = int(labels.sum()), len(labels) - int(labels.sum())
    precision = right / called
    # A point is kept if every lower threshold has a lower precision.
    highest_below = np.concatenate([np.maximum.accumulate(precision[::-1])[::-1][1:], [-1.0]])
    kept = np.flatnonzero(precision > highest_below)[::-1]
    if len(kept) > _MOST_POINTS:
        # Spread evenly over precision. The last one, which is the most precise, is always included.
        wanted = np.linspace(precision[kept[0]], precision[kept[-1]], _MOST_POINTS)
        kept = kept[np.unique(np.searchsorted(precision[kept], wanted - 1e-12))]
    below = np.append(ranked[1:], ranked[-1])[cuts].astype(np.float64)
    # Midway to the next lower score, as for the other thresholds.
    thresholds = (ranked[cuts].astype(np.float64) + below) / 2
    return [
        OperatingPoint(
            threshold=float(thresholds[at]),
            recall=float(right[at] / duplicates),
            false_alarms=float((called[at] - right[at]) / others),
            called=int(called[at]),
        )
        for at in kept
    ]
