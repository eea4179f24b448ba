"""Jobs, schedule and sensors: single ticks in this process, and real ones by a real daemon that launches real runs."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster_runs import ASSETS, run
from dagster_server import running
from loopback_notices import LoopbackChat, running_chat

from pipeline.core.files import PROJECT_ROOT
from pipeline.definitions import defs
from pipeline.orchestration import automation
from pipeline.orchestration.automation import Watch, new_question_pairs
from pipeline.orchestration.checks import CHECKS
from pipeline.orchestration.steps import PRODUCTION, load_settings
from pipeline.question_pairs import sources
from pipeline.question_pairs.reading.files import DataFile

PATIENCE = 420
REPORTS = dg.AssetSelection.groups("reports")


@pytest.fixture
def watched(small_pairs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the sensor looks at."""
    settings = load_settings(values={"raw_quora_dataset": {"source": "file", "path": str(small_pairs)}})
    monkeypatch.setattr(automation, "_RETRAIN", settings)
    return small_pairs


def tick(cursor: str | None) -> dg.SensorResult:
    with dg.build_sensor_context(cursor=cursor) as context:
        result = new_question_pairs(context)
    assert isinstance(result, dg.SensorResult)
    return result


def reason(result: dg.SensorResult) -> str:
    skip = result.skip_reason
    assert skip is not None
    return skip.skip_message or "" if isinstance(skip, dg.SkipReason) else skip


def test_a_change_launches_one_run_once_it_stays(watched: Path) -> None:
    first = tick(None)
    assert "unchanged" in reason(first)
    assert "unchanged" in reason(tick(first.cursor))
    watched.write_text(watched.read_text() + "999\t1\t2\ta\tb\t1\n")
    half = tick(first.cursor)
    assert "waiting for it to stay" in reason(half)
    # Still being copied.
    watched.write_text(watched.read_text() + "1000\t3\t4\tc\td\t0\n")
    whole = tick(half.cursor)
    assert "waiting for it to stay" in reason(whole)
    launched = tick(whole.cursor)
    assert launched.run_requests is not None
    (request,) = launched.run_requests
    assert (request.run_key or "").startswith("1-")
    assert "unchanged" in reason(tick(launched.cursor))


def test_a_change_back_to_what_was_there_before_is_a_change(watched: Path) -> None:
    before, cursor, keys = watched.read_text(), tick(None).cursor, []
    for text in (before + "999\t1\t2\ta\tb\t1\n", before, before + "999\t1\t2\ta\tb\t1\n"):
        watched.write_text(text)
        launched = tick(tick(cursor).cursor)
        cursor = launched.cursor
        keys += [request.run_key for request in launched.run_requests or []]
    assert len(set(keys)) == 3


def test_a_source_that_is_gone_is_a_reason_to_skip_and_nothing_is_forgotten(watched: Path) -> None:
    first = tick(None)
    watched.unlink()
    gone = tick(first.cursor)
    assert "no file of question pairs" in reason(gone)
    assert gone.cursor == first.cursor
    assert Watch.from_stored_json(str(gone.cursor)).launched == 0


DAMAGED_CURSORS = {
    "half of one": '{"schema":1,"known":"24f8',
    "no JSON": "1795597250.25",
    "no mapping": "[1, 2]",
    "a missing field": '{"known":"24f8"}',
    "a field of another type": '{"known":"24f8","seen":"24f8","launched":"often"}',
    "one of a newer release": '{"schema":99,"known":"24f8","seen":"24f8","launched":0}',
}


@pytest.mark.parametrize("damage", DAMAGED_CURSORS)
def test_the_sensor_goes_on_with_a_cursor_that_it_cant_read(watched: Path, damage: str) -> None:
    """What it knew is lost, so it launches a run rather than none, and knows again from then on."""
    first = tick(DAMAGED_CURSORS[damage])
    assert "waiting for it to stay" in reason(first)
    launched = tick(first.cursor)
    assert len(launched.run_requests or []) == 1
    assert "unchanged" in reason(tick(launched.cursor))


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The sensor's cursors as commit 147b78a left them, with the source that it looked at there again."""
    with zipfile.ZipFile(PROJECT_ROOT / "pipeline_tests" / "stored_by_147b78a.zip") as archive:
        stored: dict[str, Any] = json.loads(archive.read("sensor_cursor.json"))
        path = Path(archive.extract("pairs.tsv", tmp_path))
    # A fingerprint has the path in it, which was another one then.
    monkeypatch.setattr(sources, "find_files", lambda location, deadline, setting: [DataFile(location, path)])
    monkeypatch.setattr(automation, "_RETRAIN", load_settings(values={"raw_quora_dataset": stored["source"]}))
    return stored


def test_the_sensor_reads_the_cursors_of_the_first_release(before: dict[str, Any]) -> None:
    known = tick(before["cursor"])
    assert "unchanged" in reason(known)
    found = Watch.from_stored_json(known.cursor or "")
    assert found == Watch(known=before["source_fingerprint"], seen=before["source_fingerprint"], launched=0)

    # A change that was seen once before the upgrade launches the run that it would have launched.
    launched = tick(before["cursor_of_a_changed_file_seen_once"])
    assert launched.run_requests is not None
    (request,) = launched.run_requests
    assert (request.run_key, dict(request.tags)) == (before["run_key"], before["run_tags"])

    after = tick(before["cursor_after_a_launched_run"])
    assert "unchanged" in reason(after)
    assert Watch.from_stored_json(after.cursor or "").launched == 1


def test_the_bundled_sample_never_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automation, "_RETRAIN", load_settings())
    assert "bundled sample" in reason(tick(None))


def test_the_sensor_looks_every_minute() -> None:
    assert new_question_pairs.minimum_interval_seconds == 60


def test_everything_is_off_until_switched_on() -> None:
    on = {sensor.name for sensor in defs.sensors or [] if sensor.default_status == dg.DefaultSensorStatus.RUNNING}
    # Launches nothing: it ends what would go on costing money.
    assert on == {"end_calls_of_cancelled_runs"}
    assert defs.resolve_schedule_def("weekly_retrain").default_status == dg.DefaultScheduleStatus.STOPPED


def test_only_a_lost_run_is_tried_again() -> None:
    assert defs.resolve_job_def("retrain").tags["dagster/max_retries"] == "2"
    settings = yaml.safe_load((PROJECT_ROOT / "deploy" / "dagster.yaml").read_text())
    assert settings["run_retries"] == {"enabled": True, "max_retries": 0, "retry_on_asset_or_op_failure": False}
    for asset in ASSETS:
        assert asset.op.retry_policy is None


def test_what_computes_shares_one_pool() -> None:
    pools = {key.to_user_string(): asset.op.pool for asset in ASSETS for key in asset.keys}
    computing = {"fine_tuned_model", "baseline_eval_report", "post_train_eval_report", "model_leaderboard"}
    assert {key for key, pool in pools.items() if pool == "compute"} == computing
    # A roll-back must not wait for a training.
    assert pools["production_model"] is None


@pytest.mark.slow
def test_reports_follow_a_model_that_was_materialised_alone(pipeline_home: Path, small_config: Path) -> None:
    alone = dg.AssetSelection.assets("fine_tuned_model")
    project = dg.Definitions([*ASSETS, *CHECKS], resources=defs.resources)
    with dg.DagsterInstance.ephemeral() as instance:
        run(pipeline_home, small_config, instance)
        settled = dg.evaluate_automation_conditions(project, instance, REPORTS)
        again = dg.evaluate_automation_conditions(project, instance, REPORTS, cursor=settled.cursor)
        assert again.total_requested == 0
        run(pipeline_home, small_config, instance, alone, ("fine_tuned_model.seed=7",))
        after = dg.evaluate_automation_conditions(project, instance, REPORTS, cursor=again.cursor)
    assert after.get_num_requested(dg.AssetKey("post_train_eval_report")) == 1
    assert after.get_num_requested(dg.AssetKey("baseline_eval_report")) == 0


# --- with a real daemon ----------------------------------------------------------------------------------------

HASTY = ["-m", "hasty_definitions", "-d", str(PROJECT_ROOT / "pipeline_tests")]
"""Sensors that look every four seconds; the project's look every minute."""


@pytest.fixture
def dagster_home(tmp_path: Path, pipeline_home: Path, small_config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster home with the settings for one machine, and a `retrain` that takes seconds, due every minute."""
    home = tmp_path / "dagster_home"
    home.mkdir()
    shutil.copy(PROJECT_ROOT / "deploy" / "dagster.yaml", home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("PIPELINE_RETRAIN_CONFIG", str(small_config))
    monkeypatch.setenv("PIPELINE_RETRAIN_CRON", "* * * * *")
    # Its services are found beside this interpreter.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return home


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackChat]:
    """Where people are told."""
    with running_chat() as chat:
        monkeypatch.setenv("PIPELINE_NOTIFY", chat.url)
        monkeypatch.setenv("PIPELINE_UI_URL", "https://ui.example.org")
        yield chat


@pytest.fixture
def daemon(dagster_home: Path, chat: LoopbackChat, tmp_path: Path) -> Iterator[Path]:
    """A running `dagster-daemon`; gives its log."""
    log = tmp_path / "daemon.log"
    with running(["dagster-daemon", "run", *HASTY], os.environ, log) as process:
        yield log
        assert process.poll() is None, log.read_text()


def switch(kind: str, name: str, verb: str) -> None:
    """As a person does it on the command line."""
    command = [sys.executable, "-m", "dagster", kind, verb, name, *HASTY]
    result = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr


def wait_until(condition: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, log.read_text()[-5000:]
        time.sleep(0.5)


@pytest.mark.slow
def test_the_daemon_launches_one_run_for_a_change_and_one_for_the_schedule_which_waits(
    pipeline_home: Path, daemon: Path, small_pairs: Path, chat: LoopbackChat
) -> None:
    with dg.DagsterInstance.get() as instance:

        def launched_by(tag: str, name: str) -> list[dg.DagsterRun]:
            return list(instance.get_runs(filters=dg.RunsFilter(tags={tag: name})))

        def of_sensor() -> list[dg.DagsterRun]:
            return launched_by("dagster/sensor_name", "new_question_pairs")

        def of_schedule() -> list[dg.DagsterRun]:
            return launched_by("dagster/schedule_name", "weekly_retrain")

        def cursor() -> str | None:
            for state in instance.all_instigator_state():
                if state.instigator_name == "new_question_pairs" and state.instigator_data:
                    return getattr(state.instigator_data, "cursor", None)
            return None

        switch("sensor", "new_question_pairs", "start")
        wait_until(lambda: cursor() is not None, daemon)
        assert not of_sensor()
        small_pairs.write_text(small_pairs.read_text() + "999\t90001\t90002\tWhy not?\tHow come?\t0\n")
        wait_until(lambda: bool(of_sensor()), daemon)
        switch("schedule", "weekly_retrain", "start")
        wait_until(lambda: bool(of_schedule()), daemon)
        switch("schedule", "weekly_retrain", "stop")
        runs = [run.run_id for run in (*of_sensor(), *of_schedule())]

        def statuses() -> list[dg.DagsterRunStatus]:
            return [found.status for run_id in runs if (found := instance.get_run_by_id(run_id))]

        together = 0

        def are_over() -> bool:
            nonlocal together
            now = statuses()
            running = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED)
            together = max(together, sum(status in running for status in now))
            return all(status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE) for status in now)

        wait_until(are_over, daemon)
        assert set(statuses()) == {dg.DagsterRunStatus.SUCCESS}
        # The pool has one place: the others waited in the queue.
        assert len(runs) >= 2
        assert together == 1
        records = [instance.get_run_record_by_id(run_id) for run_id in runs]
        spans = sorted((record.start_time or 0, record.end_time or 0) for record in records if record)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans)), spans
        # The bytes have not changed since.
        assert len(of_sensor()) == 1
        assert '"launched":1' in str(cursor()).replace(" ", "")
        assert not [text for text in chat.texts if "failed" in text]

        # A row that is broken fails the next run, and people are told of it.
        small_pairs.write_text(small_pairs.read_text() + "1000\t90003\t90004\tWhy?\tHow?\tmaybe\n")
        wait_until(lambda: any("failed" in text for text in chat.texts), daemon)
        (failed,) = (run for run in of_sensor() if run.status == dg.DagsterRunStatus.FAILURE)
        said, quoted, place = chat.texts[-1].split("\n")
        assert said == "The job retrain failed. It was started by the sensor new_question_pairs."
        assert "1 with unknown label" in quoted
        assert place == f"https://ui.example.org/runs/{failed.run_id}"
        assert "SECRET" not in daemon.read_text()
    assert len(list((pipeline_home / "runs").glob("*/manifest.json"))) == len(runs)


@pytest.mark.parametrize(
    ("sensor", "job"), [(automation.mine_after_promotion, "mine"), (automation.export_after_promotion, "export")]
)
@pytest.mark.parametrize(("decision", "runs"), [("promoted", 1), ("rolled back", 1), ("confirmed", 0)])
def test_a_promotion_launches_one_run_unless_it_confirms_what_is_there(
    sensor: dg.SensorDefinition, job: str, decision: str, runs: int
) -> None:
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    assert sensor.job_name == job

    @dg.asset(name=PRODUCTION)
    def promoted() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"decision": decision, "model_version": "m2"})

    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([promoted], instance=instance)
        context = dg.build_sensor_context(instance, repository_def=defs.get_repository_def())
        tick = sensor.evaluate_tick(context)
    assert len(tick.run_requests or []) == runs
    if runs:
        assert tick.run_requests is not None
        assert tick.run_requests[0].tags["model_version"] == "m2"
