"""Vectors of questions, read block by block: nobody who uses them assumes that all of them fit into memory."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np


class Vectors(ABC):
    """Vectors of length 1, one for each question of a corpus, in its order."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def dimensions(self) -> int:
        """Numbers in a vector."""

    @abstractmethod
    def block(self, start: int, stop: int) -> np.ndarray:
        """The vectors from `start` to before `stop`: float32 of shape (stop - start, dimensions), contiguous."""

    @abstractmethod
    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """The vectors with these numbers: float32 of shape (len(numbers), dimensions)."""

    def blocks(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (start, block) until all vectors were read."""
        for start in range(0, len(self), size):
            yield start, self.block(start, min(start + size, len(self)))


class ArrayVectors(Vectors):
    """Vectors in one array, in memory or mapped from a file."""

    def __init__(self, array: np.ndarray) -> None:
        """Take vectors of length 1: float32 of shape (n, dimensions)."""
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    @property
    def dimensions(self) -> int:
        """See `Vectors.dimensions`."""
        return int(self._array.shape[1])

    def block(self, start: int, stop: int) -> np.ndarray:
        """See `Vectors.block`."""
        # A copy: torch takes no array that can't be written to, as a mapped file can't.
        return np.array(self._array[start:stop], dtype=np.float32, order="C")

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """See `Vectors.rows`."""
        taken: np.ndarray = self._array[numbers]
        return taken
