"""Who is told of which runs, and what, by a webhook on this machine; a real daemon does so in `test_automation.py`."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_runs import run
from loopback_notices import LoopbackChat, running_chat
from made_reports import before_and_after, finished_training

from pipeline.core import notices
from pipeline.core.errors import PipelineError
from pipeline.core.files import PROJECT_ROOT
from pipeline.core.store import VersionStore
from pipeline.core.values import Interval
from pipeline.definitions import defs
from pipeline.orchestration.asset_values import store_value
from pipeline.orchestration.notifications import tell_of_failed_runs, tell_of_refused_models
from pipeline.reporting import result_files
from pipeline.settings import environment

BY_SCHEDULE = {"dagster/schedule_name": "weekly_retrain"}


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackChat]:
    monkeypatch.setattr(notices, "_PAUSE", 0.01)
    monkeypatch.delenv("PIPELINE_UI_URL", raising=False)
    with running_chat() as chat:
        monkeypatch.setenv("PIPELINE_NOTIFY", chat.url)
        yield chat


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def tell(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, run: dg.DagsterRun, event: dg.DagsterEvent
) -> str | None:
    """What the sensor says of a run that it tells nobody of; None where it has sent a message or tried to."""
    with dg.build_run_status_sensor_context(sensor.name, event, instance, run) as context:
        skipped: Any = sensor(context.for_run_failure() if sensor is tell_of_failed_runs else context)
    assert skipped is None or isinstance(skipped, dg.SkipReason)
    return skipped.skip_message if skipped else None


def failed(home: Path, instance: dg.DagsterInstance, **tags: str) -> tuple[dg.DagsterRun, dg.DagsterEvent]:
    """A run that reads pairs which aren't there."""
    missing = ("raw_quora_dataset.source=file", "raw_quora_dataset.path=/nowhere/`pairs`.csv")
    only = dg.AssetSelection.assets("raw_quora_dataset")
    result = run(home, None, instance, only, missing, raise_on_error=False, tags=tags)
    (event,) = (event for event in result.all_events if event.event_type == dg.DagsterEventType.RUN_FAILURE)
    return result.dagster_run, event


def test_a_failed_run_of_a_schedule_is_told_in_one_message(
    chat: LoopbackChat, pipeline_home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, event = failed(pipeline_home, instance, **BY_SCHEDULE)
    assert tell(tell_of_failed_runs, instance, run, event) is None
    said = (
        "A run of single assets failed. It was started by the schedule weekly_retrain.\n"
        "`raw_quora_dataset: no file of question pairs at /nowhere/'pairs'.csv: correct 'path'`\n"
    )
    assert chat.texts == [f"{said}Run {run.run_id}"]
    monkeypatch.setenv("PIPELINE_UI_URL", "https://ui.example.org/")
    tell(tell_of_failed_runs, instance, run, event)
    assert chat.texts[1] == f"{said}https://ui.example.org/runs/{run.run_id}"


def test_a_run_that_a_person_started_or_that_is_tried_again_is_not_told(
    chat: LoopbackChat, pipeline_home: Path, instance: dg.DagsterInstance
) -> None:
    by_hand = tell(tell_of_failed_runs, instance, *failed(pipeline_home, instance))
    assert by_hand is not None
    assert by_hand.endswith("was started by hand")
    again = tell(
        tell_of_failed_runs, instance, *failed(pipeline_home, instance, **BY_SCHEDULE, **{"dagster/will_retry": "true"})
    )
    assert again is not None
    assert "will be tried again" in again
    assert chat.asked == []


def test_a_run_of_retrain_whose_process_was_lost_is_told_whoever_started_it(
    chat: LoopbackChat, pipeline_home: Path, instance: dg.DagsterInstance
) -> None:
    run = instance.create_run_for_job(defs.resolve_job_def("retrain"))
    event = instance.report_run_failed(run, "Run process 4711 unexpectedly exited.")
    assert tell(tell_of_failed_runs, instance, run, event) is None
    assert chat.texts == [f"The job retrain failed.\n`Run process 4711 unexpectedly exited.`\nRun {run.run_id}"]


def test_what_failed_long_ago_is_no_news(
    chat: LoopbackChat, pipeline_home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, event = failed(pipeline_home, instance, **BY_SCHEDULE)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)
    old = tell(tell_of_failed_runs, instance, run, event)
    assert old is not None
    assert "ended more than a day ago" in old
    assert chat.asked == []


def test_a_webhook_that_fails_is_one_line_in_the_log_and_no_failure(
    chat: LoopbackChat, pipeline_home: Path, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    run, event = failed(pipeline_home, instance, **BY_SCHEDULE)
    capfd.readouterr()
    chat.answers = [500] * 2
    assert tell(tell_of_failed_runs, instance, run, event) is None
    (line,) = capfd.readouterr().err.splitlines()
    what = f"no message was sent about run {run.run_id}, which failed: the webhook answered with status 500"
    assert line.endswith(f"WARNING - {what}")


def test_nobody_is_told_without_the_variable(
    chat: LoopbackChat, pipeline_home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIPELINE_NOTIFY")
    run, event = failed(pipeline_home, instance, **BY_SCHEDULE)
    assert tell(tell_of_failed_runs, instance, run, event) == "PIPELINE_NOTIFY is not set"


def test_a_refused_model_is_told_with_its_reason_and_no_other_run_is(
    chat: LoopbackChat, pipeline_home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Drawing takes seconds, and has tests of its own.
    monkeypatch.setattr(result_files, "pictures", lambda report: [])
    store, model = VersionStore(str(pipeline_home)), finished_training(pipeline_home / "runs" / "one")
    report = before_and_after()[1]
    gains = {**report.gains, "ap": Interval(estimate=0.001, low=-0.05, high=0.05)}
    store_value(store, "fine_tuned_model", model, "0123abcd")
    report = report.model_copy(update={"model": model.model, "gains": gains})
    store_value(store, "post_train_eval_report", report, "0123abcd")
    alone = dg.AssetSelection.assets("production_model")
    result = run(pipeline_home, None, instance, alone, tags=BY_SCHEDULE)
    (event,) = (event for event in result.all_events if event.event_type == dg.DagsterEventType.RUN_SUCCESS)
    assert tell(tell_of_refused_models, instance, result.dagster_run, event) is None
    (text,) = chat.texts
    assert text.startswith(
        "A run of single assets refused the new model. It was started by the schedule weekly_retrain."
    )
    assert "`production_model: " in text
    assert "0.0010" in text

    # A later run is not told for what this one did.
    pairs = dg.AssetSelection.assets("raw_quora_dataset")
    result = run(pipeline_home, None, instance, pairs, ("raw_quora_dataset.fraction=0.05",), tags=BY_SCHEDULE)
    (event,) = (event for event in result.all_events if event.event_type == dg.DagsterEventType.RUN_SUCCESS)
    skipped = tell(tell_of_refused_models, instance, result.dagster_run, event)
    assert skipped is not None
    assert "has refused no model" in skipped
    assert len(chat.asked) == 1


STATUSES = (
    "import json; from pipeline.definitions import defs;"
    "print(json.dumps({s.name: s.default_status.name for s in defs.sensors if s.name.startswith('tell_')}))"
)


def test_the_sensors_are_on_where_somebody_is_to_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_NOTIFY", "mailto:team@example.org")
    command = [sys.executable, "-c", STATUSES]
    loaded = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert json.loads(loaded.stdout) == {"tell_of_failed_runs": "RUNNING", "tell_of_refused_models": "RUNNING"}


def test_a_value_that_names_nobody_is_refused_by_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_NOTIFY", "mailto:team@example.org")
    monkeypatch.setenv("PIPELINE_SMTP", "mail.example.org")
    with pytest.raises(PipelineError, match="PIPELINE_SMTP is no mail server"):
        environment.recipient()
