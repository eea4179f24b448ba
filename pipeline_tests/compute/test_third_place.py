"""A third compute backend, outside the package: chosen by name, lost and found again.

Real Dagster runs from the command line, ended by real signals; judged by what the other process has left.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from dagster_runs import Config, write_run_config
from modal_loopback import wait_until
from other_process.backend import is_running

from pipeline.core.files import PROJECT_ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs Linux's /proc")]

START_SECONDS = 120
END_SECONDS = 5


class Runs:
    """Command-line runs that share one Dagster instance, with splits and base model there already."""

    def __init__(self, home: Path, folder: Path, config: Config) -> None:
        self.home = home
        self.config = config
        dagster_home = folder / "dagster_home"
        dagster_home.mkdir()
        shutil.copy(PROJECT_ROOT / "deploy" / "dagster.yaml", dagster_home)
        self.log = folder / "run.log"
        others = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER_", "PIPELINE_"))}
        self.environment = {
            **others,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(PROJECT_ROOT / "pipeline_tests"),
            "PIPELINE_HOME": str(self.home),
            "PIPELINE_COMPUTE": "other_process.backend",
            "DAGSTER_HOME": str(dagster_home),
        }
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, **recipe: Any) -> "subprocess.Popen[bytes]":
        steps = {**self.config, "fine_tuned_model": {**self.config["fine_tuned_model"], **recipe}}
        path = write_run_config(self.log.with_name("run.json"), steps)
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

    def finish(self, **recipe: Any) -> str:
        assert self.start(**recipe).wait() == 0, self.log.read_text()
        return self.log.read_text()

    def folders(self) -> list[Path]:
        """The run folders, in the order in which they were claimed."""
        return sorted((self.home / "runs").glob("sentence-transformers-ft-*"))

    def starts(self) -> int:
        """How often a worker was started."""
        return sum((folder / ".job" / "starts").read_text().count("one") for folder in self.folders())

    def wait_for_checkpoint(self) -> None:
        wait_until(lambda: any((f / "checkpoints" / "20").is_dir() for f in self.folders()), START_SECONDS)

    def worker(self) -> int:
        """The number of the worker, by what the run has recorded."""
        with subprocess.Popen(
            ["pgrep", "-f", f"other_process.worker {self.folders()[0]}"], stdout=subprocess.PIPE, text=True
        ) as found:
            assert found.stdout
            return int(found.stdout.read().split()[0])

    def end_all(self) -> None:
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        with suppress(IndexError, ProcessLookupError):
            os.killpg(self.worker(), signal.SIGKILL)


@pytest.fixture
def runs(tmp_path: Path, splits_and_base_model: tuple[Path, Config]) -> Iterator[Runs]:
    home, config = splits_and_base_model
    shutil.copytree(home, tmp_path / "home")
    runs = Runs(tmp_path / "home", tmp_path, config)
    yield runs
    runs.end_all()


def test_a_training_whose_caller_was_killed_is_taken_up_and_happens_once(runs: Runs) -> None:
    process = runs.start(epochs=6)
    runs.wait_for_checkpoint()
    worker = runs.worker()
    # It shall not end before it is found again.
    os.kill(worker, signal.SIGSTOP)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert is_running(worker), "the worker must outlive its caller"

    process = runs.start(epochs=6)
    wait_until(lambda: f"taking up the process {worker}" in runs.log.read_text(), START_SECONDS)
    os.kill(worker, signal.SIGCONT)
    assert process.wait() == 0, runs.log.read_text()
    assert (runs.starts(), len(runs.folders())) == (1, 1)

    # Its result stands, unless another one is wished for.
    assert f"the result of the process {worker} stands" in runs.finish(epochs=6)
    assert runs.starts() == 1
    runs.finish(epochs=6, train_anew=True)
    assert (runs.starts(), len(runs.folders())) == (2, 2)


def test_ctrl_c_of_a_command_line_ends_the_other_process(runs: Runs) -> None:
    process = runs.start(epochs=500)
    runs.wait_for_checkpoint()
    worker = runs.worker()
    os.killpg(process.pid, signal.SIGINT)
    wait_until(lambda: not is_running(worker), END_SECONDS)
    assert process.wait(60) == 130, runs.log.read_text()
