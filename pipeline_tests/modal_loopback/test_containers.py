"""Containers crash, are preempted and are cancelled, as the real service does it."""

import os
import time
from pathlib import Path
from types import ModuleType

import modal
import pytest

from modal_loopback import ContainerRecord, LoopbackModal, wait_until
from modal_loopback.sample_app import deploy_sample_app

pytestmark = pytest.mark.slow


def _working(modal_loopback: LoopbackModal) -> ContainerRecord:
    """Wait for a container that works."""
    return wait_until(lambda: [each for each in modal_loopback.containers() if each.calls])[0]


def _counted(modal_loopback: LoopbackModal) -> bool:
    return "count.txt" in modal_loopback.volume_files("sample-data")


def test_the_input_of_a_crashed_container_runs_in_another_one(
    sample: ModuleType, modal_loopback: LoopbackModal
) -> None:
    call = sample.count_to.spawn(4, 0.4)
    wait_until(lambda: _counted(modal_loopback))
    first = _working(modal_loopback)

    modal_loopback.kill_container(first.task_id)

    started_with, *numbers = call.get(timeout=20)
    assert started_with >= 1
    assert numbers == [1, 2, 3, 4]
    [record] = modal_loopback.calls()
    assert (record.tries, len(record.inputs)) == (2, 1)
    with pytest.raises(ProcessLookupError):
        os.kill(first.pid, 0)


def test_an_app_that_isnt_deployed_gives_up_an_input_that_keeps_crashing(
    modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    sample = deploy_sample_app(tmp_path)
    with sample.app.run():
        call = sample.sleep.spawn(60)
        for tried in range(3):
            wait_until(lambda expected=tried + 1: modal_loopback.calls()[0].tries == expected)  # type: ignore[misc]
            modal_loopback.kill_container(_working(modal_loopback).task_id)

        with pytest.raises(modal.exception.InternalFailure):
            call.get(timeout=20)


def test_a_preempted_container_gets_an_interrupt_and_its_input_runs_on_in_another_one(
    sample: ModuleType, modal_loopback: LoopbackModal
) -> None:
    call = sample.count_to.spawn(4, 0.4)
    wait_until(lambda: _counted(modal_loopback))

    modal_loopback.preempt_container(_working(modal_loopback).task_id, grace=10)

    started_with, *numbers = call.get(timeout=20)
    assert started_with >= 1
    assert numbers == [1, 2, 3, 4]
    assert modal_loopback.calls()[0].tries == 2


def test_a_preempted_container_that_ignores_the_interrupt_is_killed_after_the_grace(
    sample: ModuleType, modal_loopback: LoopbackModal
) -> None:
    sample.sleep.spawn(60, deaf=True)
    first = _working(modal_loopback)

    modal_loopback.preempt_container(first.task_id, grace=1)

    time.sleep(0.5)
    os.kill(first.pid, 0)
    second = wait_until(lambda: [each for each in modal_loopback.containers() if each.calls and each != first])[0]
    assert second.calls == first.calls


@pytest.mark.parametrize("terminate", [True, False])
def test_cancelling_a_call_stops_what_it_runs(
    sample: ModuleType, modal_loopback: LoopbackModal, terminate: bool
) -> None:
    call = sample.count_to.spawn(100, 0.1)
    wait_until(lambda: _counted(modal_loopback))

    call.cancel(terminate_containers=terminate)

    wait_until(lambda: not modal_loopback.containers(), timeout=5)
    with pytest.raises((modal.exception.RemoteError, modal.exception.InputCancellation)):
        call.get(timeout=5)
    [record] = modal_loopback.calls()
    assert (record.state, record.tries) == ("cancelled", 1)


def test_a_container_that_ignores_its_cancellation_is_killed(sample: ModuleType, modal_loopback: LoopbackModal) -> None:
    call = sample.sleep.spawn(60, deaf=True)
    _working(modal_loopback)

    call.cancel()

    wait_until(lambda: not modal_loopback.containers(), timeout=10)
    assert modal_loopback.calls()[0].state == "cancelled"


def test_a_call_that_still_waits_is_cancelled_without_a_container(
    sample: ModuleType, modal_loopback: LoopbackModal
) -> None:
    first, second = sample.count_to.spawn(100, 0.1), sample.count_to.spawn(100, 0.1)
    wait_until(lambda: _counted(modal_loopback))

    second.cancel()

    assert [each.state for each in modal_loopback.calls()] == ["running", "cancelled"]
    assert [each.tries for each in modal_loopback.calls()] == [1, 0]
    first.cancel(terminate_containers=True)


def test_code_that_cant_be_imported_fails_the_call_with_its_own_error(
    modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    sample = deploy_sample_app(tmp_path)
    modal_loopback.set_container_environment(BREAK_IMPORT="1")

    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        sample.sleep.remote(0.1)
