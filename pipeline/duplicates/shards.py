"""Finds pairs in a corpus whose vectors no memory holds: sorted into shards on a disk or object storage, then joined.

Steps, each of which finds what an earlier run has done:

1. The vectors are read once for their hash, which names the work's folder together with the floor and the settings.
2. A sample is compared with all, and the plan is made (`pipeline.duplicates.shard_plan`).
3. Part by part, the vectors are written by shard (`pipeline.sharding.parts`).
4. Shards are joined with themselves and their guests, some in a job, wherever the compute does that
   (`pipeline.sharding.join`).
5. The results are put together, each pair once, and the files of vectors are deleted.

Layout of the work's folder::

    plan.json                                     centroids, margin, and the sample that measures the recall
    <hash of the plan>/parts/<part>.<making>.arrow   vectors by shard
    <hash of the plan>/jobs.json                  which joins there are
    <hash of the plan>/joins/<shard>-<first>.arrow   pairs that a job found, which begins there

In memory are the vectors of a part, of a job, and of the samples, and all pairs.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.compute.base import Compute
from pipeline.core.checksums import checked_json, read_checked
from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.files import bytes_sha256, content_version
from pipeline.core.locks import held_alone
from pipeline.core.progress import Advanced, LogLine, OnProgress, ignore
from pipeline.duplicates import engine as limits
from pipeline.duplicates.engine import Engine, refuse_too_many
from pipeline.duplicates.mined import CosinePairs
from pipeline.duplicates.recall import Sample, exact_sample, recall_of
from pipeline.duplicates.shard_plan import ShardPlan, ShardSettings, make_plan
from pipeline.duplicates.vectors import Vectors
from pipeline.sharding.job import Joined, JoinJob, Slice
from pipeline.sharding.parts import DamagedError, Part, write_part
from pipeline.sharding.place import Place
from pipeline.sharding.tiles import NOTHING, Found
from pipeline.sharding.tiles import joined as as_one

READING = "reading the vectors"
PLANNING = "finding the centroids of shards"
SORTING = "sorting vectors into shards"
STAGE = "joining shards"
_FORM = 1
"""Of the files. Another number finds none of an earlier form."""

_BLOCK = 16_384
_PART = re.compile(r"(\d+)\.(\d+)\.arrow")


class ShardedJoin(Engine):
    """Joins shard by shard; finds nearly all pairs, or all where the recall is 1."""

    name: ClassVar[str] = "shards"

    def __init__(self, location: str, compute: Compute, settings: ShardSettings | None = None) -> None:
        """Take a folder or URL for the shards, and what joins them."""
        self.location, self.compute, self.settings = location, compute, settings or ShardSettings()

    def pairs(self, vectors: Vectors, floor: float, on_progress: OnProgress = ignore) -> CosinePairs:
        """See `Engine.pairs`; `remark` says how many were missed, by a sample."""
        n = len(vectors)
        if n < 2:
            return CosinePairs.of(n, floor, *NOTHING)
        version = content_version([_FORM, _content(vectors, on_progress), floor, asdict(self.settings)])
        place = Place(self.location).below(version)
        with _alone(place):
            plan, test, digest = _planned(place, vectors, floor, self.settings, on_progress)
            work = _Work(place.below(digest), vectors, plan, floor, self.settings, on_progress)
            work.join(self.compute)
            found, guests = work.found(), work.guests
            pairs = _once(n, floor, found)
            refuse_too_many(len(pairs), floor)
            work.place.below("parts").clear()
        self.recall = recall_of(pairs, test)
        missed = "the sample has no pair" if self.recall is None else f"it found {self.recall:.2%} of {test.pairs:,}"
        how = f"tuned on {plan.tuned_on:,} pairs" if plan.tuned_on else "by the exact rule, which misses none"
        self.remark = (
            f"{len(plan.centroids):,} shards, {guests / n:.2f} guests for each question (margin {plan.margin:.4f}, "
            f"{how}); of the pairs of {len(test.numbers):,} sampled questions {missed}"
        )
        return pairs


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Keep other processes of this machine out of a folder. On a store of objects nothing is held: two that do the
    same write the same."""
    if place.local is None:
        yield
        return
    place.local.mkdir(parents=True, exist_ok=True)
    with held_alone(place.local, "mines in"):
        yield


def _content(vectors: Vectors, on_progress: OnProgress) -> str:
    digest = hashlib.sha256()
    for start, block in vectors.blocks(_BLOCK):
        digest.update(np.ascontiguousarray(block).data)
        on_progress(Advanced(READING, start + len(block), len(vectors)))
    return digest.hexdigest()


# --- the plan ---------------------------------------------------------------------------------------------------


def _planned(
    place: Place, vectors: Vectors, floor: float, settings: ShardSettings, on_progress: OnProgress
) -> tuple[ShardPlan, Sample, str]:
    """The plan, the sample that measures the recall, and the hash of both: of an earlier run, or new ones."""
    if "plan.json" in place.names():
        try:
            content = place.read("plan.json")
            return *_plan_of(read_checked(content), vectors.dimensions), bytes_sha256(content)[:16]
        except (OSError, ValueError, KeyError, TypeError) as error:
            on_progress(LogLine(f"the plan in {place.location} is damaged ({reason_of(error)}): it is made again"))
    random, n = np.random.default_rng(settings.seed), len(vectors)
    drawn = random.permutation(n)[: 2 * settings.sampled]
    both = exact_sample(vectors, np.sort(drawn), floor, on_progress)
    for_tuning = np.isin(both.numbers, drawn[::2])
    tuning, test = both.only(for_tuning), both.only(~for_tuning)
    on_progress(Advanced(PLANNING, 0, n))
    content = checked_json(_fields(make_plan(vectors, floor, tuning, settings), test))
    on_progress(Advanced(PLANNING, n, n))
    place.write("plan.json", content)
    # As a later run will read it.
    return *_plan_of(read_checked(content), vectors.dimensions), bytes_sha256(content)[:16]


def _fields(plan: ShardPlan, test: Sample) -> dict[str, Any]:
    first, second = test.ends
    arrays = {"centroids": plan.centroids, "sampled": test.numbers, "first": first, "second": second}
    return {
        "margin": plan.margin,
        "tuned_on": plan.tuned_on,
        **{name: base64.b64encode(np.ascontiguousarray(array).tobytes()).decode() for name, array in arrays.items()},
    }


def _plan_of(fields: dict[str, Any], dimensions: int) -> tuple[ShardPlan, Sample]:
    def array(name: str, kind: str) -> np.ndarray:
        return np.frombuffer(base64.b64decode(fields[name]), dtype=kind)

    plan = ShardPlan(
        array("centroids", "<f4").reshape(-1, dimensions), float(fields["margin"]), int(fields["tuned_on"])
    )
    numbers, first, second = (array(name, "<i8") for name in ("sampled", "first", "second"))
    bounds = np.searchsorted(first, numbers[1:])
    return plan, Sample(numbers, np.split(second, bounds) if len(numbers) else [])


# --- parts and joins --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Piece:
    """What one job compares, and how many products that takes."""

    slices: tuple[Slice, ...]
    products: int

    @property
    def file(self) -> str:
        return f"{self.slices[0].shard:05}-{self.slices[0].first:09}.arrow"


class _Work:
    """The parts and joins of a plan, as far as they are there."""

    def __init__(
        self,
        place: Place,
        vectors: Vectors,
        plan: ShardPlan,
        floor: float,
        settings: ShardSettings,
        on_progress: OnProgress,
    ) -> None:
        self.place = place
        self._vectors, self._plan, self._floor, self._settings = vectors, plan, floor, settings
        self._on_progress = on_progress
        self._parts, self._joins = place.below("parts"), place.below("joins")
        self._rows = max(1, settings.part_bytes // (4 * vectors.dimensions))
        self._pieces: list[_Piece] = []
        self.guests = 0

    def join(self, compute: Compute) -> None:
        """Do the joins that aren't there yet, and for them the parts that aren't.

        Raises:
            PipelineError: when a part is damaged again and again, or the place can't be written to.
        """
        self._read_pieces()
        if self._pieces and not self._missing():
            return
        names, reason = self._written(self._part_names()), ""
        for _ in range(3):
            damaged = self._joined(compute, self._missing(), names)
            if not damaged:
                return
            for name, reason in sorted(damaged.items()):
                self._tell(f"the shards in {self._parts.location}/{name} are damaged ({reason}): they are made again")
            names = self._written({number: name for number, name in names.items() if name not in damaged}, names)
        raise PipelineError(
            f"the shards in {self._parts.location} were damaged three times over ({reason}): check that disk or "
            "storage, or set PIPELINE_SHARDS to another place"
        )

    def found(self) -> list[Found]:
        """What all joins found; a pair may be there twice."""
        found, count = [], 0
        for piece in self._pieces:
            try:
                found.append(Joined.from_bytes(self._joins.read(piece.file)).pairs)
            except (OSError, ValueError) as error:
                raise PipelineError(
                    f"the join {self._joins.location}/{piece.file} can't be read ({reason_of(error)}): mine again, and "
                    "it is made again"
                ) from error
            count += len(found[-1][0])
            # Both ends may have found it.
            refuse_too_many(count // 2, self._floor)
        return found

    # --- parts ---

    def _part_names(self) -> dict[int, str]:
        """The newest making of each part that is there."""
        found: dict[int, tuple[int, str]] = {}
        for match in filter(None, map(_PART.fullmatch, self._parts.names())):
            number, making = int(match[1]), int(match[2])
            found[number] = max(found.get(number, (-1, "")), (making, match[0]))
        return {number: name for number, (_, name) in found.items()}

    def _written(self, there: dict[int, str], before: dict[int, str] | None = None) -> dict[int, str]:
        """Write the parts that aren't there, and find out which jobs there are.

        Args:
            before: names of damaged parts, which get others: a container may hold a copy by the old name.
        """
        n, names, counts = len(self._vectors), dict(there), {}
        for number, start in enumerate(range(0, n, self._rows)):
            if number in names:
                counts[number] = self._counts(names[number])
            if number not in names or counts[number] is None:
                old = names.get(number) or (before or {}).get(number)
                making = int(old.split(".")[1]) + 1 if old else 0
                names[number] = f"{number:05}.{making}.arrow"
                block = self._vectors.block(start, min(start + self._rows, n))
                write_part(self._parts, names[number], start, block, self._plan.sort(block))
                if old and old in self._parts.names():
                    self._parts.remove(old)
                counts[number] = self._counts(names[number])
            self._on_progress(Advanced(SORTING, min(start + self._rows, n), n))
        self._cut([count for count in counts.values() if count is not None])
        return names

    def _counts(self, name: str) -> np.ndarray | None:
        """Vectors at home and guests in each shard, int64 of shape (2, shards); None for a damaged part."""
        try:
            part = Part(self._parts, name)
        except DamagedError as error:
            self._tell(f"the shards in {self._parts.location}/{name} are damaged ({error.reason}): they are made again")
            return None
        part.close()
        return np.stack([part.home, part.guests])

    # --- joins ---

    def _cut(self, counts: Sequence[np.ndarray]) -> None:
        """Make the list of jobs, and keep it."""
        home, guests = np.sum(counts, axis=0)
        pieces: list[_Piece] = []
        slices: list[Slice] = []
        held = products = 0
        most = self._settings.job_rows
        for shard, (own, visiting) in enumerate(zip(home.tolist(), guests.tolist(), strict=True)):
            for first in range(0, own, most):
                last = min(first + most, own)
                size = last - first
                if size * (own - last + visiting) + size * (size - 1) // 2 == 0:
                    continue
                if slices and held + size > most:
                    pieces.append(_Piece(tuple(slices), products))
                    slices, held, products = [], 0, 0
                slices.append(Slice(shard=shard, first=first, last=last, is_whole=size == own))
                held += size
                products += size * (own - last + visiting) + size * (size - 1) // 2
        if slices:
            pieces.append(_Piece(tuple(slices), products))
        if self._pieces and pieces != self._pieces:
            # Made again on another machine, vectors at the very edge of a shard may have changed sides.
            self._joins.clear()
        self._pieces, self.guests = pieces, int(guests.sum())
        jobs = [{"slices": [part.model_dump() for part in each.slices], "products": each.products} for each in pieces]
        self.place.write("jobs.json", checked_json({"jobs": jobs, "guests": self.guests}))

    def _read_pieces(self) -> None:
        if "jobs.json" not in self.place.names():
            return
        try:
            fields = read_checked(self.place.read("jobs.json"))
            self._pieces = [
                _Piece(tuple(Slice(**part) for part in job["slices"]), job["products"]) for job in fields["jobs"]
            ]
            self.guests = fields["guests"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._tell(f"the list of jobs in {self.place.location} is damaged ({reason_of(error)}): it is made again")

    def _missing(self) -> list[_Piece]:
        """The joins that aren't there; a damaged one is named, and counts as missing."""
        there = self._joins.names()
        return [piece for piece in self._pieces if piece.file not in there or not self._is_whole(piece)]

    def _is_whole(self, piece: _Piece) -> bool:
        try:
            Joined.from_bytes(self._joins.read(piece.file))
        except (OSError, ValueError) as error:
            self._tell(
                f"the join {self._joins.location}/{piece.file} is damaged ({reason_of(error)}): it is made again"
            )
            return False
        return True

    def _joined(self, compute: Compute, missing: Sequence[_Piece], names: dict[int, str]) -> dict[str, str]:
        """Do joins, and keep what each found; returns the parts that were found damaged, with the reason."""
        parts = tuple(names[number] for number in sorted(names))
        total = sum(piece.products for piece in self._pieces)
        done = total - sum(piece.products for piece in missing)
        self._on_progress(Advanced(STAGE, done, total))
        jobs = [
            JoinJob(
                place=self._parts.location,
                parts=parts,
                slices=piece.slices,
                floor=self._floor,
                most=limits.MOST_PAIRS,
            )
            for piece in missing
        ]
        damaged: dict[str, str] = {}
        for piece, joined in zip(missing, compute.join_shards(jobs, self._on_progress), strict=True):
            if joined.damaged:
                damaged[joined.damaged] = joined.reason
                continue
            self._joins.write(piece.file, joined.to_bytes())
            done += piece.products
            self._on_progress(Advanced(STAGE, done, total))
        return damaged

    def _tell(self, text: str) -> None:
        self._on_progress(LogLine(text))


def _once(n: int, floor: float, found: list[Found]) -> CosinePairs:
    """Each pair once, though some were found from both ends."""
    first, second, cosine = as_one(found)
    once = np.unique(first * n + second, return_index=True)[1]
    return CosinePairs.of(n, floor, first[once], second[once], cosine[once])
