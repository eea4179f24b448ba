"""From a cosine similarity to the probability that two questions ask the same, and how far it can be believed."""

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from pipeline.evaluation.report import Calibration, ReliabilityBin

_BINS = 15


def calibrate(
    dev_cosine: np.ndarray, dev_labels: np.ndarray, eval_cosine: np.ndarray, eval_labels: np.ndarray
) -> Calibration:
    """Fit on the one, judge on the other; labels are 0 or 1, both classes present among the dev pairs."""
    fitted = LogisticRegression(C=np.inf, max_iter=1_000).fit(dev_cosine.astype(np.float64)[:, None], dev_labels)
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    probability = expit(slope * eval_cosine.astype(np.float64) + intercept)
    bins = reliability(probability, eval_labels)
    gap = sum(b.pairs * abs(b.probability - b.observed) for b in bins) / len(eval_labels)
    return Calibration(
        slope=slope,
        intercept=intercept,
        fitted_on=len(dev_labels),
        brier=float(brier_score_loss(eval_labels, probability)),
        expected_calibration_error=gap,
        bins=bins,
    )


def reliability(probability: np.ndarray, labels: np.ndarray, bins: int = _BINS) -> list[ReliabilityBin]:
    """Pairs in bins of equally many, by ascending probability; fewer bins where there are fewer pairs."""
    order = np.argsort(probability, kind="stable")
    return [
        ReliabilityBin(
            pairs=len(part), probability=float(probability[part].mean()), observed=float(labels[part].mean())
        )
        for part in np.array_split(order, min(bins, len(order)))
    ]
