"""Dagster's processes on one side, containers on the other: who ends what, and what is found again.

Real processes, ended by real signals; judged by what the loopback Modal server has counted.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_runs import Config, write_run_config
from dagster_server import ask, dagster_dev
from modal_loopback import CallRecord, LoopbackModal, wait_until

from pipeline.core.files import PROJECT_ROOT

pytestmark = pytest.mark.slow

END_SECONDS = 5
"""Containers of a cancelled run must be gone by then."""

START_SECONDS = 120


class Orchestrator:
    """Command-line runs that share one Dagster instance, with splits and base model there already."""

    def __init__(self, home: Path, folder: Path, config: Config, loopback: LoopbackModal) -> None:
        self.loopback = loopback
        self.config = config
        self._started: list[subprocess.Popen[bytes]] = []
        self.dagster_home = folder / "dagster_home"
        self.dagster_home.mkdir()
        shutil.copy(PROJECT_ROOT / "deploy" / "dagster.yaml", self.dagster_home)
        self.environment = {
            **os.environ,
            "PIPELINE_HOME": str(home),
            "PIPELINE_COMPUTE": "modal",
            "PIPELINE_MODAL_GPU": "none",
            "DAGSTER_HOME": str(self.dagster_home),
        }
        self.log = folder / "run.log"

    def start(self, **recipe: Any) -> subprocess.Popen[bytes]:
        """Start a command-line run, in a process group of its own."""
        config = {**self.config, "fine_tuned_model": {**self.config["fine_tuned_model"], **recipe}}
        path = write_run_config(self.log.with_name("run.json"), config)
        command = [sys.executable, "-m", "pipeline", "materialize", "--verbose", "--select", "key:fine_tuned_model"]
        with self.log.open("w") as output:
            process = subprocess.Popen(
                [*command, "--config", str(path)],
                cwd=PROJECT_ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def kill_all(self) -> None:
        """Leave no process behind, however a test ends."""
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def finish(self, **recipe: Any) -> str:
        """Run to the end; returns what was said."""
        assert self.start(**recipe).wait() == 0, self.log.read_text()
        return self.log.read_text()

    def trainings(self) -> list[CallRecord]:
        """The trainings that were ever ordered."""
        return [call for call in self.loopback.calls() if call.function == "fine_tune"]

    def wait_for_checkpoint(self, step: int = 20) -> str:
        """Wait until a training has a checkpoint in its Volume; returns the Volume's name."""

        def found() -> str:
            volumes = [name for name in self.loopback.volumes() if name.rpartition("-")[2].isdecimal()]
            with_it = [
                name for name in volumes if f"checkpoints/{step}/checkpoint.json" in self.loopback.volume_files(name)
            ]
            return with_it[-1] if with_it else ""

        return wait_until(found, START_SECONDS)

    def seconds_until_no_container(self) -> float:
        """How long it takes from now until no container is left."""
        start = time.monotonic()
        wait_until(lambda: not self.loopback.containers(), END_SECONDS)
        return time.monotonic() - start


@pytest.fixture
def orchestrator(
    pipeline_home: Path, tmp_path: Path, splits_and_base_model: tuple[Path, Config], modal_loopback: LoopbackModal
) -> Iterator[Orchestrator]:
    home, config = splits_and_base_model
    shutil.copytree(home, pipeline_home)
    orchestrator = Orchestrator(pipeline_home, tmp_path, config, modal_loopback)
    yield orchestrator
    orchestrator.kill_all()


def test_ctrl_c_of_a_command_line_run_ends_the_call_and_its_container(orchestrator: Orchestrator) -> None:
    process = orchestrator.start(epochs=500)
    orchestrator.wait_for_checkpoint()
    os.killpg(process.pid, signal.SIGINT)
    orchestrator.seconds_until_no_container()
    assert process.wait(30) == 130, orchestrator.log.read_text()
    assert [call.state for call in orchestrator.trainings()] == ["cancelled"]
    assert [run.status for run in orchestrator_runs(orchestrator)] == [dg.DagsterRunStatus.CANCELED]


def test_a_lost_orchestrator_leaves_the_training_to_be_found_again_and_exactly_one_happens(
    orchestrator: Orchestrator,
) -> None:
    process = orchestrator.start(epochs=20)
    volume = orchestrator.wait_for_checkpoint()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    said = orchestrator.finish(epochs=20)
    (training,) = orchestrator.trainings()
    assert (training.state, training.tries) == ("succeeded", 1)
    assert f"Modal call {training.id}" in said
    assert "manifest.json" in orchestrator.loopback.volume_files(volume)

    # Materialised now: the same again trains nothing, and the explicit wish does.
    assert f"nothing to train: the call {training.id}" in orchestrator.finish(epochs=20)
    assert len(orchestrator.trainings()) == 1
    orchestrator.finish(epochs=20, train_anew=True)
    assert [call.state for call in orchestrator.trainings()] == ["succeeded", "succeeded"]


def test_a_training_that_nobody_waited_for_until_it_was_over_is_taken_as_it_is(orchestrator: Orchestrator) -> None:
    process = orchestrator.start()
    wait_until(lambda: any(run for run in orchestrator.trainings()), START_SECONDS)
    wait_until(lambda: re.search(r"modal/fine_tuned_model\.\w+\.call_id", orchestrator_tags(orchestrator)), 10)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: orchestrator.trainings()[0].state == "succeeded", START_SECONDS)
    assert "not used yet" in orchestrator.finish()
    assert len(orchestrator.trainings()) == 1


def orchestrator_runs(orchestrator: Orchestrator) -> Sequence[dg.DagsterRun]:
    with dg.DagsterInstance.from_config(str(orchestrator.dagster_home)) as instance:
        return instance.get_runs()


def orchestrator_tags(orchestrator: Orchestrator) -> str:
    return " ".join(tag for run in orchestrator_runs(orchestrator) for tag in run.tags)


# --- from the UI ------------------------------------------------------------------------------------------------


def launch_long_training(address: str, orchestrator: Orchestrator) -> str:
    """Launch it as the UI does, and wait for its first checkpoint; returns the run's id."""
    launch = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
        __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
    settings = {**orchestrator.config["fine_tuned_model"], "epochs": 500}
    params = {
        "selector": {
            "repositoryLocationName": "pipeline",
            "repositoryName": "__repository__",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": ["fine_tuned_model"]}],
        },
        "runConfigData": {"ops": {"fine_tuned_model": {"config": settings}}},
        "mode": "default",
    }
    launched = ask(address, launch, params=params)
    orchestrator.wait_for_checkpoint()
    return str(launched["launchRun"]["run"]["runId"])


def test_a_run_terminated_in_the_ui_ends_the_call_and_its_container(orchestrator: Orchestrator) -> None:
    with dagster_dev(orchestrator.environment, orchestrator.log) as address:
        run_id = launch_long_training(address, orchestrator)
        ask(address, "mutation ($run: String!) { terminateRun(runId: $run) { __typename } }", run=run_id)
        orchestrator.seconds_until_no_container()
        assert [call.state for call in orchestrator.trainings()] == ["cancelled"]
        status = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
        wait_until(lambda: ask(address, status, run=run_id)["runOrError"]["status"] == "CANCELED", 60)


def test_a_dagster_that_is_shut_down_leaves_the_call_to_be_found_again(orchestrator: Orchestrator) -> None:
    with dagster_dev(orchestrator.environment, orchestrator.log) as address:
        launch_long_training(address, orchestrator)
    time.sleep(END_SECONDS)
    assert [call.state for call in orchestrator.trainings()] == ["running"]
    # By this a run knows that a server launched it, and may be interrupted because that server goes down.
    assert [bool(run.remote_job_origin) for run in orchestrator_runs(orchestrator)] == [True]


def test_a_cancelled_run_without_a_worker_has_its_calls_ended_by_the_sensor(orchestrator: Orchestrator) -> None:
    from pipeline.orchestration.upkeep import end_calls_of_cancelled_runs

    process = orchestrator.start(epochs=500)
    orchestrator.wait_for_checkpoint()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert [call.state for call in orchestrator.trainings()] == ["running"]

    with dg.DagsterInstance.from_config(str(orchestrator.dagster_home)) as instance:
        run = instance.get_runs(limit=1)[0]
        instance.report_run_canceled(run)
        (event,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_CANCELED)
        assert event.dagster_event
        with dg.build_run_status_sensor_context(
            "end_calls_of_cancelled_runs", event.dagster_event, instance, run
        ) as context:
            end_calls_of_cancelled_runs(context)
    orchestrator.seconds_until_no_container()
    assert [call.state for call in orchestrator.trainings()] == ["cancelled"]
