"""How far a figure could be off: bootstrap intervals that resample whole groups of questions that hang together.

Pairs that share a question are not independent: a popular question that the model gets wrong is wrong in many pairs.
So connected components of the question graph are drawn, with replacement, and not pairs (the cluster bootstrap; Field
and Welsh, "Bootstrapping clustered data", J. R. Statist. Soc. B 69, 2007). Intervals are the percentiles of the
resampled figures. Two models are compared on the same draws, so that what is hard for both cancels out.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.core.values import Interval
from pipeline.evaluation.metrics import ends_of_ties

REPLICATES = 1_000
_SEED = 0
_TAILS = (2.5, 97.5)

Resampled = np.ndarray
"""One figure for each replicate: float64 of shape (replicates,)."""


@dataclass(frozen=True)
class Bootstrap:
    """The same draws of components for every figure.

    Attributes:
        component: int64 of shape (pairs,), numbered from 0: which component each pair belongs to.
        counts: uint16 of shape (replicates, components): how often each was drawn.
    """

    component: np.ndarray
    counts: np.ndarray

    @classmethod
    def draw(cls, component: np.ndarray, replicates: int = REPLICATES, seed: int = _SEED) -> "Bootstrap":
        """Draw as many components as there are, with replacement, for each replicate."""
        n = int(component.max()) + 1
        generator = np.random.default_rng(seed)
        counts = np.empty((replicates, n), dtype=np.uint16)
        for row in counts:
            row[:] = np.bincount(generator.integers(0, n, size=n), minlength=n)
        return cls(component, counts)

    def subset(self, rows: np.ndarray) -> "Bootstrap":
        """The same draws for some of the pairs: a boolean mask or positions."""
        return Bootstrap(self.component[rows], self.counts)

    def average_precision(self, scores: np.ndarray, labels: np.ndarray) -> Resampled:
        """Average precision in every replicate; scores grow with likeness. NaN where a replicate has no duplicate."""
        order = np.argsort(-scores, kind="stable")
        ranking = self.component[order]
        positives = np.flatnonzero(labels[order] == 1)
        values = np.full(len(self.counts), np.nan)
        if not len(positives):
            return values
        # Precision is taken where the tie of a duplicate ends: that rank, and which duplicate is the last before it.
        ends = ends_of_ties(scores[order])
        end = ends[np.searchsorted(ends, positives)]
        last = np.searchsorted(positives, end, side="right") - 1
        # A replicate at a time: its arrays stay in the cache, which all replicates together would not.
        with np.errstate(invalid="ignore"):
            for replicate, counts in enumerate(self.counts):
                weights = counts[ranking]
                gained = weights[positives]
                correct = np.cumsum(gained, dtype=np.int32)
                predicted = np.cumsum(weights, dtype=np.int32)[end]
                precision = correct[last] / np.maximum(predicted, 1)
                values[replicate] = np.divide(gained @ precision, correct[-1])
        return values

    def totals(self, *indicators: np.ndarray) -> np.ndarray:
        """Sums over the drawn pairs of each indicator of shape (pairs,): float64 of shape (indicators, replicates)."""
        size = self.counts.shape[1]
        sums = np.stack([np.bincount(self.component, weights=values, minlength=size) for values in indicators])
        return sums @ self.counts.T.astype(np.float64)

    def accuracy(self, called: np.ndarray, labels: np.ndarray) -> Resampled:
        """Share of pairs judged right, in every replicate."""
        right, n = self.totals((called == labels).astype(float), np.ones(len(labels)))
        return right / n

    def f1(self, called: np.ndarray, labels: np.ndarray) -> Resampled:
        """F1 of pairs that are called duplicates, in every replicate."""
        hits, n_called, n_positive = self.totals((called * labels).astype(float), called * 1.0, labels * 1.0)
        return 2 * hits / (n_called + n_positive)


def interval(estimate: float, resampled: Resampled) -> Interval:
    """The 95 % percentile interval; replicates without a figure are left out.

    Returns:
        An interval that always contains the estimate: in small, skewed samples the percentiles alone may not.
    """
    low, high = np.nanpercentile(resampled, _TAILS)
    return Interval(estimate=estimate, low=min(float(low), estimate), high=max(float(high), estimate))
