"""Exact tiles find every pair at or above a cosine, in any size of blocks, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from effort import exhaustive, tries
from hypothesis import given, settings
from hypothesis import strategies as st
from made_vectors import as_set, brute_force, some_vectors

from pipeline.core.errors import PipelineError, ResourceError
from pipeline.core.progress import Advanced, ProgressEvent
from pipeline.models.precision import has_bf16
from pipeline.vectors import pairs
from pipeline.vectors.blocks import ArrayVectors, unit
from pipeline.vectors.exact import ExactEngine
from pipeline.vectors.options import ExactOptions
from pipeline.vectors.pairs import CosinePairs


@exhaustive
@settings(max_examples=tries(25), deadline=None)
@given(st.integers(0, 90), st.integers(0, 1_000), st.floats(0.3, 0.99), st.integers(1, 40), st.integers(1, 40))
def test_every_pair_is_found_once_whatever_the_blocks(n: int, seed: int, floor: float, rows: int, columns: int) -> None:
    vectors = some_vectors(n, seed)
    expected = brute_force(vectors, floor)
    similar = vectors @ vectors.T
    if (np.abs(similar - floor) < 1e-5).any():
        return
    for precision in ("fp32", "bf16") if has_bf16("cpu") else ("fp32",):
        cut = ExactOptions(rows=rows, columns=columns, tile_rows=7, precision=precision)
        found = ExactEngine(cut).pairs(ArrayVectors(vectors), floor)
        assert as_set(found) == expected
        assert len(found) == len(expected)
        np.testing.assert_allclose(found.cosine, similar[found.first, found.second], atol=1e-6)
        assert (np.diff(found.cosine) <= 0).all()


@pytest.mark.skipif(not has_bf16("cpu"), reason="the CPU would emulate bf16")
def test_rounding_to_bf16_loses_no_pair_near_the_floor() -> None:
    random = np.random.default_rng(3)
    base = unit(random.normal(size=(400, 384)).astype(np.float32))
    towards = unit(random.normal(size=(400, 384)).astype(np.float32))
    # Pairs whose cosine lies within a thousandth of the floor.
    near = unit(base * 0.85 + towards * np.sqrt(1 - 0.85**2) * (1 + 0.002 * random.normal(size=(400, 1))))
    vectors = np.concatenate([base, near.astype(np.float32)])
    fp32 = ExactEngine(ExactOptions(precision="fp32")).pairs(ArrayVectors(vectors), 0.85)
    bf16 = ExactEngine(ExactOptions(precision="bf16")).pairs(ArrayVectors(vectors), 0.85)
    surely = {pair for pair, cosine in zip(as_list(fp32), fp32.cosine, strict=True) if cosine >= 0.85 + 1e-6}
    assert 50 < len(surely) < 350
    assert surely <= as_set(bf16)


def as_list(pairs: CosinePairs) -> list[tuple[int, int]]:
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


def test_a_cluster_larger_than_any_top_k_is_found_whole() -> None:
    same = np.repeat(some_vectors(1), 150, axis=0)
    assert len(ExactEngine().pairs(ArrayVectors(same), 0.99)) == 150 * 149 // 2


def test_vectors_in_a_file_are_read_block_by_block(tmp_path: Path) -> None:
    vectors = some_vectors(60)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = ArrayVectors(np.load(tmp_path / "vectors.npy", mmap_mode="r"))
    assert as_set(ExactEngine(ExactOptions(rows=16, columns=9)).pairs(mapped, 0.9)) == brute_force(vectors, 0.9)


def test_progress_ends_where_all_pairs_are_compared() -> None:
    events: list[ProgressEvent] = []
    ExactEngine(ExactOptions(rows=16, columns=9)).pairs(ArrayVectors(some_vectors(50)), 0.9, events.append)
    advanced = [event for event in events if isinstance(event, Advanced)]
    assert (advanced[0].done, advanced[-1].done, advanced[-1].total) == (0, 50 * 51 // 2, 50 * 51 // 2)


def test_a_threshold_that_nearly_all_pairs_reach_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "MOST_PAIRS", 100)
    with pytest.raises(ResourceError) as caught:
        ExactEngine().pairs(ArrayVectors(np.repeat(some_vectors(1), 40, axis=0)), 0.1)
    assert caught.value.values["most"] == 100


def test_vectors_that_are_not_finite_are_refused_and_zeros_stay() -> None:
    with pytest.raises(PipelineError, match="NaN or infinite embeddings for 1 of 2 texts"):
        unit(np.array([[1, 0], [np.nan, 1]], dtype=np.float32))
    np.testing.assert_array_equal(
        unit(np.array([[0, 0], [3, 4]], dtype=np.float32)), np.array([[0, 0], [0.6, 0.8]], dtype=np.float32)
    )
