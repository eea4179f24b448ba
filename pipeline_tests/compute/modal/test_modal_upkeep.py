"""Deleting the Volumes of old training runs, on the loopback Modal server."""

import json
from pathlib import Path
from typing import Any

import modal
import pytest
from modal_loopback import LoopbackModal

from pipeline.definitions import defs

pytestmark = pytest.mark.slow

OLD, LIVE, UNFINISHED, NEW = (f"sentence-transformers-ft-{1702914571 + i}" for i in range(4))
OTHERS = {"sentence-transformers-ft-inputs", "somebody-elses-1702914571"}


@pytest.fixture
def volumes(modal_loopback: LoopbackModal, pipeline_home: Path) -> LoopbackModal:
    """Four training runs' Volumes, oldest first, to one of which an asset points; and two others."""
    for name in (*sorted(OTHERS), OLD, LIVE, UNFINISHED, NEW):
        modal.Volume.objects.create(name, version=2)
        if name != UNFINISHED:
            modal_loopback.tamper(name, "manifest.json", b"{}")
    folder = pipeline_home / "fine_tuned_model"
    folder.mkdir(parents=True)
    (folder / "v.json").write_text(json.dumps({"value": {"run_folder": f"modal-volume://{LIVE}"}}))
    (folder / "current.json").write_text(json.dumps({"version": "v", "file": "v.json", "run_id": "r"}))
    # A model that is only compared is no reason to pay for its Volume.
    board = pipeline_home / "model_leaderboard"
    board.mkdir()
    (board / "v.json").write_text(json.dumps({"location": f"modal-volume://{OLD}/m"}))
    (board / "current.json").write_text(json.dumps({"version": "v", "file": "v.json", "run_id": "r"}))
    return modal_loopback


def prune(**config: Any) -> None:
    run_config = {"ops": {"prune_volumes": {"config": config}}}
    job = defs.resolve_job_def("prune_training_volumes")
    assert job.execute_in_process(run_config=run_config).success


def test_nothing_is_deleted_unless_it_is_told_so(volumes: LoopbackModal) -> None:
    prune(keep=0, top=0)
    assert set(volumes.volumes()) == {OLD, LIVE, UNFINISHED, NEW} | OTHERS


def test_the_newest_the_unfinished_and_what_an_asset_points_to_stay(volumes: LoopbackModal) -> None:
    prune(dry_run=False, keep=1, top=0)
    assert set(volumes.volumes()) == {LIVE, UNFINISHED, NEW} | OTHERS
    prune(dry_run=False, keep=0, top=0)
    assert set(volumes.volumes()) == {LIVE, UNFINISHED} | OTHERS


def test_the_schedule_is_off_until_switched_on() -> None:
    schedule = defs.resolve_schedule_def("weekly_prune")
    assert schedule.default_status.value == "STOPPED"
    assert schedule.job_name == "prune_training_volumes"
