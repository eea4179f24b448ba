"""Vectors of length 1, read block by block, because not all of them need to fit into memory."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from pipeline.core.errors import ModelError

_PAIRS_AT_ONCE = 16_384


class Vectors(ABC):
    """Vectors of length 1, one for each text of a list, in its order."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def dimensions(self) -> int:
        """Dimensions of a vector."""

    @abstractmethod
    def block(self, start: int, stop: int) -> np.ndarray:
        """The vectors from `start` to before `stop`: float32 of shape (stop - start, dimensions), contiguous."""

    @abstractmethod
    def rows(self, indices: np.ndarray) -> np.ndarray:
        """The vectors at some indices: float32 of shape (len(indices), dimensions)."""

    def blocks(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (start, block) until all vectors are read."""
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
        return np.ascontiguousarray(self._array[start:stop], dtype=np.float32)

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """See `Vectors.rows`."""
        taken: np.ndarray = self._array[indices]
        return taken


def pair_cosines(rows: np.ndarray, vectors: Vectors, row: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The exact cosine of each pair of a row and a vector: float32 of shape (pairs,).

    It doesn't depend on the other pairs, unlike a matrix product, which adds its terms in another order for other
    shapes.

    Args:
        rows: vectors of length 1, float32 of shape (n, dimensions).
        row, index: the position in `rows` and the index in `vectors` of each pair.
    """
    cosines = [
        np.einsum("ij,ij->i", rows[row[at : at + _PAIRS_AT_ONCE]], vectors.rows(index[at : at + _PAIRS_AT_ONCE]))
        for at in range(0, len(row), _PAIRS_AT_ONCE)
    ]
    return np.concatenate([*cosines, np.empty(0, dtype=np.float32)])


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors to length 1; a vector of zeros stays as it is. Returns float32 of the same shape.

    Raises:
        ModelError: when a value is NaN or infinite.
    """
    lengths = np.linalg.norm(vectors.astype(np.float32, copy=False), axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        broken = int((~np.isfinite(lengths)).sum())
        raise ModelError(
            f"the model gave NaN or infinite embeddings for {broken:,} of {len(vectors):,} texts: its training has "
            "diverged or its weights are damaged",
            broken=broken,
        )
    scaled: np.ndarray = vectors / np.where(lengths == 0, 1, lengths).astype(np.float32)
    return scaled
