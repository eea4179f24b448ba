"""Vectors are embedded once, whatever interrupts it, and damaged ones are noticed and made again."""

import errno
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import ModelError, PipelineError, ResourceError
from pipeline.core.progress import Advanced, LogLine, OnProgress, ProgressEvent
from pipeline.vectors.cache import VectorCache, text_keys


class Counting:
    """Embeds a text as numbers made from its hash, counts what it embedded, and fails when it is told to."""

    cache_name = "m1"

    def __init__(self, part_size: int = 10, fails_after: int | None = None) -> None:
        self.embedded: list[str] = []
        self.part_size = part_size
        self._left = fails_after

    def embed_parts(self, parts: Sequence[list[str]], on_progress: OnProgress) -> Iterator[np.ndarray]:
        for part in parts:
            if self._left == 0:
                raise PipelineError("interrupted")
            self._left = None if self._left is None else self._left - 1
            on_progress(Advanced("embedding questions", 0, len(part)))
            self.embedded += part
            yield as_vectors(part)
            on_progress(Advanced("embedding questions", len(part), len(part)))


def as_vectors(texts: Sequence[str]) -> np.ndarray:
    return (text_keys(texts) % 1_000).astype(np.float32)


TEXTS = [f"Question {i}?" for i in range(50)]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_text_is_embedded_once_and_vectors_come_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    cache, encoder = VectorCache(tmp_path), Counting(part_size=2)
    asked = [TEXTS[3], TEXTS[1], TEXTS[3], "", "🙂", "\ud800"]
    vectors = cache.vectors(asked, encoder)
    assert sorted(encoder.embedded) == sorted(set(asked))
    np.testing.assert_array_equal(vectors.block(0, 6), as_vectors(asked))
    again = Counting(part_size=2)
    other = [*TEXTS[:5], *asked]
    np.testing.assert_array_equal(cache.vectors(other, again).block(0, len(other)), as_vectors(other))
    assert again.embedded == [TEXTS[0], TEXTS[2], TEXTS[4]]
    np.testing.assert_array_equal(vectors.rows(np.array([5, 0, 0])), as_vectors(["\ud800", TEXTS[3], TEXTS[3]]))
    assert (len(vectors), vectors.dimensions) == (6, 2)


def test_another_model_has_vectors_of_its_own(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    second.cache_name = "m2"
    VectorCache(tmp_path).vectors(TEXTS, first)
    VectorCache(tmp_path).vectors(TEXTS, second)
    assert second.embedded == TEXTS


@pytest.mark.parametrize("shards", [0, 1, 3])
def test_an_interruption_loses_one_shard_at_most_and_the_result_is_the_same(tmp_path: Path, shards: int) -> None:
    interrupted, whole = tmp_path / "interrupted", tmp_path / "whole"
    with pytest.raises(PipelineError, match="interrupted"):
        VectorCache(interrupted).vectors(TEXTS, Counting(fails_after=shards))
    rest = Counting()
    VectorCache(interrupted).vectors(TEXTS, rest)
    assert rest.embedded == TEXTS[10 * shards :]
    VectorCache(whole).vectors(TEXTS, Counting())
    assert files(interrupted) == files(whole)


@pytest.mark.parametrize("damage", ["changed", "cut", "empty", "gone"])
def test_a_damaged_shard_is_named_and_made_again(tmp_path: Path, damage: str) -> None:
    VectorCache(tmp_path).vectors(TEXTS, Counting())
    before = files(tmp_path)
    path = sorted(tmp_path.rglob("*.arrow"))[2]
    content = path.read_bytes()
    match damage:
        case "changed":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "cut":
            path.write_bytes(content[:-5])
        case "gone":
            path.unlink()
        case _:
            path.write_bytes(b"")
    events: list[ProgressEvent] = []
    encoder = Counting()
    vectors = VectorCache(tmp_path).vectors(TEXTS, encoder, events.append)
    assert len(encoder.embedded) == 10
    assert damage == "gone" or any(isinstance(event, LogLine) and path.stem in event.text for event in events)
    np.testing.assert_array_equal(vectors.block(0, 50), as_vectors(TEXTS))
    assert files(tmp_path) == before


def test_progress_counts_through_all_shards_and_never_back(tmp_path: Path) -> None:
    VectorCache(tmp_path).vectors(TEXTS[:10], Counting())
    events: list[ProgressEvent] = []
    VectorCache(tmp_path).vectors(TEXTS, Counting(part_size=7), events.append)
    done = [event.done for event in events if isinstance(event, Advanced)]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (10, 50)


def test_files_that_go_at_any_step_never_give_another_texts_vector(tmp_path: Path) -> None:
    def drop(event: ProgressEvent | None = None) -> None:
        for path in tmp_path.rglob("*.arrow"):
            path.unlink()

    VectorCache(tmp_path).vectors(TEXTS[:30], Counting())
    vectors = VectorCache(tmp_path).vectors(TEXTS, Counting(), drop)
    drop()
    np.testing.assert_array_equal(vectors.block(0, 50), as_vectors(TEXTS))
    np.testing.assert_array_equal(vectors.rows(np.array([49, 0])), as_vectors([TEXTS[49], TEXTS[0]]))


def test_a_full_disk_is_one_line_that_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.vectors.cache.write_bytes", full)
    with pytest.raises(ResourceError) as caught:
        VectorCache(tmp_path).vectors(TEXTS, Counting())
    assert caught.value.values == {"path": tmp_path / "m1"}


def test_an_encoder_that_gives_too_few_vectors_is_refused(tmp_path: Path) -> None:
    class Short(Counting):
        def embed_parts(self, parts: Sequence[list[str]], on_progress: OnProgress) -> Iterator[np.ndarray]:
            for part in parts:
                yield as_vectors(part[1:])

    with pytest.raises(ModelError):
        VectorCache(tmp_path).vectors(TEXTS, Short())


READER = """
import json, random, sys
from pathlib import Path
import numpy as np
from pipeline.vectors.cache import VectorCache, text_keys

folder, number, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

class Encoder:
    # Other last digits in each process, as an export and the model have them on different machines.
    cache_name, part_size = "m1", 97

    def embed_parts(self, parts, on_progress):
        for part in parts:
            yield expected(part) + np.float32(number / 1_000)

def expected(texts):
    return (text_keys(texts) % 1_000_003).astype(np.float32)

draw = random.Random(number)
read = wrong = 0
for _ in range(rounds):
    start = draw.randrange(2_000)
    texts = [f"Question {i}?" for i in range(start, start + 500)]
    vectors = VectorCache(folder).vectors(texts, Encoder())
    found = np.concatenate([block for _, block in vectors.blocks(128)])
    read += len(texts)
    wrong += int((np.abs(found - expected(texts)) > 0.1).any(axis=1).sum())
print(json.dumps([read, wrong]))
"""


@pytest.mark.slow
def test_four_processes_never_read_a_wrong_vector_while_files_are_deleted(tmp_path: Path) -> None:
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(tmp_path), str(number), "60"], stdout=subprocess.PIPE, text=True
        )
        for number in range(4)
    ]
    draw, deleted = random.Random(0), 0
    while any(reader.poll() is None for reader in readers):
        if there := sorted(tmp_path.rglob("*.arrow")):
            draw.choice(there).unlink()
            deleted += 1
        time.sleep(0.01)
    results = [json.loads(reader.communicate()[0]) for reader in readers]
    read, wrong = (sum(column) for column in zip(*results, strict=True))
    assert (read >= 100_000, deleted > 20, wrong) == (True, True, 0)
