"""Joins a shard with itself and its guests: every pair at or above a cosine, in bounded memory.

The vectors of the job stay in memory (a job has no more than a bound), and all others pass by in blocks. Where a job
has all vectors of its shard, each file is read for them once, and for the guests once.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.sharding.job import Joined, JoinJob
from pipeline.sharding.parts import DamagedError, opened
from pipeline.sharding.place import Place
from pipeline.sharding.tiles import Comparison, Found, joined, refuse_more_than

_COLUMNS = 2_048
"""Vectors that are compared with those of the job at once: fewer make the products slow."""

Vectors = tuple[np.ndarray, np.ndarray]
"""Numbers, int64 of shape (n,), and vectors, float32 of shape (n, dimensions)."""


def join_shard(job: JoinJob) -> Joined:
    """Do the join. Damage is a result: whoever asked for it can make a part again.

    Raises:
        PipelineError: when there are more pairs than the job allows.
    """
    place = Place(job.place)
    try:
        return Joined(_pairs(place, job))
    except DamagedError as error:
        return Joined(damaged=error.name, reason=error.reason)


def _pairs(place: Place, job: JoinJob) -> Found:
    own = list(_members(place, job))
    if not own:
        return joined([])
    numbers, rows = (np.concatenate(column) for column in zip(*own, strict=True))
    comparison = Comparison.at(job.floor)
    prepared = comparison.tensor(rows)
    found: list[Found] = []
    count = 0
    # Vectors before these in the order of the shard don't count: the jobs of those compare them with these.
    for at, (others, columns) in _cut_up(rows, numbers):
        first, second = comparison.hopeful(prepared[: at + len(columns)], comparison.tensor(columns))
        above = first < second + at
        found.append(_named(comparison.scored(rows, columns, first[above], second[above]), numbers, others))
        count = _counted(count, found, job)
    for others, columns in _blocks(_others(place, job)):
        first, second = comparison.hopeful(prepared, comparison.tensor(columns))
        found.append(_named(comparison.scored(rows, columns, first, second), numbers, others))
        count = _counted(count, found, job)
    return joined(found)


def _counted(count: int, found: list[Found], job: JoinJob) -> int:
    count += len(found[-1][0])
    refuse_more_than(job.most, count, job.floor)
    return count


def _named(found: Found, numbers: np.ndarray, others: np.ndarray) -> Found:
    first, second = numbers[found[0]], others[found[1]]
    return np.minimum(first, second), np.maximum(first, second), found[2]


def _cut_up(rows: np.ndarray, numbers: np.ndarray) -> Iterator[tuple[int, Vectors]]:
    for at in range(0, len(rows), _COLUMNS):
        yield at, (numbers[at : at + _COLUMNS], rows[at : at + _COLUMNS])


def _members(place: Place, job: JoinJob) -> Iterator[Vectors]:
    """The shard's own vectors from `first` to before `last`, a part at a time."""
    at = 0
    for part in opened(place, job.parts):
        n = int(part.home[job.shard])
        low, high = max(job.first - at, 0), min(job.last - at, n)
        if low < high:
            numbers, vectors = part.at_home(job.shard)
            yield numbers[low:high], vectors[low:high]
        at += n


def _others(place: Place, job: JoinJob) -> Iterator[Vectors]:
    """The shard's own vectors after those of the job, and its guests."""
    at = 0
    for part in opened(place, job.parts):
        n = int(part.home[job.shard])
        if n and at + n > job.last:
            numbers, vectors = part.at_home(job.shard)
            low = max(job.last - at, 0)
            yield numbers[low:], vectors[low:]
        at += n
        if part.guests[job.shard]:
            yield part.guests_of(job.shard)


def _blocks(some: Iterator[Vectors]) -> Iterator[Vectors]:
    """The same vectors in blocks: parts of a large corpus have a few of each shard."""
    held: list[Vectors] = []
    size = 0
    for vectors in some:
        held.append(vectors)
        size += len(vectors[0])
        if size >= _COLUMNS:
            numbers, columns = (np.concatenate(column) for column in zip(*held, strict=True))
            whole = size - size % _COLUMNS
            for at in range(0, whole, _COLUMNS):
                yield numbers[at : at + _COLUMNS], columns[at : at + _COLUMNS]
            held, size = [(numbers[whole:], columns[whole:])], size - whole
    if size:
        numbers, columns = (np.concatenate(column) for column in zip(*held, strict=True))
        yield numbers, columns
