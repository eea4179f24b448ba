"""From a cosine similarity to the probability that two questions ask the same, and how far it can be believed."""

import numpy as np
from pydantic import BaseModel, ConfigDict

CALIBRATION_FILE_NAME = "duplicate_probability.json"
"""In a run folder, beside the result files."""

_BINS = 15


class ReliabilityBin(BaseModel):
    """Pairs of like probability.

    Attributes:
        pairs: how many.
        probability: their mean probability.
        observed: the share of duplicates among them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs: int
    probability: float
    observed: float


class Calibration(BaseModel):
    """Platt's calibration: probability = 1 / (1 + exp(-(`slope` × cosine + `intercept`))).

    J. Platt, "Probabilistic outputs for support vector machines", 1999, by scikit-learn's logistic regression without a
    penalty. Fitted on `dev_split`, judged on `eval_split`.

    Attributes:
        fitted_on: pairs of `dev_split`.
        brier: mean squared difference of probability and label; 0 is best.
        expected_calibration_error: mean gap of probability and share of duplicates over 15 bins of equally many pairs.
        bins: those bins, of ascending probability.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slope: float
    intercept: float
    fitted_on: int
    brier: float
    expected_calibration_error: float
    bins: list[ReliabilityBin]


def calibrate(
    dev_cosine: np.ndarray, dev_labels: np.ndarray, eval_cosine: np.ndarray, eval_labels: np.ndarray
) -> Calibration:
    """Fit on the one, judge on the other; labels are 0 or 1, both classes present among the dev pairs."""
    from scipy.special import expit
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import brier_score_loss

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
