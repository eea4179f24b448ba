"""An interrupted run prints what is kept, is recorded as cancelled, and can be resumed by a command or in the UI."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster_server import dagster_dev
from filelock import FileLock
from playwright.sync_api import expect, sync_playwright

from pipeline.command_line.recorded_run import run_to_resume
from pipeline.core.errors import BusyError, NotFoundError, SettingError
from pipeline.core.files import PROJECT_ROOT
from pipeline.orchestration.work_records import PROCESS_TAG

SECONDS = 240
CHROMIUM = shutil.which("chromium")


@pytest.fixture
def dagster_home(pipeline_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "dagster"
    folder.mkdir()
    shutil.copy(PROJECT_ROOT / "deploy" / "dagster.yaml", folder)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


@pytest.fixture
def instance(dagster_home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as opened:
        yield opened


class Command:
    """A `materialize` in a session of its own, as a terminal starts it."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline", "materialize", *arguments],
                cwd=PROJECT_ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, pattern: str) -> "re.Match[str]":
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        return found

    def signal(self, number: signal.Signals) -> None:
        """As a terminal does it: the whole process group gets the signal."""
        os.killpg(self.process.pid, number)

    def finish(self) -> str:
        self.process.wait(SECONDS)
        return self.log.read_text()


def in_training(home: Path, command: Command) -> Command:
    """The command, once its training has checkpoints: of the newest, the command may not have heard yet."""
    deadline = time.monotonic() + SECONDS
    while len(list((home / "runs").glob("*/checkpoints/[0-9]*/checkpoint.json"))) < 2:
        assert command.process.poll() is None, command.log.read_text()
        assert time.monotonic() < deadline, command.log.read_text()
        time.sleep(0.02)
    return command


def statuses(instance: dg.DagsterInstance) -> list[str]:
    """Of all runs, the newest first."""
    return [run.status.value for run in instance.get_runs()]


LONG = ("--set", "fine_tuned_model.epochs=15", "--set", "fine_tuned_model.patience=null")


@pytest.mark.slow
def test_an_interrupted_run_is_gone_on_with_however_it_ended(
    instance: dg.DagsterInstance, pipeline_home: Path, small_config: Path, tmp_path: Path
) -> None:
    first = in_training(pipeline_home, Command(tmp_path / "first.log", "--config", str(small_config), *LONG))
    first.signal(signal.SIGINT)
    said = first.wait_for(
        r"Interrupted in fine_tuned_model\. Kept: the checkpoint of step (\d+) and \d+ finished steps"
    )
    log = first.finish()
    assert first.process.returncode == 130, log
    assert "Traceback" not in log
    # Nothing comes after the line: it was the answer.
    (run,) = instance.get_runs()
    assert log.rstrip().endswith(f"Continue with: python -m pipeline materialize --resume (run {run.run_id[:8]})")
    assert run.status == dg.DagsterRunStatus.CANCELED
    (folder,) = (pipeline_home / "runs").glob("sentence-transformers-ft-*")

    # Killed by force, nobody could say anything, and the run is recorded as going on.
    second = Command(tmp_path / "second.log", "--resume")
    second.wait_for(rf"resuming run {run.run_id} after \d+ finished steps")
    resumed = second.wait_for(r"the training goes on from step (\d+) of")
    assert int(resumed[1]) >= int(said[1])
    second.signal(signal.SIGKILL)
    second.process.wait()
    assert statuses(instance) == ["STARTED", "CANCELED"]

    third = Command(tmp_path / "third.log", "--resume", instance.get_runs(limit=1)[0].run_id[:8])
    log = third.finish()
    assert third.process.returncode == 0, log
    assert statuses(instance) == ["SUCCESS", "CANCELED", "CANCELED"]
    assert "average precision" in log
    # One training in one folder, whose steps are those of the first run's settings.
    assert [path.parent for path in (pipeline_home / "runs").glob("*/manifest.json")] == [folder]
    assert len({found.root_run_id or found.run_id for found in instance.get_runs()}) == 1

    with pytest.raises(SettingError):
        run_to_resume(instance, None)
    assert list((Path(instance.root_directory) / "command_line").glob("*.lock")) == [], "a lock is left"


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs the program `chromium`: apt-get install chromium")
def test_the_ui_opens_on_the_run_of_a_command_and_re_executes_it_with_a_click(
    instance: dg.DagsterInstance, dagster_home: Path, pipeline_home: Path, small_config: Path, tmp_path: Path
) -> None:
    select = ("--select", "+key:fine_tuned_model")
    command = in_training(pipeline_home, Command(tmp_path / "log", "--config", str(small_config), *select, *LONG))
    command.signal(signal.SIGTERM)
    assert "Terminated in fine_tuned_model" in command.finish()
    assert command.process.returncode == 143
    (run,) = instance.get_runs()
    pictures = Path(os.environ.get("SCREENSHOTS", tmp_path))
    with dagster_dev(os.environ, tmp_path / "dagster-dev.log") as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(60_000)
        page.goto(address)
        expect(page.get_by_text("Jobless asset materializations").first).to_be_visible(timeout=60_000)
        page.screenshot(path=pictures / "overview.png")
        page.goto(f"{address}/runs/{run.run_id}")
        page.get_by_role("button", name=re.compile("^Re-execute all")).wait_for()
        page.get_by_role("button").filter(has=page.get_by_label("arrow_drop_down")).last.click()
        page.screenshot(path=pictures / "re-execute.png")
        page.get_by_text("From failure").click()
        deadline = time.monotonic() + SECONDS
        while statuses(instance) != ["SUCCESS", "CANCELED"]:
            assert time.monotonic() < deadline, statuses(instance)
            time.sleep(0.5)
        browser.close()
    assert instance.get_runs(limit=1)[0].parent_run_id == run.run_id
    assert len(list((pipeline_home / "runs").glob("sentence-transformers-ft-*"))) == 1


@dg.asset
def thing() -> int:
    return 1


def recorded(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus,
    process: str | None = None,
    parent: dg.DagsterRun | None = None,
) -> dg.DagsterRun:
    job = dg.Definitions(assets=[thing]).resolve_implicit_global_asset_job_def()
    parent_id = parent.run_id if parent else None
    tags = {PROCESS_TAG: process} if process else {}
    return instance.create_run_for_job(job, status=status, tags=tags, parent_run_id=parent_id, root_run_id=parent_id)


def test_what_cannot_be_resumed_is_refused_in_one_line(instance: dg.DagsterInstance, dagster_home: Path) -> None:
    with pytest.raises(NotFoundError):
        run_to_resume(instance, None)
    failed = recorded(instance, dg.DagsterRunStatus.FAILURE)
    assert run_to_resume(instance, None).run_id == failed.run_id
    assert run_to_resume(instance, failed.run_id[:8]).run_id == failed.run_id
    succeeded = recorded(instance, dg.DagsterRunStatus.SUCCESS)
    with pytest.raises(SettingError) as refused:
        run_to_resume(instance, None)
    assert refused.value.values == {"run_id": succeeded.run_id}
    for wanted in ("ffffffff", failed.run_id[:3]):
        with pytest.raises(NotFoundError) as caught:
            run_to_resume(instance, wanted)
        assert caught.value.values == {"wanted": wanted, "matches": 0}


def test_a_run_in_progress_is_left_alone_and_one_whose_process_is_gone_is_not(
    instance: dg.DagsterInstance, dagster_home: Path
) -> None:
    (dagster_home / "command_line").mkdir()
    here = os.uname().nodename
    alive = recorded(instance, dg.DagsterRunStatus.STARTED, f"{here}/alive")
    lost = recorded(instance, dg.DagsterRunStatus.STARTED, f"{here}/lost")
    with FileLock(dagster_home / "command_line" / "alive.lock"):
        for run in (
            alive,
            recorded(instance, dg.DagsterRunStatus.STARTED, "another-machine/lost"),
            recorded(instance, dg.DagsterRunStatus.STARTED),
            # The UI goes on with the run of a process that is gone: its tags are inherited.
            recorded(instance, dg.DagsterRunStatus.STARTED, f"{here}/lost", parent=lost),
        ):
            with pytest.raises(BusyError):
                run_to_resume(instance, run.run_id)
    assert run_to_resume(instance, lost.run_id).status == dg.DagsterRunStatus.CANCELED


@pytest.mark.parametrize(
    "option", [("--config", "a.yaml"), ("--pairs", "a.csv"), ("--select", "base_model"), ("--set", "a=b")]
)
def test_a_resumed_run_has_its_own_settings(dagster_home: Path, option: tuple[str, str]) -> None:
    command = [sys.executable, "-m", "pipeline", "materialize", "--resume", *option]
    result = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"leave {option[0]} out" in result.stderr


def test_a_run_that_left_no_record_cannot_be_resumed(pipeline_home: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "materialize", "--resume"]
    result = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "--resume needs DAGSTER_HOME" in result.stderr
