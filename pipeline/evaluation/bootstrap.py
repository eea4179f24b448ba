"""Confidence intervals by a cluster bootstrap: whole groups of connected questions are resampled.

Pairs that share a question are not independent: a popular question that the model gets wrong is wrong in many pairs.
So connected components of the question graph are drawn with replacement instead of pairs (Field and Welsh,
"Bootstrapping clustered data", J. R. Statist. Soc. B 69, 2007). Intervals are percentiles of the resampled metrics. Two
models are compared on the same draws, so that what is hard for both cancels out.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.core.values import Interval
from pipeline.evaluation.metrics import ends_of_ties

REPLICATES = 1_000
_SEED = 0
_TAILS = (2.5, 97.5)

Resampled = np.ndarray
"""A metric in each replicate: float64 of shape (replicates,)."""


@dataclass(frozen=True)
class Bootstrap:
    """Draws of components, the same for every metric.

    Attributes:
        component: the component of each pair, numbered from 0: int64 of shape (pairs,).
        counts: how often each component was drawn: uint16 of shape (replicates, components).
    """

    component: np.ndarray
    counts: np.ndarray

    @classmethod
    def draw(cls, component: np.ndarray, replicates: int = REPLICATES, seed: int = _SEED) -> "Bootstrap":
        """Draw with replacement, in each replicate as many components as there are."""
        n = int(component.max()) + 1
        generator = np.random.default_rng(seed)
        counts = np.empty((replicates, n), dtype=np.uint16)
        for row in counts:
            row[:] = np.bincount(generator.integers(0, n, size=n), minlength=n)
        return cls(component, counts)

    def subset(self, rows: np.ndarray) -> "Bootstrap":
        """Return the same draws for some of the pairs, given by a boolean mask or by positions."""
        return Bootstrap(self.component[rows], self.counts)

    def average_precision(self, scores: np.ndarray, labels: np.ndarray) -> Resampled:
        """Return average precision in each replicate; NaN where it has no duplicate. Higher scores are more similar."""
        order = np.argsort(-scores, kind="stable")
        ranking = self.component[order]
        positives = np.flatnonzero(labels[order] == 1)
        values = np.full(len(self.counts), np.nan)
        if not len(positives):
            return values
        # Tied pairs share one precision, that at the end of their tie. For each duplicate: the rank of that end, and
        # the last duplicate up to it.
        ends = ends_of_ties(scores[order])
        end = ends[np.searchsorted(ends, positives)]
        last = np.searchsorted(positives, end, side="right") - 1
        # One replicate at a time, because its arrays fit into the processor's cache.
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
        """Return the sum of each indicator over the drawn pairs.

        Args:
            indicators: each of shape (pairs,).

        Returns:
            float64 of shape (indicators, replicates).
        """
        size = self.counts.shape[1]
        sums = np.stack([np.bincount(self.component, weights=values, minlength=size) for values in indicators])
        return sums @ self.counts.T.astype(np.float64)

    def accuracy(self, called: np.ndarray, labels: np.ndarray) -> Resampled:
        """Return the share of correctly classified pairs in each replicate."""
        right, n = self.totals((called == labels).astype(float), np.ones(len(labels)))
        return right / n

    def f1(self, called: np.ndarray, labels: np.ndarray) -> Resampled:
        """Return F1 in each replicate; `called` is 1 for pairs that are called duplicates."""
        hits, n_called, n_positive = self.totals((called * labels).astype(float), called * 1.0, labels * 1.0)
        return 2 * hits / (n_called + n_positive)


def interval(estimate: float, resampled: Resampled) -> Interval:
    """Return the 95 % percentile interval, without the replicates that are NaN.

    It is widened to contain the estimate, which percentiles of a small, skewed sample may not.
    """
    low, high = np.nanpercentile(resampled, _TAILS)
    return Interval(estimate=estimate, low=min(float(low), estimate), high=max(float(high), estimate))
