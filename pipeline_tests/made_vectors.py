"""Made vectors for tests, and their pairs by brute force."""

import numpy as np

from pipeline.vectors.blocks import unit
from pipeline.vectors.pairs import CosinePairs


def some_vectors(n: int, seed: int = 0, dimensions: int = 24) -> np.ndarray:
    """Vectors in groups of like ones, some of them equal."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(1, n // 4), dimensions))
    vectors = centres[random.integers(len(centres), size=n)] + 0.25 * random.normal(size=(n, dimensions))
    if n > 3:
        vectors[n // 2] = vectors[0]
    return unit(vectors.astype(np.float32)) if n else np.empty((0, dimensions), dtype=np.float32)


def brute_force(vectors: np.ndarray, floor: float) -> set[tuple[int, int]]:
    similar = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    return {(int(i), int(j)) for i, j in zip(*np.nonzero(similar >= floor), strict=True) if i < j}


def as_set(pairs: CosinePairs) -> set[tuple[int, int]]:
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
