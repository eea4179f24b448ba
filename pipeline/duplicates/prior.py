"""The share of duplicates among the pairs of a corpus, and the correction of probabilities for it.

A probability that was calibrated where 40 % of the pairs are duplicates is too high where they are rarer. The share is
given, or estimated from the scores themselves by expectation maximisation (Saerens, Latinne and Decaestecker,
"Adjusting the outputs of a classifier to new a priori probabilities", Neural Computation 14, 2002). Both are shares
among the pairs at or above the floor of mining: pairs below it are unknown.

The estimate supposes that duplicates have scores like those of the dev split, and other pairs too. Where dev pairs were
collected because they look alike, as Quora's, other pairs of a corpus are less alike, and the estimate is far too low.
So it is estimated only on request.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.models.decision import Decision, log_odds, sigmoid

_ROUNDS = 1_000
_CLOSE = 1e-7
_BINS = 4_096
_LEAST = 1e-6


@dataclass(frozen=True)
class Prior:
    """The share of duplicates among the pairs of a corpus at or above a floor.

    Attributes:
        share: that share.
        on_dev: the same on the dev split.
        how: where it comes from.
        equivalent: the share among all pairs that, for the model's calibration, comes to the same.
    """

    share: float
    on_dev: float
    how: Literal["given", "estimated", "as on the dev split"]
    equivalent: float

    @property
    def is_at_bound(self) -> bool:
        """Whether the estimate went as low as it can: either nothing is a duplicate, or the scores are unlike those of
        the dev split."""
        return self.how == "estimated" and self.share < 10 * _LEAST


def share_on_dev(decision: Decision, floor: float) -> float:
    """The share of duplicates among the dev pairs at or above a floor; among all of them without a curve."""
    share = decision.calibration.positive_rate
    below = [point for point in decision.curve if point.threshold <= floor]
    if below:
        share = max(below, key=lambda point: point.threshold).precision(share)
    return min(max(share, _LEAST), 1 - 1e-3)


def prior_on_dev(decision: Decision, floor: float) -> Prior:
    """The prior that the calibration assumes, where nobody knows better."""
    on_dev = share_on_dev(decision, floor)
    return Prior(on_dev, on_dev, "as on the dev split", decision.calibration.positive_rate)


def given_prior(decision: Decision, floor: float, share: float) -> Prior:
    """The prior that somebody knows."""
    on_dev = share_on_dev(decision, floor)
    return Prior(share, on_dev, "given", _equivalent(decision, on_dev, share))


def estimated_prior(decision: Decision, floor: float, cosine: np.ndarray) -> Prior:
    """The prior under which the mean probability of the pairs is the prior itself.

    Args:
        cosine: of all pairs at or above the floor, of shape (pairs,).
    """
    on_dev = share_on_dev(decision, floor)
    if not len(cosine):
        return Prior(on_dev, on_dev, "estimated", decision.calibration.positive_rate)
    counts, edges = np.histogram(cosine, bins=_BINS, range=(floor, max(1.0, float(cosine.max()))))
    used = counts > 0
    counts, middles = counts[used], ((edges[:-1] + edges[1:]) / 2)[used]
    share = on_dev
    for _ in range(_ROUNDS):
        probability = decision.calibration.probability(middles, _equivalent(decision, on_dev, share))
        updated = min(max(float((probability * counts).sum() / counts.sum()), _LEAST), 1 - _LEAST)
        if abs(updated - share) < _CLOSE:
            break
        share = updated
    return Prior(share, on_dev, "estimated", _equivalent(decision, on_dev, share))


def _equivalent(decision: Decision, on_dev: float, share: float) -> float:
    logit = log_odds(decision.calibration.positive_rate) + log_odds(share) - log_odds(on_dev)
    return float(np.clip(sigmoid(np.array(logit)), 1e-12, 1 - 1e-12))
