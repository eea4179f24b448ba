"""What Dagster loads: names that outlive a release, what loading them costs, and what is off until switched on.

`names.json` holds the names. After a change that is meant::

    RENEW_SNAPSHOT=1 pytest pipeline_tests/test_definitions.py
"""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline.core.files import PROJECT_ROOT
from pipeline.core.values import Settings
from pipeline.definitions import defs
from pipeline.orchestration.steps import ON_REQUEST_SETTINGS, REMOVED_ASSETS, STEP_SETTINGS, load_settings
from pipeline.settings.run_config import project_config

SNAPSHOT = Path(__file__).with_name("names.json")
GRAPH, REPOSITORY = defs.resolve_asset_graph(), defs.get_repository_def()
JOBS = {job.name: job for job in REPOSITORY.get_all_jobs() if not job.name.startswith("__")}
OPS = {node.name: node.definition for job in REPOSITORY.get_all_jobs() for node in job.nodes}
SPECS = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def config_fields(op: Any) -> dict[str, dg.Field]:
    """The settings of an op, by name; empty where it has none."""
    schema = op.config_schema
    return vars(schema.as_field().config_type).get("fields") or {} if schema is not None else {}


def names_now() -> dict[str, Any]:
    """What people, saved configs and recorded runs call things by."""
    return {
        "assets": {
            name: {
                "group": spec.group_name,
                "kinds": sorted(spec.kinds),
                "code_version": spec.code_version,
                "made_from": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
            }
            for name, spec in SPECS.items()
        },
        "blocking_checks": sorted(map(str_of, filter(blocks, GRAPH.asset_check_keys))),
        "other_checks": sorted(str_of(key) for key in GRAPH.asset_check_keys if not blocks(key)),
        "steps_of_jobs": {name: sorted(node.name for node in job.nodes) for name, job in JOBS.items()},
        "job_tags": {name: dict(job.tags) for name, job in JOBS.items()},
        "pools": {name: pool for name, op in OPS.items() if (pool := getattr(op, "pool", None))},
        "schedules": {s.name: [s.job_name, s.cron_schedule, s.execution_timezone] for s in REPOSITORY.schedule_defs},
        "sensors": sorted(sensor.name for sensor in REPOSITORY.sensor_defs),
        "resources": sorted(defs.resources or {}),
        "settings": {name: sorted(fields) for name, op in OPS.items() if (fields := config_fields(op))},
    }


def str_of(key: dg.AssetCheckKey) -> str:
    return f"{key.asset_key.to_user_string()}/{key.name}"


def blocks(key: dg.AssetCheckKey) -> bool:
    return GRAPH.get_check_spec(key).blocking


def test_names_are_those_of_the_snapshot() -> None:
    if os.environ.get("RENEW_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(names_now(), indent=1, sort_keys=True) + "\n")
    assert names_now() == json.loads(SNAPSHOT.read_text()), "renew the snapshot if that is meant (see above)"


@pytest.fixture(scope="module", params=["147b78a", "bcc17f1"])
def before(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the definitions of an earlier commit were called, without what was removed on purpose."""
    with zipfile.ZipFile(Path(__file__).with_name(f"stored_by_{request.param}.zip")) as archive:
        names: dict[str, Any] = json.loads(archive.read("names.json"))
    return without_distillation(names)


REMOVED = {
    *REMOVED_ASSETS,
    "teacher",
    "silver",
    "train_teacher",
    "score_silver_pairs",
    "teacher_model/ahead_of_student",
}


def without_distillation(names: Any) -> Any:
    """Names without the assets, jobs, steps and the check of distillation by scores."""
    if isinstance(names, dict):
        return {name: without_distillation(value) for name, value in names.items() if name not in REMOVED}
    return [name for name in names if name not in REMOVED] if isinstance(names, list) else names


def test_every_name_of_an_earlier_release_is_there_still(before: dict[str, Any]) -> None:
    now = names_now()
    assert set(before["checks"]) <= {*now["blocking_checks"], *now["other_checks"]}
    assert before["groups"].items() <= {name: asset["group"] for name, asset in now["assets"].items()}.items()
    assert before["code_versions"].items() <= {name: spec.code_version for name, spec in SPECS.items()}.items()
    for name, deps in before["asset_dependencies"].items():
        assert set(deps) <= set(now["assets"][name]["made_from"]), name
    for job, ops in before["ops_of_jobs"].items():
        assert set(ops) <= set(now["steps_of_jobs"][job]), job
    for what in ("job_tags", "pools"):
        assert before[what].items() <= now[what].items(), what
    for what in ("schedules", "sensors", "resources"):
        assert set(before[what]) <= set(now[what]), what


def test_every_setting_of_an_earlier_release_is_read_and_has_the_default_that_it_had(before: dict[str, Any]) -> None:
    classes = {**STEP_SETTINGS, **ON_REQUEST_SETTINGS}
    for step, defaults in before["step_defaults"].items():
        assert classes[step].model_validate(defaults) == classes[step](), step


def test_every_asset_says_what_it_is_and_whose() -> None:
    for name, spec in SPECS.items():
        assert spec.description, f"{name} has no description"
        assert spec.owners == ["team:embeddings"], name
        assert spec.kinds, f"{name} has no kinds"
    for key in GRAPH.asset_check_keys:
        assert GRAPH.get_check_spec(key).description, f"{key} has no description"


def test_every_setting_of_a_step_is_a_described_field_in_the_launchpad() -> None:
    for step, settings in STEP_SETTINGS.items():
        fields = config_fields(OPS[step])
        earlier = {*settings.renamed, *settings.removed} if issubclass(settings, Settings) else set()
        assert set(fields) == {*settings.model_fields, *earlier}
        for name, field in fields.items():
            assert field.description, f"{step}.{name} has no description"


def test_loading_the_definitions_imports_no_heavy_library() -> None:
    code = "import sys, json, pipeline.definitions; print(json.dumps(sorted(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    heavy = "torch transformers sentence_transformers datasets modal sklearn scipy matplotlib PIL jinja2"
    assert set(json.loads(output)).isdisjoint(heavy.split())


@pytest.mark.slow
@pytest.mark.usefixtures("pipeline_home")
def test_dagster_validates_the_workspace() -> None:
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]
    result = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Validation successful for code location pipeline" in result.stderr + result.stdout


@pytest.mark.parametrize(("job", "config"), [("quickstart", "quickstart"), ("retrain", "best")])
def test_a_job_has_the_settings_of_its_config_file(job: str, config: str) -> None:
    assert JOBS[job].run_config == load_settings(project_config(config)).run_config()


def test_schedules_and_sensors_are_off_until_switched_on_unless_they_only_end_calls() -> None:
    for schedule in REPOSITORY.schedule_defs:
        assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED, schedule.name
    running = {s.name for s in REPOSITORY.sensor_defs if s.default_status == dg.DefaultSensorStatus.RUNNING}
    assert running == {"end_calls_of_cancelled_runs"}


def test_the_weekly_schedule_launches_one_run() -> None:
    with dg.build_schedule_context() as context:
        tick = defs.resolve_schedule_def("weekly_retrain").evaluate_tick(context)
    assert tick.run_requests is not None
    assert len(tick.run_requests) == 1
