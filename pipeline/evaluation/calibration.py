"""From a cosine similarity to the probability that two questions ask the same, and how far it can be believed."""

import numpy as np
from scipy.special import expit
from sklearn.metrics import brier_score_loss

from pipeline.evaluation.platt import platt
from pipeline.evaluation.report import Calibration, ReliabilityBin

_BINS = 15


def calibrate(
    dev_cosine: np.ndarray, dev_labels: np.ndarray, eval_cosine: np.ndarray, eval_labels: np.ndarray
) -> Calibration:
    """Fit on the one, judge on the other; labels are 0 or 1, both classes present among the dev pairs."""
    return judged(*platt(dev_cosine, dev_labels), len(dev_labels), eval_cosine, eval_labels)


def judged(
    slope: float, intercept: float, fitted_on: int, eval_cosine: np.ndarray, eval_labels: np.ndarray
) -> Calibration:
    """A calibration that was fitted on so many pairs, judged on others."""
    probability = expit(slope * eval_cosine.astype(np.float64) + intercept)
    bins = reliability(probability, eval_labels)
    gap = sum(b.pairs * abs(b.probability - b.observed) for b in bins) / len(eval_labels)
    return Calibration(
        slope=slope,
        intercept=intercept,
        fitted_on=fitted_on,
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
