"""All pairs of vectors at or above a cosine: the value, the interface of engines that find them, and their recall."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from pipeline.core.errors import ResourceError, SettingError
from pipeline.core.progress import Advanced, OnProgress, ignore
from pipeline.vectors.blocks import Vectors
from pipeline.vectors.options import MOST_PAIRS

MEASURING = "comparing a sample with all questions"
_BLOCK = 16_384


@dataclass(frozen=True)
class CosinePairs:
    """All pairs of a corpus's questions at or above a cosine.

    Attributes:
        questions: number of questions of the corpus.
        floor: the minimum cosine: no pair below it was looked for.
        first, second: indices of the questions, int64 of shape (pairs,), first below second.
        cosine: float32 of shape (pairs,), descending; ties by the indices.
    """

    questions: int
    floor: float
    first: np.ndarray
    second: np.ndarray
    cosine: np.ndarray

    def __len__(self) -> int:
        return len(self.cosine)

    @classmethod
    def of(
        cls, questions: int, floor: float, first: np.ndarray, second: np.ndarray, cosine: np.ndarray
    ) -> "CosinePairs":
        """Put pairs of any order into the one order, whatever engine found them."""
        low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second).astype(np.int64)
        order = np.lexsort((high, low, -cosine))
        return cls(questions, floor, low[order], high[order], cosine[order].astype(np.float32, copy=False))

    def at(self, threshold: float) -> "CosinePairs":
        """The pairs at or above another threshold.

        Raises:
            SettingError: for a threshold below the floor, as no such pairs were looked for.
        """
        if threshold < self.floor:
            raise SettingError(
                f"the threshold {threshold:.4f} is below the floor {self.floor:.4f} of what was mined: mine again with "
                "a lower floor",
                threshold=threshold,
                floor=self.floor,
            )
        kept = int(np.searchsorted(-self.cosine, -np.float32(threshold), side="right"))
        return CosinePairs(self.questions, threshold, self.first[:kept], self.second[:kept], self.cosine[:kept])

    @cached_property
    def degree(self) -> np.ndarray:
        """Number of pairs of each question: int64 of shape (questions,)."""
        return np.bincount(np.concatenate([self.first, self.second]), minlength=self.questions)

    @property
    def duplicate_ratio(self) -> float:
        """Share of the questions that have a pair; 0 for an empty corpus."""
        return float((self.degree > 0).mean()) if self.questions else 0.0

    def least_similar(self, pairs: int = 10) -> "CosinePairs":
        """The pairs just above the threshold, where mistakes are most likely; least similar last."""
        start = max(0, len(self) - pairs)
        return CosinePairs(self.questions, self.floor, self.first[start:], self.second[start:], self.cosine[start:])


class Engine(ABC):
    """One way to find pairs.

    Attributes:
        name: of the engine in settings.
        remark: on the last work, such as how much it missed; empty where there is nothing to say.
        recall: share of a sample's pairs that the last work found; None where it finds all, or the sample has none.
    """

    name: ClassVar[str]
    remark: str = ""
    recall: float | None = None

    @abstractmethod
    def pairs(self, vectors: Vectors, floor: float, on_progress: OnProgress = ignore) -> CosinePairs:
        """The pairs at or above the floor: all of them, or as many as the engine finds.

        Raises:
            ResourceError: when there are more than `MOST_PAIRS`.
            NotInstalledError: when the engine needs something that isn't installed.
        """


def refuse_too_many(found: int, floor: float) -> None:
    """Stop before memory is full.

    Raises:
        ResourceError: when more than `MOST_PAIRS` were found.
    """
    if found > MOST_PAIRS:
        raise ResourceError(
            f"more than {MOST_PAIRS:,} pairs have a cosine of {floor:.4f} or more: raise the floor, or the threshold",
            most=MOST_PAIRS,
            floor=floor,
        )


@dataclass(frozen=True)
class Sample:
    """Some vectors, and all their pairs at or above a cosine.

    Attributes:
        indices: of the vectors, int64 of shape (sampled,), ascending.
        partners: for each of them, the indices of the others, int64.
    """

    indices: np.ndarray
    partners: list[np.ndarray]

    @property
    def pairs(self) -> int:
        """Number of pairs; one between two of the sampled vectors counts twice."""
        return sum(map(len, self.partners))

    def keys(self, n: int) -> np.ndarray:
        """A number for each of the pairs, seen from the sampled vector, among `n` vectors."""
        first = np.repeat(self.indices, list(map(len, self.partners)))
        return first * n + np.concatenate([*self.partners, np.empty(0, dtype=np.int64)])


def exact_sample(vectors: Vectors, indices: np.ndarray, floor: float, on_progress: OnProgress = ignore) -> Sample:
    """Compare some vectors, whose indices ascend, with all."""
    queries = vectors.rows(indices)
    rows, columns = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for start, block in vectors.blocks(_BLOCK):
        row, column = np.nonzero(queries @ block.T >= np.float32(floor))
        other = indices[row] != column + start
        rows.append(row[other])
        columns.append(column[other] + start)
        on_progress(Advanced(MEASURING, start + len(block), len(vectors)))
    row, column = np.concatenate(rows), np.concatenate(columns)
    order = np.lexsort((column, row))
    return Sample(indices, np.split(column[order], np.searchsorted(row[order], np.arange(1, len(indices)))))


def recall_of(pairs: CosinePairs, sample: Sample) -> float | None:
    """Share of a sample's pairs that are among the found ones; None where the sample has no pair."""
    n = pairs.questions
    wanted = sample.keys(n)
    if not len(wanted):
        return None
    low, high = np.minimum(wanted // n, wanted % n), np.maximum(wanted // n, wanted % n)
    return float(np.isin(low * n + high, pairs.first * n + pairs.second).mean())
