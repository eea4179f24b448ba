"""Fits Platt's calibration: from a cosine similarity to the probability that two questions ask the same."""

import numpy as np
from sklearn.linear_model import LogisticRegression


def platt(cosine: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Slope and intercept, by scikit-learn's logistic regression without a penalty.

    J. Platt, "Probabilistic outputs for support vector machines", 1999.

    Args:
        cosine: of shape (n,).
        labels: 0 or 1, of shape (n,), both present.
    """
    fitted = LogisticRegression(C=np.inf, max_iter=1_000).fit(cosine.astype(np.float64)[:, None], labels)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
