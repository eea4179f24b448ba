"""Shards find what comparing all with all finds: by the exact rule all of it, by a tuned margin nearly all; in bounded
memory, once each, however often the work is killed and whatever becomes of its files."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import exhaustive, tries
from hypothesis import given, settings
from hypothesis import strategies as st
from test_exact import as_set, some_vectors

from pipeline.compute.local import LocalCompute
from pipeline.core.errors import PipelineError
from pipeline.core.files import PROJECT_ROOT
from pipeline.core.progress import Advanced, LogLine, OnProgress, ProgressEvent
from pipeline.duplicates import engine, shards
from pipeline.duplicates.engines import engine_for, sharded_join
from pipeline.duplicates.exact import ExactTiles
from pipeline.duplicates.mined import CosinePairs
from pipeline.duplicates.recall import Sample
from pipeline.duplicates.shard_plan import ShardPlan, ShardSettings, exact_margin, found_from, make_plan
from pipeline.duplicates.shards import SORTING, STAGE, ShardedJoin
from pipeline.duplicates.vectors import ArrayVectors
from pipeline.sharding.job import Joined, JoinJob
from pipeline.sharding.place import Place

SMALL = ShardSettings(rows=60, job_rows=25, part_bytes=100 * 4 * 24, sampled=100, recall=1.0)
"""Many shards, parts and jobs of a corpus that takes a moment."""


def engine_in(place: Path | str, chosen: ShardSettings = SMALL) -> ShardedJoin:
    return ShardedJoin(str(place), LocalCompute(Path("runs")), chosen)


def off_the_edge(pairs: CosinePairs, floor: float) -> set[tuple[int, int]]:
    """The pairs that no rounding can move across the floor."""
    return as_set(pairs.at(floor + 1e-5))


# --- what is found ----------------------------------------------------------------------------------------------


@exhaustive
@settings(max_examples=tries(15), deadline=None)
@given(
    st.integers(2, 400),
    st.integers(0, 1_000),
    st.sampled_from([2, 3, 16, 48]),
    st.floats(-0.2, 0.97),
    st.integers(8, 90),
    st.integers(5, 60),
)
def test_by_the_exact_rule_no_pair_is_missed(
    tmp_path_factory: pytest.TempPathFactory, n: int, seed: int, dimensions: int, floor: float, rows: int, job: int
) -> None:
    vectors = ArrayVectors(some_vectors(n, seed, dimensions))
    cut = ShardSettings(rows=rows, job_rows=job, part_bytes=64 * 4 * dimensions, sampled=20, recall=1.0, seed=seed)
    found = engine_in(tmp_path_factory.mktemp("shards"), cut).pairs(vectors, floor)
    expected = ExactTiles().pairs(vectors, floor)
    assert off_the_edge(expected, floor) <= as_set(found)
    assert off_the_edge(found, floor) <= as_set(expected)
    assert len(as_set(found)) == len(found)
    assert (np.diff(found.cosine) <= 0).all()


def test_a_tuned_margin_finds_the_share_that_was_asked_for_with_far_fewer_guests(tmp_path: Path) -> None:
    vectors = ArrayVectors(some_vectors(6_000, seed=5, dimensions=48))
    floor, cut = 0.85, {"rows": 300, "part_bytes": 1 << 18, "sampled": 600}
    exact = ExactTiles().pairs(vectors, floor)
    assert len(exact) > 1_000
    guests = {}
    for recall in (0.9, 0.99, 1.0):
        found = (made := engine_in(tmp_path, ShardSettings(recall=recall, **cut))).pairs(vectors, floor)
        assert as_set(found) <= as_set(ExactTiles().pairs(vectors, floor - 1e-5))
        assert len(as_set(found) & as_set(exact)) / len(exact) >= recall
        assert made.recall is not None
        assert made.recall >= recall - 0.02
        guests[recall] = float(made.remark.split("shards, ")[1].split(" guests")[0])
    assert guests[0.9] < guests[0.99] < guests[1.0]
    assert guests[0.99] < 0.5 * guests[1.0]


def test_a_pair_is_found_from_the_margin_on_that_it_says() -> None:
    vectors, floor = some_vectors(300, seed=2), 0.8
    exact = ExactTiles().pairs(ArrayVectors(vectors), floor)
    nothing = Sample(np.empty(0, dtype=np.int64), [])
    plan = make_plan(ArrayVectors(vectors), floor, nothing, ShardSettings(rows=30))
    margins = found_from(plan.centroids, vectors[exact.first], vectors[exact.second])
    assert margins.max() <= exact_margin(floor) + 1e-6
    apart = np.flatnonzero(margins > 0)
    assert len(apart) > 20
    for pair in apart[:40]:
        ends = vectors[[exact.first[pair], exact.second[pair]]]
        for margin, meet in ((margins[pair] + 1e-4, True), (margins[pair] - 1e-4, False)):
            by_shard = ShardPlan(plan.centroids, float(margin), 0).sort(ends)
            together = [
                len(home) == 1 and len(guests) == 1 and home[0] != guests[0]
                for home, guests in zip(by_shard.home, by_shard.guests, strict=True)
            ]
            assert any(together) == meet


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_small_corpora_are_found_whole(n: int, tmp_path: Path) -> None:
    vectors = ArrayVectors(some_vectors(n, seed=1))
    assert as_set(engine_in(tmp_path).pairs(vectors, 0.5)) == as_set(ExactTiles().pairs(vectors, 0.5))


def test_a_cluster_of_equal_vectors_and_vectors_without_a_direction_are_found_whole(tmp_path: Path) -> None:
    # No centroid can divide them, so the jobs of their shard are many.
    same = np.repeat(some_vectors(3), 150, axis=0)
    same[:5] = 0
    for floor in (0.99, -0.5):
        expected = ExactTiles().pairs(ArrayVectors(same), floor)
        assert as_set(engine_in(tmp_path).pairs(ArrayVectors(same), floor)) == as_set(expected)


def test_too_many_pairs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_PAIRS", 100)
    with pytest.raises(PipelineError, match=r"more than 100 pairs have a cosine of 0\.1000 or more: raise the floor"):
        engine_in(tmp_path).pairs(ArrayVectors(np.repeat(some_vectors(1), 40, axis=0)), 0.1)


def test_shards_lie_on_any_storage_that_has_a_url() -> None:
    vectors = ArrayVectors(some_vectors(300))
    found = engine_in(f"memory://shards-{uuid.uuid4().hex}").pairs(vectors, 0.8)
    assert as_set(found) == as_set(ExactTiles().pairs(vectors, 0.8))


# --- what it leaves, and finds again ----------------------------------------------------------------------------


class Counting(LocalCompute):
    """Counts the joins, and plays a mischance before the first."""

    def __init__(self, mischance: Any = lambda folder: None) -> None:
        super().__init__(Path("runs"))
        object.__setattr__(self, "joins", 0)
        object.__setattr__(self, "mischance", mischance)

    joins: int
    mischance: Any

    def join_shards(self, jobs: Sequence[JoinJob], on_progress: OnProgress) -> Iterator[Joined]:
        if not self.joins:
            self.mischance(Path(jobs[0].place))
        object.__setattr__(self, "joins", self.joins + len(jobs))
        return super().join_shards(jobs, on_progress)


def lines(events: list[ProgressEvent]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, LogLine))


def test_progress_goes_to_the_end_and_the_vectors_are_not_left_behind(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    compute = Counting()
    vectors = ArrayVectors(some_vectors(500))
    found = ShardedJoin(str(tmp_path), compute, SMALL).pairs(vectors, 0.8, events.append)
    for stage in (SORTING, STAGE):
        advanced = [event for event in events if isinstance(event, Advanced) and event.stage == stage]
        assert advanced[-1].done == advanced[-1].total > 0
    assert not list(tmp_path.rglob("parts/*"))
    assert compute.joins == len(list(tmp_path.rglob("joins/*.arrow"))) > 10
    # The same once more: every join is there.
    again = Counting()
    assert as_set(ShardedJoin(str(tmp_path), again, SMALL).pairs(vectors, 0.8)) == as_set(found)
    assert again.joins == 0
    # Other vectors, and another floor, are other work.
    assert as_set(engine_in(tmp_path).pairs(vectors, 0.9)) == as_set(ExactTiles().pairs(vectors, 0.9))
    other = ArrayVectors(some_vectors(500, seed=1))
    assert as_set(engine_in(tmp_path).pairs(other, 0.8)) == as_set(ExactTiles().pairs(other, 0.8))


def flip(path: Path, at: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [flip, lambda path: flip(path, 0.999), lambda path: path.write_bytes(b"x"), Path.unlink]
)
def test_a_damaged_part_is_named_and_made_again(damage: Any, tmp_path: Path) -> None:
    vectors, events = ArrayVectors(some_vectors(500)), list[ProgressEvent]()
    compute = Counting(lambda folder: damage(folder / "00001.0.arrow"))
    found = ShardedJoin(str(tmp_path), compute, SMALL).pairs(vectors, 0.8, events.append)
    assert "parts/00001.0.arrow are damaged" in lines(events)
    assert as_set(found) == as_set(ExactTiles().pairs(vectors, 0.8))


def test_storage_that_damages_again_and_again_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(LocalCompute):
        def join_shards(self, jobs: Sequence[JoinJob], on_progress: OnProgress) -> Iterator[Joined]:
            return iter([Joined(damaged=jobs[0].parts[0], reason="its bytes have changed")] * len(jobs))

    with pytest.raises(PipelineError, match=r"damaged three times over \(its bytes have changed\): check that disk"):
        ShardedJoin(str(tmp_path), Broken(Path("runs")), SMALL).pairs(ArrayVectors(some_vectors(300)), 0.8)


@pytest.mark.parametrize("name", ["plan.json", "jobs.json", "00002-*.arrow"])
def test_what_else_is_damaged_is_named_and_made_again(name: str, tmp_path: Path) -> None:
    vectors, events = ArrayVectors(some_vectors(500)), list[ProgressEvent]()
    found = engine_in(tmp_path).pairs(vectors, 0.8)
    flip(next(tmp_path.rglob(name)))
    again = engine_in(tmp_path).pairs(vectors, 0.8, events.append)
    assert "damaged" in lines(events)
    np.testing.assert_array_equal(again.first, found.first)
    np.testing.assert_array_equal(again.cosine, found.cosine)


def test_two_processes_keep_out_of_each_others_way(tmp_path: Path) -> None:
    vectors = ArrayVectors(some_vectors(100))

    def meanwhile(folder: Path) -> None:
        with pytest.raises(PipelineError, match="another process mines in"):
            engine_in(tmp_path).pairs(vectors, 0.8)

    compute = Counting(meanwhile)
    ShardedJoin(str(tmp_path), compute, SMALL).pairs(vectors, 0.8)
    assert compute.joins


def test_a_place_that_can_t_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(PipelineError, match=r"shards can't be kept in .*set PIPELINE_SHARDS to another place"):
        Place(str(tmp_path / "file")).below("parts").write("a", b"")


KILLED = """
import json, os, signal, sys
from contextlib import contextmanager
from pathlib import Path
from test_shards import SMALL, Counting, some_vectors
from pipeline.duplicates.shards import ShardedJoin
from pipeline.duplicates.vectors import ArrayVectors
from pipeline.sharding.place import Place
import pipeline.sharding.join, pipeline.models.precision, sklearn.cluster

folder, most = Path(sys.argv[1]), int(sys.argv[2])
vectors = ArrayVectors(some_vectors(300))
writing = Place.writing


def mine(place, kill_at):
    # Forked, so that every run but the first has its imports for nothing.
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        moments = 0

        def moment():
            nonlocal moments
            if moments == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            moments += 1

        @contextmanager
        def killing(self, name):
            moment()
            with writing(self, name) as path:
                yield path
                moment()
            moment()

        Place.writing = killing
        compute = Counting()
        found = ShardedJoin(str(place), compute, SMALL).pairs(vectors, 0.8)
        result = [found.first.tolist(), found.second.tolist(), compute.joins, moments]
        os.write(writer, json.dumps(result).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return json.loads(said) if said else None


first, second, joins, moments = mine(folder / "whole", -1)
spared = 0
step = max(1, moments // most)
for kill_at in range(0, moments, step):
    place = folder / str(kill_at)
    assert mine(place, kill_at) is None
    # Killed once more on the way, and then left in peace.
    mine(place, 2)
    again = mine(place, -1)
    assert again[:2] == [first, second], kill_at
    spared += joins - again[2]
print(json.dumps([joins, moments, spared]))
"""


@exhaustive
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_at_any_point_it_goes_on_and_finds_the_same(tmp_path: Path) -> None:
    path = os.pathsep.join(str(PROJECT_ROOT / name) for name in ("pipeline_tests", "pipeline_tests/duplicates", ""))
    result = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(tries(12, 1_000))],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2_000:]
    joins, moments, spared = json.loads(result.stdout.splitlines()[-1])
    assert moments > 3 * joins > 30
    # What was done before a kill was not done again.
    assert spared > joins


# --- what it takes ----------------------------------------------------------------------------------------------

MEMORY = """
import json, resource, sys
from pathlib import Path
import numpy as np
from pipeline.compute.local import LocalCompute
from pipeline.duplicates.shard_plan import ShardSettings
from pipeline.duplicates.shards import ShardedJoin
from pipeline.duplicates.vectors import Vectors

DIMENSIONS, BLOCK = 256, 1_000


class Made(Vectors):
    # Made when they are read, so that they are nowhere else.
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    @property
    def dimensions(self):
        return DIMENSIONS

    def made(self, number):
        random = np.random.default_rng(number)
        centres = np.random.default_rng(0).standard_normal((100, DIMENSIONS), dtype=np.float32)
        part = centres[random.integers(100, size=BLOCK)]
        part += random.standard_normal((BLOCK, DIMENSIONS), dtype=np.float32)
        part[1::50] = part[::50]
        return part / np.linalg.norm(part, axis=1, keepdims=True)

    def block(self, start, stop):
        return self.rows(np.arange(start, stop))

    def rows(self, numbers):
        taken = np.empty((len(numbers), DIMENSIONS), dtype=np.float32)
        for number in np.unique(numbers // BLOCK):
            wanted = numbers // BLOCK == number
            taken[wanted] = self.made(number)[numbers[wanted] % BLOCK]
        return taken


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


cut = ShardSettings(rows=1_000, job_rows=1_000, part_bytes=4 << 20, sampled=100, most_trained=4_000)
peaks = []
for n in (10_000, 80_000):
    engine = ShardedJoin(sys.argv[1], LocalCompute(Path("runs")), cut)
    pairs = engine.pairs(Made(n), 0.9)
    assert len(pairs) == n // 50, len(pairs)
    peaks.append(peak())
print(json.dumps([*peaks, 80_000 * DIMENSIONS * 4 / 2**20]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is counted in kilobytes on Linux")
def test_memory_stays_as_it_is_when_the_corpus_grows(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)],
        cwd=PROJECT_ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2_000:]
    small, large, corpus = json.loads(result.stdout.splitlines()[-1])
    # Seven eighths of the vectors came on top.
    assert large - small < corpus / 4, (small, large, corpus)


# --- how it is chosen -------------------------------------------------------------------------------------------


def test_it_is_chosen_by_name_alone(tmp_path: Path) -> None:
    made = engine_for("shards", 10, sharded=lambda: sharded_join(str(tmp_path), LocalCompute(tmp_path), 0.9))
    assert isinstance(made, shards.ShardedJoin)
    assert made.settings.recall == 0.9
    assert engine_for("auto", 10**9).name != "shards"
    with pytest.raises(PipelineError, match="the engine `shards` can't be used here"):
        engine_for("shards", 10)
