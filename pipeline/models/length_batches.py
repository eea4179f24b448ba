"""Batch texts by similar length, and put the results back in order."""

import time
from collections.abc import Iterable, Iterator

import numpy as np

from pipeline.core.progress import Advanced, OnProgress

_SECONDS_BETWEEN_EVENTS = 0.2


def in_order(
    batches: Iterable[tuple[np.ndarray, np.ndarray]], count: int, on_progress: OnProgress, stage: str
) -> np.ndarray:
    """The results of all batches, in the order of what they are of.

    Args:
        batches: the indices of some of `count` items, and their results, until all are done.

    Returns:
        float32 of shape (count, …).
    """
    done, order, parts = 0, [], []
    on_progress(Advanced(stage, 0, count))
    reported = time.monotonic()
    for indices, part in batches:
        order.append(indices)
        parts.append(part)
        done += len(indices)
        if done == count or time.monotonic() - reported >= _SECONDS_BETWEEN_EVENTS:
            reported = time.monotonic()
            on_progress(Advanced(stage, done, count))
    stacked = np.concatenate(parts).astype(np.float32, copy=False)
    results = np.empty_like(stacked)
    results[np.concatenate(order)] = stacked
    return results


def by_budget(order: np.ndarray, lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Split `order` into consecutive parts of at most `budget` tokens, and at least one item."""
    ends = np.cumsum(lengths[order])
    start = 0
    while start < len(order):
        used = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, used + budget, side="right")))
        yield order[start:stop]
        start = stop


def from_both_ends(batches: list[np.ndarray]) -> Iterator[np.ndarray]:
    """The last batch, the first, the last but one and so on.

    The longest items come first, so a lack of memory shows at once; and as short and long ones take turns, as many
    items are done in the first half of the time as in the second.
    """
    first, last = 0, len(batches) - 1
    while first <= last:
        yield batches[last]
        if first < last:
            yield batches[first]
        first, last = first + 1, last - 1
