"""Shards are joined in containers side by side, and the pairs are those that this machine finds."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from modal_loopback import LoopbackModal

from pipeline.compute.local import LocalCompute
from pipeline.compute.modal.client import ModalCompute
from pipeline.compute.modal.settings import INPUTS_VOLUME
from pipeline.core.errors import PipelineError
from pipeline.core.progress import LogLine, ProgressEvent
from pipeline.duplicates.shard_plan import ShardSettings
from pipeline.duplicates.shards import ShardedJoin
from pipeline.duplicates.vectors import ArrayVectors
from pipeline.models.unit_length import unit

pytestmark = pytest.mark.slow

CUT = ShardSettings(rows=150, job_rows=300, part_bytes=400 * 4 * 24, sampled=100)


def vectors() -> ArrayVectors:
    random = np.random.default_rng(0)
    centres = random.normal(size=(200, 24))[random.integers(200, size=900)]
    return ArrayVectors(unit((centres + 0.25 * random.normal(size=centres.shape)).astype(np.float32)))


def test_containers_find_the_same_pairs_and_nothing_stays_in_the_volume(
    modal_compute: ModalCompute, modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    there = ShardedJoin(str(tmp_path / "there"), modal_compute, CUT).pairs(vectors(), 0.85)
    here = ShardedJoin(str(tmp_path / "here"), LocalCompute(tmp_path), CUT).pairs(vectors(), 0.85)
    assert len(here) > 300
    np.testing.assert_array_equal(there.first, here.first)
    np.testing.assert_array_equal(there.second, here.second)
    np.testing.assert_allclose(there.cosine, here.cosine, atol=1e-6)
    joins = len(list((tmp_path / "there").rglob("joins/*.arrow")))
    assert len(modal_loopback.requests("FunctionMap")) == joins > 1
    assert not [path for path in modal_loopback.volume_files(INPUTS_VOLUME) if path.startswith("shards/")]


def test_a_part_that_is_damaged_in_the_volume_is_made_and_uploaded_again(
    modal_compute: ModalCompute, modal_loopback: LoopbackModal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, events = sys.modules["pipeline.compute.modal.client"], list[ProgressEvent]()
    upload, done = module.upload_shards, list[str]()

    def damaging(folder: Path, names: Sequence[str]) -> str:
        seen: str = upload(folder, names)
        if not done:
            path = next(path for path in modal_loopback.volume_files(INPUTS_VOLUME) if path.endswith(names[0]))
            modal_loopback.tamper(INPUTS_VOLUME, path, b"x")
            done.append(path)
        return seen

    monkeypatch.setattr(module, "upload_shards", damaging)
    there = ShardedJoin(str(tmp_path / "there"), modal_compute, CUT).pairs(vectors(), 0.85, events.append)
    here = ShardedJoin(str(tmp_path / "here"), LocalCompute(tmp_path), CUT).pairs(vectors(), 0.85)
    np.testing.assert_array_equal(there.first, here.first)
    assert "00000.0.arrow are damaged" in "".join(event.text for event in events if isinstance(event, LogLine))


def test_storage_that_containers_can_t_read_is_named(modal_compute: ModalCompute) -> None:
    with pytest.raises(PipelineError, match=r"containers can't read shards in memory://.*set PIPELINE_SHARDS"):
        ShardedJoin("memory://shards-of-this-process", modal_compute, CUT).pairs(vectors(), 0.85)
