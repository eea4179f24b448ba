"""What goes wrong on Modal is said in one line; what was tampered with is refused; a lost network is waited for."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from effort import exhaustive, tries
from modal_loopback import LoopbackModal, wait_until
from modal_training import VOLUME, Training, fresh_compute

from pipeline.compute.base import MeasuringJob
from pipeline.compute.driver import measure
from pipeline.core.checksums import checked_json, read_checked
from pipeline.core.errors import DamagedError, PipelineError, ResourceError, UnavailableError
from pipeline.core.progress import CheckpointSaved, LogLine, ProgressEvent, TrainingStep, ignore
from pipeline.evaluation.measurement import EvaluationOptions
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.training.reuse import MAX_WITHOUT_PROGRESS

if TYPE_CHECKING:
    from pipeline.compute.modal.client import ModalCompute

pytestmark = pytest.mark.slow

LONG = {"epochs": 500, "save_steps": 200}
MODEL = "tiny-ft/model.safetensors"


def error_of(work: Callable[[], object]) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        work()
    assert "as-loopback" not in str(caught.value)
    return caught.value


def long(training: Training) -> Training:
    training.recipe = training.recipe.model_copy(update=LONG)
    return training


def test_a_refused_token_says_which_variables_hold_it(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal
) -> None:
    modal_loopback.reject_tokens()
    error = error_of(lambda: training.run(modal_compute))
    assert isinstance(error, UnavailableError)
    assert "MODAL_TOKEN_ID and MODAL_TOKEN_SECRET" in error.message


def test_a_failed_build_says_how_to_see_its_log(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal
) -> None:
    modal_loopback.break_image_builds("no matching distribution found for torch")
    error = error_of(lambda: training.run(modal_compute))
    assert isinstance(error, UnavailableError)
    assert "`modal deploy -m pipeline.compute.modal_app`" in error.message


def test_a_time_limit_names_its_setting(
    training: Training, modal_compute: "ModalCompute", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_MODAL_TIMEOUT_HOURS", "0.002")
    compute = fresh_compute(monkeypatch, tmp_path / "runs")
    training.recipe = training.recipe.model_copy(update={"epochs": 1000, "save_steps": 10})
    error = error_of(lambda: training.run(compute))
    (first,) = training.submitted
    assert isinstance(error, ResourceError)
    assert error.values["call"] == first.call_id
    assert "PIPELINE_MODAL_TIMEOUT_HOURS" in error.message

    # As the message says: with another limit the same training goes on.
    def interrupt(event: ProgressEvent) -> None:
        if isinstance(event, CheckpointSaved | TrainingStep):
            steps.append(event.step)
            raise KeyboardInterrupt

    steps: list[int] = []
    monkeypatch.setenv("PIPELINE_MODAL_TIMEOUT_HOURS", "1")
    with pytest.raises(KeyboardInterrupt):
        training.run(fresh_compute(monkeypatch, tmp_path / "runs"), interrupt)
    second = training.submitted[-1]
    assert (second.place, second.fingerprint) == (first.place, first.fingerprint)
    assert second.app != first.app
    assert steps[0] > 10


def test_containers_that_are_lost_again_and_again_are_not_started_for_ever(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal
) -> None:
    def kill(event: ProgressEvent) -> None:
        if event == LogLine("a container works on a CPU") and len(killed) < MAX_WITHOUT_PROGRESS:
            wait_until(lambda: counted() == len(killed) + 1)
            (container,) = modal_loopback.containers()
            modal_loopback.kill_container(container.task_id)
            killed.append(container.task_id)

    def counted() -> int:
        note = modal_loopback.volume_files(VOLUME).get(".attempts.json")
        return int(json.loads(note.read_text())["attempts"]) if note else 0

    killed: list[str] = []
    error = error_of(lambda: long(training).run(modal_compute, kill))
    assert isinstance(error, ResourceError)
    assert f"{MAX_WITHOUT_PROGRESS} containers in a row" in error.message
    assert [call.tries for call in modal_loopback.calls()] == [MAX_WITHOUT_PROGRESS + 1]


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def assert_ended(loopback: LoopbackModal) -> None:
    """Its one call is cancelled, and no container is left."""
    wait_until(lambda: not loopback.containers())
    assert [call.state for call in loopback.calls()] == ["cancelled"]


def test_an_interrupt_during_an_interrupt_ends_the_call_all_the_same(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal
) -> None:
    # A terminal tells every process of a run, and Dagster then tells its steps once more.
    training.when_interrupted = interrupt
    with pytest.raises(KeyboardInterrupt):
        long(training).run(modal_compute, lambda event: interrupt() if isinstance(event, TrainingStep) else None)
    assert_ended(modal_loopback)


def test_an_interrupt_while_a_call_is_submitted_ends_it(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal
) -> None:
    training.when_submitted = interrupt
    with pytest.raises(KeyboardInterrupt):
        long(training).run(modal_compute)
    assert_ended(modal_loopback)


def test_an_interrupt_whose_exception_gets_lost_ends_the_call(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal
) -> None:
    class Finalised:
        def __del__(self) -> None:
            interrupt()

    def finalise(event: ProgressEvent) -> None:
        if isinstance(event, TrainingStep):
            Finalised()

    with pytest.raises(KeyboardInterrupt):
        long(training).run(modal_compute, finalise)
    assert_ended(modal_loopback)


def test_a_call_cancelled_by_someone_else_is_named(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal
) -> None:
    from pipeline.compute.modal.calls import cancel

    def cancel_it(event: ProgressEvent) -> None:
        cancel(training.submitted[-1].call_id)

    error = error_of(lambda: long(training).run(modal_compute, cancel_it))
    assert error.values["call"] == training.submitted[-1].call_id
    assert "cancelled" in error.message


def test_what_a_container_refuses_is_not_tried_again(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal
) -> None:
    training.recipe = training.recipe.model_copy(update={"batch_size": 1024})
    assert "1024" in error_of(lambda: training.run(modal_compute)).message
    assert [call.tries for call in modal_loopback.calls()] == [1]


# Silence is the harder case: nothing says that the connection is gone.
@pytest.mark.parametrize(("refuses", "seconds"), [(True, 8), (False, 30)])
def test_a_network_that_is_away_for_half_a_minute_is_waited_for(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal, refuses: bool, seconds: float
) -> None:
    def go_away(event: ProgressEvent) -> None:
        if isinstance(event, CheckpointSaved) and not timers:
            modal_loopback.go_silent(refuse=refuses)
            timers.append(threading.Timer(seconds, modal_loopback.come_back))
            timers[0].start()

    timers: list[threading.Timer] = []
    result = training.run(modal_compute, go_away)
    timers[0].join()
    assert result.steps == 40
    assert len(modal_loopback.calls()) == 2


@exhaustive
def test_a_network_that_stays_away_gives_up_in_time_and_names_the_call(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.compute.modal import calls

    assert 60 <= calls.OUTAGE_SECONDS <= 120
    monkeypatch.setattr(calls, "OUTAGE_SECONDS", tries(15, 90))
    gone: list[float] = []

    def go_away(event: ProgressEvent) -> None:
        if not gone:
            gone.append(time.monotonic())
            modal_loopback.go_silent()

    error = error_of(lambda: long(training).run(modal_compute, go_away))
    # Counted from the last answer, which is a moment before.
    assert calls.OUTAGE_SECONDS - 5 < time.monotonic() - gone[0] < calls.OUTAGE_SECONDS + 30
    assert isinstance(error, UnavailableError)
    assert error.values == {"call": training.submitted[-1].call_id, "seconds": calls.OUTAGE_SECONDS}
    modal_loopback.come_back()
    assert [call.state for call in modal_loopback.calls()] == ["running"]


# --- what lies in the Volume ------------------------------------------------------------------------------------


def truncated(loopback: LoopbackModal) -> None:
    loopback.tamper(VOLUME, MODEL, loopback.volume_files(VOLUME)[MODEL].read_bytes()[:-1])


def flipped(loopback: LoopbackModal) -> None:
    data = bytearray(loopback.volume_files(VOLUME)[MODEL].read_bytes())
    data[-1] ^= 1
    loopback.tamper(VOLUME, MODEL, bytes(data))


def added(loopback: LoopbackModal) -> None:
    loopback.tamper(VOLUME, "tiny-ft/extra.json", b"{}")


def without_manifest(loopback: LoopbackModal) -> None:
    loopback.tamper(VOLUME, "manifest.json", None)


def climbing(loopback: LoopbackModal) -> None:
    manifest = read_checked(loopback.volume_files(VOLUME)["manifest.json"].read_bytes())
    manifest["result"]["model"]["name"] = "../tiny-ft"
    loopback.tamper(VOLUME, "manifest.json", checked_json(manifest))


def test_a_result_that_is_not_as_its_manifest_says_is_trained_again_to_the_same_weights(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal
) -> None:
    result = training.run(modal_compute)
    weights = modal_loopback.volume_files(VOLUME)[MODEL].read_bytes()
    harms = (truncated, flipped, added)
    for harm in harms:
        harm(modal_loopback)
        assert training.run(modal_compute).model == result.model
        files = modal_loopback.volume_files(VOLUME)
        assert files[MODEL].read_bytes() == weights
        assert "tiny-ft/extra.json" not in files
    assert [call.function for call in modal_loopback.calls()].count("fine_tune") == 1 + len(harms)
    # No damage, but somebody's doing.
    climbing(modal_loopback)
    assert "names a model" in error_of(lambda: training.run(modal_compute)).message


def test_a_result_without_a_manifest_is_refused(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Harmful(list[object]):
        """Takes the manifest away between the end of the call and the check."""

        def append(self, usage: object) -> None:
            without_manifest(modal_loopback)

    training.usages = Harmful()  # type: ignore[assignment]
    error = error_of(lambda: training.run(modal_compute))
    assert isinstance(error, DamagedError)
    assert error.values == {"volume": VOLUME}


def test_a_tampered_model_is_not_evaluated(
    training: Training, modal_compute: "ModalCompute", modal_loopback: LoopbackModal
) -> None:
    result: FineTunedModel = training.run(modal_compute)
    flipped(modal_loopback)
    job = MeasuringJob(result.model, training.dev, training.train, EvaluationOptions(device="cpu"))
    assert "version" in error_of(lambda: measure(modal_compute, job, ignore)).message
