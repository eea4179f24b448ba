"""Which vectors go to which shard: around centroids of k-means, and as guests to those shards that may hold a partner.

Each vector is at home with its most similar centroid. Two vectors with different homes i and j lie on two sides of the
plane between their centroids, so the angle between them is at least the sum of their angles to that plane. Where it is
at most arccos(c), one of both is within half of that of the plane: its distance is at most sqrt((1 - c) / 2). So if
every vector is a guest in each shard whose plane is no further away than that *margin*, every pair at or above the
cosine c has one end at home where the other one is at home or a guest. This is the exact rule. It costs many guests,
since it reckons with partners that lie straight beyond the plane; in many dimensions next to none do. The margin that
finds a wanted share of the pairs is smaller by far: it is chosen on the pairs of a sample, each of which says from
which margin on it is found.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.duplicates.recall import Sample
from pipeline.duplicates.vectors import Vectors
from pipeline.sharding.parts import Sorted

_ROWS = 4_096
"""Vectors that are compared with all centroids at once."""

_FEWEST, _MOST_SHARDS = 1_024, 8_192
"""Vectors in a shard, and shards."""

_ROUNDING = 1e-5
"""By which a distance to a plane may be off in fp32."""

_MOST_TUNED = 50_000
"""Pairs of the sample that the margin is chosen on: their vectors are in memory."""


@dataclass(frozen=True)
class ShardSettings:
    """How the work is cut.

    Attributes:
        rows: vectors that are at home in a shard, on average; by default as many as `rows_for` says.
        split_above: a shard with this often as many, by the sample of k-means, is split again.
        job_rows: vectors that one job holds in memory: those of some shards, or a slice of a large one.
        part_bytes: vectors of a part, which are in memory while they are sorted.
        trained_per_shard, most_trained: vectors that k-means learns from.
        recall: share of the pairs that shall be found, by the sample; 1 takes the exact rule.
        sampled: questions in each of the two samples: one chooses the margin, the other measures the recall.
        seed: of the samples and of k-means.
    """

    rows: int | None = None
    split_above: float = 2.0
    job_rows: int = 32_768
    part_bytes: int = 256 << 20
    trained_per_shard: int = 64
    most_trained: int = 262_144
    recall: float = 0.995
    sampled: int = 2_000
    seed: int = 0


def rows_for(n: int) -> int:
    """Vectors in a shard of a corpus of `n`.

    Each vector is compared with all centroids, n / rows, and then with about three times `rows` vectors: that sum is
    least at the root of n / 3. Smaller and more shards than the bounds cost more in reads than they save.
    """
    return int(max((n / 3) ** 0.5, _FEWEST, n / _MOST_SHARDS))


@dataclass(frozen=True)
class ShardPlan:
    """The centroids, and how near to the plane between two a vector is a guest.

    Attributes:
        centroids: of length 1, float32 of shape (shards, dimensions).
        margin: see above.
        tuned_on: pairs that it was chosen on; 0 for the exact rule.
    """

    centroids: np.ndarray
    margin: float
    tuned_on: int

    @cached_property
    def gaps(self) -> np.ndarray:
        """Distances between the centroids, float32 of shape (shards, shards)."""
        return _gaps(self.centroids)

    def sort(self, block: np.ndarray) -> Sorted:
        """The home and the shards to visit of each vector of a block."""
        homes, visitors, visited = [], [], []
        for start in range(0, len(block), _ROWS):
            products = block[start : start + _ROWS] @ self.centroids.T
            home = products.argmax(axis=1)
            beyond = products.max(axis=1, keepdims=True) - products
            near = beyond <= (self.margin + _ROUNDING) * self.gaps[home]
            near[np.arange(len(home)), home] = False
            rows, shards = np.nonzero(near)
            homes.append(home)
            visitors.append(rows + start)
            visited.append(shards)
        rows, shards = np.concatenate(visitors), np.concatenate(visited)
        return Sorted(
            _grouped(np.arange(len(block)), np.concatenate(homes), len(self.centroids)),
            _grouped(rows, shards, len(self.centroids)),
        )


def exact_margin(floor: float) -> float:
    """The margin with which no pair at or above a cosine is missed."""
    return float(np.sqrt((1 - floor) / 2))


def make_plan(vectors: Vectors, floor: float, tuning: Sample, settings: ShardSettings) -> ShardPlan:
    """Find the centroids, and the margin that finds enough of a sample's pairs."""
    centroids = _centroids(vectors, settings)
    first, second = tuning.ends
    if settings.recall >= 1 or not len(first):
        return ShardPlan(centroids, exact_margin(floor), 0)
    if len(first) > _MOST_TUNED:
        kept = np.sort(np.random.default_rng(settings.seed).choice(len(first), _MOST_TUNED, replace=False))
        first, second = first[kept], second[kept]
    margins = found_from(centroids, vectors.rows(first), vectors.rows(second))
    margin = _margin_for(margins, _groups(first, second), settings.recall)
    return ShardPlan(centroids, min(margin, exact_margin(floor)), len(margins))


def _groups(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The number of the group of questions that each pair is in, where pairs join questions to groups: int64 of shape
    (pairs,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    questions, ends = np.unique(np.concatenate([first, second]), return_inverse=True)
    start, stop = np.split(ends, 2)
    joined = coo_array((np.ones(len(start), dtype=bool), (start, stop)), shape=(len(questions), len(questions)))
    groups: np.ndarray = connected_components(joined, directed=False)[1]
    return groups[start]


def _margin_for(margins: np.ndarray, group: np.ndarray, recall: float) -> float:
    """The margin that finds a share of the pairs, and two standard errors more, since a sample's pairs may be nearer by
    chance than all are.

    The pairs of a group lie close together and are found or missed together, so the error is that of groups (the ratio
    estimator of cluster samples, Cochran, "Sampling Techniques", 1977, chapter 9).

    Args:
        margins: from which on each pair of the sample is found.
        group: of each pair, see `_groups`.
    """
    ordered = np.sort(margins)
    found = margins <= ordered[max(0, int(np.ceil(len(margins) * recall)) - 1)]
    difference = np.bincount(group, found) - found.mean() * np.bincount(group)
    error = np.sqrt((difference**2).sum()) / len(margins)
    enough = int(np.ceil(len(margins) * (recall + 2 * error)))
    return float(ordered[min(enough, len(margins)) - 1])


def found_from(centroids: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The margin from which on each pair of vectors is found; 0 for those of one shard."""
    gaps = _gaps(centroids)
    to_first, to_second = first @ centroids.T, second @ centroids.T
    at = np.arange(len(first))
    i, j = to_first.argmax(axis=1), to_second.argmax(axis=1)
    nearer = np.minimum(to_first[at, i] - to_first[at, j], to_second[at, j] - to_second[at, i])
    return np.where(i == j, 0, nearer / np.maximum(gaps[i, j], 1e-12))


def _gaps(centroids: np.ndarray) -> np.ndarray:
    # For length 1, |a - b|² is 2 - 2ab.
    return np.sqrt(np.maximum(2 - 2 * (centroids @ centroids.T), 0)).astype(np.float32)


def _centroids(vectors: Vectors, settings: ShardSettings) -> np.ndarray:
    n = len(vectors)
    rows = settings.rows or rows_for(n)
    shards = max(1, round(n / rows))
    random = np.random.default_rng(settings.seed)
    size = min(n, shards * settings.trained_per_shard, settings.most_trained)
    sample = vectors.rows(np.sort(random.choice(n, size=size, replace=False)))
    centroids = _k_means(sample, shards, settings.seed)
    home = (sample @ centroids.T).argmax(axis=1)
    share = np.bincount(home, minlength=len(centroids)) / len(sample)
    parts = []
    for shard, expected in enumerate(share * n):
        if expected > settings.split_above * rows:
            parts.append(_k_means(sample[home == shard], round(expected / rows), settings.seed))
        else:
            parts.append(centroids[shard : shard + 1])
    return np.concatenate(parts)


def _k_means(sample: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Centroids of length 1; one that has none, of vectors that cancel each other out, is left out."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    if clusters < 2 or len(sample) <= clusters:
        found = sample.mean(axis=0, keepdims=True)
    else:
        with warnings.catch_warnings():
            # Of many equal vectors fewer centroids come out, some of them twice: more guests, and nothing else.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = MiniBatchKMeans(clusters, batch_size=4_096, max_iter=20, n_init=1, random_state=seed)
            found = model.fit(sample).cluster_centers_
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    centroids: np.ndarray = (found / np.where(lengths < 1e-9, 1, lengths)).astype(np.float32)
    kept = centroids[lengths[:, 0] >= 1e-9]
    # Some direction will do for vectors that have none.
    return kept if len(kept) else np.eye(1, sample.shape[1], dtype=np.float32)


def _grouped(rows: np.ndarray, shards: np.ndarray, count: int) -> list[np.ndarray]:
    """The rows of each shard, ascending."""
    order = np.argsort(shards, kind="stable")
    ends = np.cumsum(np.bincount(shards, minlength=count))
    return np.split(rows[order].astype(np.int64), ends[:-1])
