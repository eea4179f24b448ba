"""Joins shards with themselves and their guests: every pair at or above a cosine, in bounded memory.

The own vectors of a job stay in memory (a job has no more than a bound), and all others pass by. Where a job has all
vectors of its shards, each file is read for them once, and for the guests once. Several files are read ahead: on object
storage the time until an answer comes is longer than that of comparing.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from pipeline.sharding.job import Joined, JoinJob
from pipeline.sharding.parts import DamagedError, Part
from pipeline.sharding.place import Place
from pipeline.sharding.tiles import Comparison, Found, joined, refuse_more_than

_COLUMNS = 2_048
"""Vectors that are compared with a slice at once."""

_HELD = 16_384
"""Passing vectors that are gathered before they are compared: few at a time make the products slow."""

_READ_AHEAD = 8
"""Files that are read while others are compared."""

Vectors = tuple[np.ndarray, np.ndarray]
"""Numbers, int64 of shape (n,), and vectors, float32 of shape (n, dimensions)."""

ReadT = TypeVar("ReadT")


def join_shards(job: JoinJob) -> Joined:
    """Do the join. Damage is a result: whoever asked for it can make a part again.

    Raises:
        PipelineError: when there are more pairs than the job allows.
    """
    place = Place(job.place)
    try:
        return Joined(_pairs(place, job))
    except DamagedError as error:
        return Joined(damaged=error.name, reason=error.reason)


@dataclass
class _Own:
    """The vectors of a slice, and those that wait to be compared with them."""

    numbers: np.ndarray
    rows: np.ndarray
    prepared: Any
    passing: list[Vectors] = field(default_factory=list)


def _pairs(place: Place, job: JoinJob) -> Found:
    comparison = Comparison.at(job.floor)
    own = [_Own(numbers, rows, comparison.tensor(rows)) for numbers, rows in _members(place, job)]
    found: list[Found] = []
    count = 0

    def take(slice_: _Own, first: np.ndarray, second: np.ndarray, others: np.ndarray, columns: np.ndarray) -> None:
        nonlocal count
        first, second, cosine = comparison.scored(slice_.rows, columns, first, second)
        first, second = slice_.numbers[first], others[second]
        count += len(first)
        refuse_more_than(job.most, count, job.floor)
        found.append((np.minimum(first, second), np.maximum(first, second), cosine))

    for slice_ in own:
        for at in range(0, len(slice_.rows), _COLUMNS):
            # Vectors before these in the slice are compared with them, not they with those.
            columns, others = slice_.rows[at : at + _COLUMNS], slice_.numbers[at : at + _COLUMNS]
            first, second = comparison.hopeful(slice_.prepared[: at + len(columns)], comparison.tensor(columns))
            above = first < second + at
            take(slice_, first[above], second[above], others, columns)
    held = 0
    for last, passing in _passing(place, job):
        for slice_, vectors in zip(own, passing, strict=True):
            slice_.passing += vectors
            held += sum(len(numbers) for numbers, _ in vectors)
        if held < _HELD and not last:
            continue
        for slice_ in own:
            for others, columns in _blocks(slice_.passing):
                first, second = comparison.hopeful(slice_.prepared, comparison.tensor(columns))
                take(slice_, first, second, others, columns)
            slice_.passing = []
        held = 0
    return joined(found)


def _members(place: Place, job: JoinJob) -> list[Vectors]:
    """The own vectors of each slice."""
    parts: list[list[Vectors]] = [[] for _ in job.slices]
    before = [0] * len(job.slices)

    def read(part: Part) -> list[tuple[int, Vectors | None]]:
        counts = [int(part.home[slice_.shard]) for slice_ in job.slices]
        # Whether any of them are of the slice is known when the parts before have been counted.
        return [(n, part.at_home(slice_.shard) if n else None) for n, slice_ in zip(counts, job.slices, strict=True)]

    for of_part in _read_ahead(place, job.parts, read):
        for at, (slice_, (n, vectors)) in enumerate(zip(job.slices, of_part, strict=True)):
            low, high = max(slice_.first - before[at], 0), min(slice_.last - before[at], n)
            if vectors and low < high:
                parts[at].append((vectors[0][low:high], vectors[1][low:high].copy()))
            before[at] += n
    return [_together(some) for some in parts]


def _passing(place: Place, job: JoinJob) -> Iterator[tuple[bool, list[list[Vectors]]]]:
    """For each slice what a part has to be compared with it: vectors of its shard after its own, and guests; and
    whether the part is the last one."""
    before = [0] * len(job.slices)

    def read(part: Part) -> list[tuple[int, Vectors | None, Vectors | None]]:
        return [
            (
                n := int(part.home[slice_.shard]),
                part.at_home(slice_.shard) if n and not slice_.is_whole else None,
                part.guests_of(slice_.shard) if part.guests[slice_.shard] else None,
            )
            for slice_ in job.slices
        ]

    for number, of_part in enumerate(_read_ahead(place, job.parts, read), start=1):
        passing: list[list[Vectors]] = []
        for at, (slice_, (n, home, guests)) in enumerate(zip(job.slices, of_part, strict=True)):
            passing.append([guests] if guests else [])
            low = max(slice_.last - before[at], 0)
            if home and low < n:
                passing[-1].append((home[0][low:], home[1][low:]))
            before[at] += n
        yield number == len(job.parts), passing


def _read_ahead(place: Place, names: Sequence[str], read: Callable[[Part], ReadT]) -> Iterator[ReadT]:
    """What is read of each part, in order."""

    def one(name: str) -> ReadT:
        part = Part(place, name)
        try:
            return read(part)
        finally:
            part.close()

    left = iter(names)
    with ThreadPoolExecutor(_READ_AHEAD) as pool:
        waiting: deque[Future[ReadT]] = deque()
        try:
            while True:
                waiting.extend(pool.submit(one, name) for name in islice(left, _READ_AHEAD - len(waiting)))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _together(some: Sequence[Vectors]) -> Vectors:
    numbers, rows = (np.concatenate(column) for column in zip(*some, strict=True))
    return numbers, rows


def _blocks(some: Sequence[Vectors]) -> Iterator[Vectors]:
    if some:
        numbers, rows = _together(some)
        for at in range(0, len(rows), _COLUMNS):
            yield numbers[at : at + _COLUMNS], rows[at : at + _COLUMNS]
