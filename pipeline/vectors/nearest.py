"""Find the nearest vectors of each query by comparing it with all of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.vectors.blocks import Vectors

_QUERIES_AT_ONCE = 1_024
_PRODUCTS_AT_ONCE = 1 << 24
_SMALLEST_BLOCK, _LARGEST_BLOCK = 4_096, 65_536

Multiply = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Neighbours:
    """The nearest vectors of one query, nearest first; of equal cosines the lower index comes first.

    Attributes:
        indices: of the vectors, int64 of shape (found,).
        cosine: to the query, float32 of shape (found,).
    """

    indices: np.ndarray
    cosine: np.ndarray


def nearest(
    queries: np.ndarray,
    vectors: Vectors,
    top: int,
    usable: np.ndarray | None = None,
    exclude_self: bool = False,
    multiply: Multiply = np.matmul,
) -> list[Neighbours]:
    """The `top` nearest vectors of each query.

    Args:
        queries: of length 1, float32 of shape (queries, dimensions).
        usable: which vectors may be found, bool of shape (len(vectors),); None for all.
        exclude_self: the queries are the vectors themselves, and none of them finds itself.
        multiply: the matrix product to compute cosines with; libraries differ in the last digits.
    """
    found: list[Neighbours] = []
    for first in range(0, len(queries), _QUERIES_AT_ONCE):
        part = queries[first : first + _QUERIES_AT_ONCE]
        found += _nearest_of_part(part, vectors, top, usable, first if exclude_self else None, multiply)
    return found


Hits = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Query, vector and cosine of each hit: int64, int64 and float32, all of shape (hits,)."""


def ranked(hits: Hits, queries: int, top: int) -> list[Neighbours]:
    """The `top` nearest vectors of each query among hits in any order."""
    row, index, cosine = _first_of_each_query(hits, top)
    ends = np.searchsorted(row, np.arange(1, queries))
    parts = zip(np.split(index, ends), np.split(cosine, ends), strict=True)
    return [Neighbours(*part) for part in parts] if queries else []


def _nearest_of_part(
    queries: np.ndarray, vectors: Vectors, top: int, usable: np.ndarray | None, own: int | None, multiply: Multiply
) -> list[Neighbours]:
    """See `nearest`; `own` is the index of the first query among the vectors, when no query may find itself."""
    best: Hits = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
    size = min(max(_PRODUCTS_AT_ONCE // max(1, len(queries)), _SMALLEST_BLOCK), _LARGEST_BLOCK)
    for start, block in vectors.blocks(size):
        products = multiply(queries, block.T)
        if usable is not None:
            products[:, ~usable[start : start + len(block)]] = -np.inf
        if own is not None:
            at = np.arange(own, own + len(queries)) - start
            here = np.flatnonzero((at >= 0) & (at < len(block)))
            products[here, at[here]] = -np.inf
        row, column, cosine = _highest(products, top)
        both = [np.concatenate(pair) for pair in zip(best, (row, column + start, cosine), strict=True)]
        best = _first_of_each_query((both[0], both[1], both[2]), top)
    return ranked(best, len(queries), top)


def _highest(products: np.ndarray, top: int) -> Hits:
    """The `top` highest products of each row, and others that equal the last of them."""
    width = products.shape[1]
    # Partitioning the values is ten times as fast as partitioning their indices.
    bound = np.partition(products, width - top, axis=1)[:, width - top, None] if 0 < top < width else -np.inf
    row, column = np.nonzero((products >= bound) & (products > -np.inf))
    return row, column, products[row, column]


def _first_of_each_query(hits: Hits, top: int) -> Hits:
    """The `top` nearest of each query, ordered by query and nearest first."""
    row, index, cosine = hits
    order = np.lexsort((index, -cosine, row))
    row, index, cosine = row[order], index[order], cosine[order]
    kept = np.arange(len(row)) - np.searchsorted(row, row) < top
    return row[kept], index[kept], cosine[kept]
