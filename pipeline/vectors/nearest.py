"""Finds the questions of a corpus that are most similar to a new one."""

from dataclasses import dataclass

import numpy as np

from pipeline.vectors.blocks import Vectors

_BLOCK = 65_536


@dataclass(frozen=True)
class Found:
    """The most similar questions, most similar first.

    Attributes:
        numbers: which they are, int64 of shape (found,).
        cosine: float32 of shape (found,).
    """

    numbers: np.ndarray
    cosine: np.ndarray

    @classmethod
    def of(cls, numbers: np.ndarray, cosine: np.ndarray, top: int) -> "Found":
        """The `top` most similar of some questions; ties by number."""
        order = np.lexsort((numbers, -cosine))[:top]
        return cls(numbers[order], cosine[order])


def nearest(query: np.ndarray, vectors: Vectors, top: int) -> Found:
    """The `top` nearest of all vectors, by comparing with each; ties by number.

    Args:
        query: float32 of shape (dimensions,), of length 1.
    """
    best = Found(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
    for start, block in vectors.blocks(_BLOCK):
        best = Found.of(
            np.concatenate([best.numbers, np.arange(start, start + len(block))]),
            np.concatenate([best.cosine, block @ query]),
            top,
        )
    return best
