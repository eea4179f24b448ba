"""Measures what an engine misses: some questions of a corpus are compared with all, and their pairs looked for."""

from dataclasses import dataclass

import numpy as np

from pipeline.core.progress import Advanced, OnProgress, ignore
from pipeline.duplicates.mined import CosinePairs
from pipeline.duplicates.vectors import Vectors

MEASURING = "comparing a sample with all questions"
_BLOCK = 16_384


@dataclass(frozen=True)
class Sample:
    """Some questions, and all pairs at or above the floor that they stand in.

    Attributes:
        numbers: of the questions, int64 of shape (questions,), ascending.
        partners: for each of them, the numbers of the others.
    """

    numbers: np.ndarray
    partners: list[np.ndarray]

    @property
    def pairs(self) -> int:
        """How many pairs they stand in; one between two of them counts twice."""
        return sum(map(len, self.partners))

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each pair the sampled question and the other, both int64 of shape (pairs,)."""
        if not self.partners:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        return np.repeat(self.numbers, list(map(len, self.partners))), np.concatenate(self.partners)

    def only(self, chosen: np.ndarray) -> "Sample":
        """Some of the questions: bool of shape (questions,)."""
        return Sample(self.numbers[chosen], [self.partners[at] for at in np.flatnonzero(chosen)])

    def keys(self, n: int) -> np.ndarray:
        """A number for each of the pairs, seen from the sampled question, in a corpus of `n`."""
        first, second = self.ends
        return first * n + second


def exact_sample(vectors: Vectors, numbers: np.ndarray, floor: float, on_progress: OnProgress = ignore) -> Sample:
    """Compare some questions, whose numbers ascend, with all."""
    queries = vectors.rows(numbers)
    partners: list[list[np.ndarray]] = [[] for _ in numbers]
    for start, block in vectors.blocks(_BLOCK):
        rows, columns = np.nonzero(queries @ block.T >= np.float32(floor))
        other = numbers[rows] != columns + start
        rows, columns = rows[other], columns[other]
        for row, part in zip(*_grouped(rows, columns + start), strict=True):
            partners[row].append(part)
        on_progress(Advanced(MEASURING, start + len(block), len(vectors)))
    empty = np.empty(0, dtype=np.int64)
    return Sample(numbers, [np.concatenate(parts) if parts else empty for parts in partners])


def recall_of(pairs: CosinePairs, sample: Sample) -> float | None:
    """Share of a sample's pairs that are among all that were found; None where the sample has no pair."""
    n = pairs.questions
    wanted = sample.keys(n)
    if not len(wanted):
        return None
    low, high = np.minimum(wanted // n, wanted % n), np.maximum(wanted // n, wanted % n)
    return float(np.isin(low * n + high, pairs.first * n + pairs.second).mean())


def _grouped(rows: np.ndarray, values: np.ndarray) -> tuple[list[int], list[np.ndarray]]:
    """The values of each row; rows ascend."""
    if not len(rows):
        return [], []
    starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 1))
    return rows[starts].tolist(), np.split(values, starts[1:])
