"""All pairs of vectors at or above a cosine: the value, the interface of engines that find them, and their recall."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from pipeline.core.errors import PipelineError, ResourceError
from pipeline.core.progress import Advanced, OnProgress, ignore
from pipeline.vectors.blocks import Vectors

MEASURING = "comparing a sample with all questions"
_SAMPLE_BLOCK = 16_384

MOST_PAIRS = 50_000_000
"""More pairs than this are refused: 800 MB of results that nobody reads, and far too low a threshold."""


@dataclass(frozen=True)
class CosinePairs:
    """All pairs of a corpus's questions at or above a cosine.

    Attributes:
        questions: how many the corpus has.
        floor: that cosine: nothing below it was looked for.
        first, second: numbers of the questions, int64 of shape (pairs,), first below second.
        cosine: float32 of shape (pairs,), descending; ties by the numbers.
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
        """Those at or above another threshold.

        Raises:
            PipelineError: for one below the floor, as pairs there were not looked for.
        """
        if threshold < self.floor:
            raise PipelineError(
                f"pairs were mined from a cosine of {self.floor:.4f} on, so nothing is known at {threshold:.4f}: mine "
                "again with a lower floor"
            )
        kept = int(np.searchsorted(-self.cosine, -np.float32(threshold), side="right"))
        return CosinePairs(self.questions, threshold, self.first[:kept], self.second[:kept], self.cosine[:kept])

    @cached_property
    def degree(self) -> np.ndarray:
        """In how many pairs each question stands: int64 of shape (questions,)."""
        return np.bincount(np.concatenate([self.first, self.second]), minlength=self.questions)

    @property
    def duplicate_ratio(self) -> float:
        """Share of the questions that stand in a pair; 0 for an empty corpus."""
        return float((self.degree > 0).mean()) if self.questions else 0.0

    def least_similar(self, pairs: int = 10) -> "CosinePairs":
        """The pairs just above the threshold, where mistakes are likeliest; least similar last."""
        start = max(0, len(self) - pairs)
        return CosinePairs(self.questions, self.floor, self.first[start:], self.second[start:], self.cosine[start:])


class Engine(ABC):
    """One way to find them. Its settings are a class of its own, which it is made with.

    Attributes:
        name: what people call it.
        remark: what there is to say of the last work, such as how much was missed; empty where there is nothing.
        recall: share of a sample's pairs that the last work found; None where it finds all, or the sample has none.
    """

    name: ClassVar[str]
    remark: str = ""
    recall: float | None = None

    @abstractmethod
    def pairs(self, vectors: Vectors, floor: float, on_progress: OnProgress = ignore) -> CosinePairs:
        """All pairs at or above the floor, or as many of them as the engine finds.

        Raises:
            PipelineError: when there are more than 50 million, or what the engine needs is not there.
        """


def refuse_too_many(found: int, floor: float) -> None:
    """Stop before memory is full.

    Raises:
        PipelineError: when more than `MOST_PAIRS` were found.
    """
    if found > MOST_PAIRS:
        raise ResourceError(
            f"more than {MOST_PAIRS:,} pairs have a cosine of {floor:.4f} or more: raise the floor, or the threshold",
            most=MOST_PAIRS,
            floor=floor,
        )


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
    for start, block in vectors.blocks(_SAMPLE_BLOCK):
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
