"""Finds the questions of a corpus that are most similar to a new one."""

from dataclasses import dataclass

import numpy as np

from pipeline.duplicates.vectors import Vectors

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


def nearest(query: np.ndarray, vectors: Vectors, top: int) -> Found:
    """The `top` nearest of all vectors, by comparing with each; ties by number.

    Args:
        query: float32 of shape (dimensions,), of length 1.
    """
    numbers, cosines = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    for start, block in vectors.blocks(_BLOCK):
        products = block @ query
        cosines = np.concatenate([cosines, products])
        numbers = np.concatenate([numbers, np.arange(start, start + len(block))])
        if len(numbers) > top:
            order = np.lexsort((numbers, -cosines))[:top]
            numbers, cosines = numbers[order], cosines[order]
    order = np.lexsort((numbers, -cosines))
    return Found(numbers[order], cosines[order])
