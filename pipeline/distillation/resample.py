"""Draws scored pairs so that their scores are distributed as those of the labelled pairs.

Mined pairs are mostly no duplicates, and labelled pairs are not. A student that learns from all of them learns another
share of duplicates. So each silver pair is kept with a probability in proportion to the density of gold scores divided
by that of silver scores, where it stands: the KDE sampling of Augmented SBERT (arXiv 2010.08240, section 3.1).
"""

from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import PipelineError

_BINS = 512
"""Scores are counted in so many bins before they are smoothed: a sum over all pairs of scores would take hours."""

_LEAST_BANDWIDTH = 1 / _BINS
_COMPARED_BINS = 20
_LEAST_WEIGHT = 1e-12


@dataclass(frozen=True)
class Resampled:
    """Which pairs were drawn.

    Attributes:
        kept: their positions, ascending, int64 of shape (kept,).
        exhausted: share of the gold pairs whose scores lie where every silver pair was taken, so that there may be too
            few of them.
        distance: total variation distance between the histograms of kept and of gold scores in 20 bins: 0 for equal
            ones, 1 for such as have nothing in common; NaN where nothing was kept.
    """

    kept: np.ndarray
    exhausted: float
    distance: float


def resample(silver: np.ndarray, gold: np.ndarray, wanted: int, seed: int) -> Resampled:
    """Draw silver pairs by the distribution of gold scores.

    The densities are estimated with a Gaussian kernel, for both with the bandwidth that Scott's rule gives for the
    gold scores: with two bandwidths a peak that both have would look like a difference. What the kernel spreads beyond
    0 and 1 is reflected. Where the wanted number asks for more pairs of a score than there are, all of them are taken,
    and the rest keeps the proportions. The draw is systematic in the order of the scores, so it has exactly the wanted
    number, and its histogram is nearer to the wanted one than that of independent draws.

    Args:
        silver: scores of the pairs to draw from, float64 of shape (silver,), each between 0 and 1.
        gold: scores of the labelled pairs, float64 of shape (gold,).
        wanted: how many; all are kept where there are no more.

    Raises:
        PipelineError: when a score is no probability, or there are fewer than two gold scores.
    """
    for what, scores in (("silver", silver), ("gold", gold)):
        wrong = np.flatnonzero(~((scores >= 0) & (scores <= 1)))
        if len(wrong):
            raise PipelineError(
                f"{what} pair {wrong[0] + 1:,} has the score {scores[wrong[0]]}, which is no probability between 0 and "
                "1: score the pairs again"
            )
    if len(gold) < 2:
        raise PipelineError(
            f"a distribution takes two gold scores or more, not {len(gold)}: score the labelled pairs of the "
            "train split too"
        )
    if wanted < 1:
        raise PipelineError(f"{wanted} silver pairs are wanted: ask for at least one, or leave silver pairs out")
    probability = _probabilities(silver, gold, min(wanted, len(silver)))
    generator = np.random.default_rng(seed)
    # In order of score, and at random within equal scores.
    shuffled = generator.permutation(len(silver))
    order = shuffled[np.argsort(silver[shuffled], kind="stable")]
    marks = np.floor(np.cumsum(probability[order]) + generator.random())
    kept = np.sort(order[np.diff(marks, prepend=0.0) > 0]).astype(np.int64)
    bin_is_exhausted = np.zeros(_BINS, dtype=bool)
    bin_is_exhausted[_bin_of(silver[probability >= 1])] = True
    exhausted = float((bin_is_exhausted[_bin_of(gold)] | ~np.isin(_bin_of(gold), _bin_of(silver))).mean())
    return Resampled(kept, exhausted, score_distance(silver[kept], gold))


def score_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Total variation distance between the histograms of two sets of scores in 20 bins; NaN where one is empty."""
    if not len(one) or not len(other):
        return float("nan")
    shares = [np.histogram(scores, _COMPARED_BINS, (0, 1))[0] / len(scores) for scores in (one, other)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _probabilities(silver: np.ndarray, gold: np.ndarray, wanted: int) -> np.ndarray:
    """With which probability each silver pair is kept, so that their sum is `wanted`: float64 of shape (silver,)."""
    if wanted >= len(silver):
        return np.ones(len(silver))
    # Scott's rule. Where all scores are equal it gives no width.
    bandwidth = max(float(gold.std(ddof=1)) * len(gold) ** -0.2, _LEAST_BANDWIDTH)
    of_gold, of_silver = _density(gold, bandwidth), _density(silver, bandwidth)
    at = _bin_of(silver)
    weight = of_gold[at] / of_silver[at]
    # Above 0, so that what no gold pair is like comes last, but comes where more is wanted than there is.
    weight = np.maximum(weight / max(float(weight.max()), _LEAST_WEIGHT), _LEAST_WEIGHT)
    # The largest weights may ask for more than there are: those are kept for sure, and the others fill up the rest.
    order = np.argsort(-weight, kind="stable")
    by_weight = weight[order]
    rest = np.cumsum(by_weight[::-1])[::-1]
    sure = np.arange(len(silver))
    scale = (wanted - sure) / rest
    certain = int(np.argmax(by_weight * scale <= 1))
    probability = np.empty(len(silver))
    probability[order] = np.minimum(by_weight * scale[certain], 1.0)
    probability[order[:certain]] = 1.0
    return probability


def _density(scores: np.ndarray, bandwidth: float) -> np.ndarray:
    """Density of scores in the middle of each bin between 0 and 1: float64 of shape (bins,)."""
    from scipy.stats import gaussian_kde

    counts = np.histogram(scores, _BINS, (0, 1))[0]
    middles = (np.arange(_BINS) + 0.5) / _BINS
    used = counts > 0
    # A score and its reflections at 0 and 1.
    points = np.concatenate([middles[used], -middles[used], 2 - middles[used]])
    weights = np.tile(counts[used] / len(scores), 3)
    # scipy's factor is the bandwidth in units of the (weighted) standard deviation of what it is given.
    spread = float(np.sqrt(np.cov(points, bias=False, aweights=weights)))
    density: np.ndarray = gaussian_kde(points, bandwidth / spread, weights)(middles)
    return density * 3


def _bin_of(scores: np.ndarray) -> np.ndarray:
    return np.minimum((scores * _BINS).astype(np.int64), _BINS - 1)
