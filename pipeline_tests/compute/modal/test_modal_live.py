"""A few of the loopback server's tests against the real service: `MODAL_LIVE=1 pytest -m live`. They cost cents."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from modal_training import Training, fresh_compute

from pipeline.compute.base import MeasuringJob, WorkRecord
from pipeline.compute.driver import measure
from pipeline.core.locations import remote_location
from pipeline.core.progress import CheckpointSaved, ProgressEvent, ignore
from pipeline.evaluation.measurement import EvaluationOptions

if TYPE_CHECKING:
    from pipeline.compute.modal.client import ModalCompute

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.environ.get("MODAL_LIVE") != "1", reason="spends money on a Modal account: set MODAL_LIVE=1"),
]


@pytest.fixture
def compute(training: Training, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator["ModalCompute"]:
    """The compute on a small GPU of the account that Modal's own settings name. Its Volumes are deleted at the end."""
    monkeypatch.setenv("PIPELINE_MODAL_GPU", os.environ.get("PIPELINE_MODAL_GPU") or "T4")
    monkeypatch.setenv("PIPELINE_MODAL_TIMEOUT_HOURS", "0.5")
    training.recipe = training.recipe.model_copy(update={"device": "cuda"})
    yield fresh_compute(monkeypatch, tmp_path / "runs")
    from pipeline.compute.modal.volumes import delete

    for volume in {call.place for call in training.submitted}:
        delete(tmp_path, volume)


def test_a_training_runs_on_a_gpu_and_its_model_is_evaluated_there(training: Training, compute: "ModalCompute") -> None:
    result = training.run(compute, download_model=True)
    assert result.device.startswith("cuda")
    assert remote_location(result.run_folder)
    (usage,) = training.usages
    assert usage.gpu_seconds > 0
    assert usage.cost
    assert any(isinstance(event, CheckpointSaved) for event in training.events)
    measured = measure(compute, MeasuringJob(result.model, training.dev, training.train, EvaluationOptions()), ignore)
    assert measured.device.startswith("cuda")
    assert training.run(compute) == result


def test_an_interrupt_ends_the_call_within_seconds(training: Training, compute: "ModalCompute") -> None:
    import modal

    def interrupt(event: ProgressEvent) -> None:
        raise KeyboardInterrupt

    training.recipe = training.recipe.model_copy(update={"epochs": 1000})
    with pytest.raises(KeyboardInterrupt):
        training.run(compute, interrupt)
    call: WorkRecord = training.submitted[-1]
    time.sleep(5)
    with pytest.raises(modal.exception.RemoteError):
        modal.FunctionCall.from_id(call.call_id).get(timeout=0)
