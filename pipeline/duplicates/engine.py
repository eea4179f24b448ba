"""The interface of engines, which find all pairs of vectors at or above a cosine."""

from abc import ABC, abstractmethod
from typing import ClassVar

from pipeline.core.progress import OnProgress, ignore
from pipeline.duplicates.mined import CosinePairs
from pipeline.duplicates.tiles import refuse_more_than
from pipeline.duplicates.vectors import Vectors

MOST_PAIRS = 50_000_000
"""More pairs than this are refused: 800 MB of results that nobody reads, and far too low a threshold."""


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
    refuse_more_than(MOST_PAIRS, found, floor)
