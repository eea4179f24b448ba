"""The index finds nearly all pairs, says how many it missed by a sample, and finds nothing that isn't there."""

from pathlib import Path

import numpy as np
import pytest
from made_vectors import as_set, brute_force, some_vectors

from pipeline.core.errors import DamagedError, NotInstalledError
from pipeline.core.progress import LogLine, ProgressEvent
from pipeline.duplicates.question_index import build_index, nearest_in
from pipeline.vectors.blocks import ArrayVectors
from pipeline.vectors.exact import ExactEngine
from pipeline.vectors.index import IndexEngine, engine_for
from pipeline.vectors.nearest import nearest
from pipeline.vectors.options import InvertedFileOptions

faiss = pytest.importorskip("faiss", reason="needs the extra `index`")


def test_nearly_every_pair_is_found_and_the_rest_is_told() -> None:
    vectors = some_vectors(3_000, seed=5, dimensions=48)
    floor = 0.9
    engine = IndexEngine(InvertedFileOptions(pair_sample=300))
    found, expected = engine.pairs(ArrayVectors(vectors), floor), brute_force(vectors, floor)
    assert as_set(found) <= set(brute_force(vectors, floor - 1e-5))
    assert len(as_set(found) & expected) / len(expected) >= 0.99
    assert len(as_set(found)) == len(found)
    assert engine.recall is not None
    assert engine.recall >= 0.98
    assert "sampled questions it found" in engine.remark
    exact = ExactEngine().pairs(ArrayVectors(vectors), floor)
    shared = as_set(found) & as_set(exact)
    of_exact = dict(zip(zip(exact.first, exact.second, strict=True), exact.cosine, strict=True))
    for first, second, cosine in zip(found.first, found.second, found.cosine, strict=True):
        if (int(first), int(second)) in shared:
            assert cosine == pytest.approx(of_exact[first, second], abs=1e-6)


@pytest.mark.parametrize("n", [0, 1, 2, 40])
def test_small_corpora_are_found_whole(n: int) -> None:
    vectors = some_vectors(n, seed=1)
    assert as_set(IndexEngine().pairs(ArrayVectors(vectors), 0.9)) == brute_force(vectors, 0.9)


def test_the_same_vectors_give_the_same_pairs_again() -> None:
    vectors = ArrayVectors(some_vectors(800, seed=2))
    first, second = (IndexEngine().pairs(vectors, 0.85) for _ in range(2))
    np.testing.assert_array_equal(first.first, second.first)
    np.testing.assert_array_equal(first.cosine, second.cosine)


def test_the_index_of_a_corpus_finds_the_nearest_and_their_exact_cosines(tmp_path: Path) -> None:
    vectors = ArrayVectors(some_vectors(2_000, seed=3, dimensions=48))
    index = build_index(vectors, "corpus", "model", tmp_path, index_from=100)
    assert (index.kind, index.questions) == ("index", 2_000)
    assert index.recall > 0.9
    query = vectors.rows(np.array([7]))[0]
    found, exact = nearest_in(index, query, vectors, 5), nearest(query[None], vectors, 5)[0]
    assert (found.indices[0], exact.indices[0]) == (7, 7)
    # What is found has the cosine that comparing with all gives it.
    of_all = vectors.block(0, 2_000) @ query
    np.testing.assert_allclose(found.cosine, of_all[found.indices], atol=1e-6)
    assert len(set(found.indices) & set(exact.indices)) >= 4

    path = Path(index.file)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    for damage in (None, path.unlink):
        if damage:
            damage()
        with pytest.raises(DamagedError) as caught:
            nearest_in(index, query, vectors, 5)
        assert caught.value.values == {"path": path}


def test_a_small_corpus_needs_no_index(tmp_path: Path) -> None:
    vectors = ArrayVectors(some_vectors(50, seed=3))
    index = build_index(vectors, "corpus", "model", tmp_path)
    assert (index.kind, index.recall, index.file) == ("exact", 1.0, "")
    query = vectors.rows(np.array([7]))[0]
    np.testing.assert_array_equal(
        nearest_in(index, query, vectors, 5).indices, nearest(query[None], vectors, 5)[0].indices
    )


def test_the_index_takes_over_from_a_size_on() -> None:
    assert [
        engine_for("auto", n).name for n in (InvertedFileOptions.index_from - 1, InvertedFileOptions.index_from)
    ] == ["exact", "index"]
    assert engine_for("exact", 10**9).name == "exact"
    assert engine_for("index", 1).name == "index"


def test_where_faiss_isn_t_installed_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NotInstalledError, match="needs faiss"):
        engine_for("index", 10)
    events: list[ProgressEvent] = []
    assert engine_for("auto", InvertedFileOptions.index_from, events.append).name == "exact"
    assert isinstance(events[0], LogLine)
    assert engine_for("auto", 10, events.append).name == "exact"


def test_on_macos_it_is_refused_as_it_would_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(NotInstalledError, match="macOS"):
        engine_for("index", 10)
    assert engine_for("auto", InvertedFileOptions.index_from).name == "exact"
