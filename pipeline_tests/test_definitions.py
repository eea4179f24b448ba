"""What Dagster sees: the assets, their lineage, the jobs and the schedule, and what loading them costs."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import BaseModel

from pipeline.core.files import PROJECT_ROOT
from pipeline.definitions import defs
from pipeline.orchestration.steps import STEP_SETTINGS, load_settings
from pipeline.settings.run_config import project_config

LINEAGE = {
    "raw_quora_dataset": set(),
    "train_split": {"raw_quora_dataset"},
    "dev_split": {"raw_quora_dataset"},
    "eval_split": {"raw_quora_dataset"},
    "base_model": set(),
    "baseline_eval_report": {"base_model", "eval_split", "dev_split", "train_split"},
    "fine_tuned_model": {"base_model", "train_split", "dev_split", "silver_pairs"},
    "teacher_model": {"base_model", "train_split", "dev_split", "eval_split"},
    "silver_pairs": {"teacher_model", "base_model", "train_split", "dev_split", "eval_split"},
    "post_train_eval_report": {
        "fine_tuned_model",
        "eval_split",
        "dev_split",
        "train_split",
        "baseline_eval_report",
    },
    "model_leaderboard": {
        "baseline_eval_report",
        "post_train_eval_report",
        "eval_split",
        "dev_split",
        "train_split",
    },
    "production_model": {"fine_tuned_model", "post_train_eval_report"},
    "published_model": {"production_model"},
    "questions": {"raw_quora_dataset"},
    "question_embeddings": {"questions", "production_model"},
    "mined_duplicates": {"question_embeddings", "base_model", "train_split", "dev_split", "eval_split"},
    "question_index": {"question_embeddings"},
    "exported_model": {"production_model", "dev_split", "eval_split"},
}

BY_JOBS_OF_THEIR_OWN = {
    "published_model",
    "questions",
    "question_embeddings",
    "mined_duplicates",
    "question_index",
    "exported_model",
    "teacher_model",
    "silver_pairs",
}
"""What *Materialize all*, `quickstart` and `retrain` leave out."""

GROUPS = {
    "dataset": {"raw_quora_dataset", "train_split", "dev_split", "eval_split"},
    "model": {"base_model", "fine_tuned_model"},
    "reports": {"baseline_eval_report", "post_train_eval_report", "model_leaderboard"},
    "production": {"production_model", "published_model", "exported_model"},
    "mining": {"questions", "question_embeddings", "mined_duplicates", "question_index"},
    "distillation": {"teacher_model", "silver_pairs"},
}


SPECS = {spec.key: spec for spec in defs.resolve_all_asset_specs()}


def test_the_lineage_is_that_of_the_design() -> None:
    graph = defs.resolve_asset_graph()
    found = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert found == LINEAGE


def test_every_asset_says_what_it_is_and_whose() -> None:
    groups: dict[str, set[str]] = {}
    for key, spec in SPECS.items():
        groups.setdefault(str(spec.group_name), set()).add(key.to_user_string())
        assert spec.description, f"{key} has no description"
        assert spec.owners == ["team:embeddings"]
        assert spec.kinds, f"{key} has no kinds"
        assert spec.code_version == "1"
    assert groups == GROUPS


def test_loading_the_definitions_imports_no_heavy_library() -> None:
    code = "import sys, json, pipeline.definitions; print(json.dumps(sorted(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    loaded = set(json.loads(output))
    assert "pipeline.orchestration.assets.reports" in loaded
    assert loaded.isdisjoint(
        {
            "torch",
            "transformers",
            "sentence_transformers",
            "datasets",
            "modal",
            "sklearn",
            "scipy",
            "matplotlib",
            "PIL",
            "jinja2",
        }
    )


@pytest.mark.slow
def test_dagster_validates_the_workspace(pipeline_home: Path) -> None:
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]
    result = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Validation successful for code location pipeline" in result.stderr + result.stdout


@pytest.mark.parametrize(("job", "config"), [("quickstart", "quickstart"), ("retrain", "best")])
def test_a_job_runs_everything_with_its_config_file(job: str, config: str) -> None:
    definition = defs.resolve_job_def(job)
    selected = {key.to_user_string() for key in definition.asset_layer.selected_asset_keys}
    assert selected == set(LINEAGE) - BY_JOBS_OF_THEIR_OWN
    assert not {node.name for node in definition.nodes} & {"mined_checks", "exported_checks", "teacher_checks"}
    assert definition.run_config == load_settings(project_config(config)).run_config()


def test_only_evaluating_trains_and_promotes_nothing() -> None:
    definition = defs.resolve_job_def("evaluate_only")
    assert {key.to_user_string() for key in definition.asset_layer.selected_asset_keys} == GROUPS["reports"]


KINDS = {
    "parquet, pandas": {"raw_quora_dataset", "train_split", "dev_split", "eval_split"},
    "huggingface": {"base_model", "production_model", "published_model"},
    "pytorch, huggingface": {"fine_tuned_model"},
    "onnx": {"exported_model"},
    "parquet": {"questions", "mined_duplicates", "silver_pairs"},
    "pytorch": {"teacher_model"},
    "numpy": {"question_index"},
    "pytorch, numpy": {"question_embeddings"},
    "csv, scikitlearn": {"baseline_eval_report", "post_train_eval_report", "model_leaderboard"},
}

CHECKS = {
    "raw_quora_dataset": {
        "schema_and_labels": True,
        "rejected_rows": True,
        "positive_rate_drift": False,
        "length_drift": False,
    },
    "train_split": {"enough_pairs": True, "both_classes": True},
    "dev_split": {"enough_pairs": True, "both_classes": True},
    "eval_split": {
        "enough_pairs": True,
        "both_classes": True,
        "no_pair_on_two_sides": True,
        "one_division": True,
        "no_question_on_two_sides": True,
    },
    "fine_tuned_model": {
        "files_match_manifest": True,
        "sound_embeddings": True,
        "training_time": False,
        "training_cost": False,
    },
    "post_train_eval_report": {"unseen_ap": False, "mining_not_worse": False, "retrieval_not_worse": False},
    "production_model": {
        "gain_over_baseline": False,
        "not_worse_than_current": False,
        "same_kind_of_data": False,
    },
    "teacher_model": {"ahead_of_student": False},
    "mined_duplicates": {"recall_sample": False, "share_of_duplicates": False},
    "question_index": {"matches_model": False, "recall_sample": False},
    "exported_model": {"parity": True},
}
"""The checks of each asset, and whether they block. Those of `production_model` decide in its own step."""

AUTOMATION = {
    "jobs": {
        "quickstart",
        "retrain",
        "evaluate_only",
        "publish",
        "mine",
        "export",
        "teacher",
        "silver",
        "prune_training_volumes",
        "prune",
    },
    "schedules": {
        "weekly_retrain": ("retrain", "0 3 * * 0", "UTC"),
        "weekly_prune": ("prune_training_volumes", "0 4 * * 0", "UTC"),
        "weekly_prune_home": ("prune", "0 4 * * 0", "UTC"),
    },
    "sensors": {
        "new_question_pairs",
        "reports_follow_their_inputs",
        "mine_after_promotion",
        "export_after_promotion",
        "end_calls_of_cancelled_runs",
        "tell_of_failed_runs",
        "tell_of_refused_models",
    },
}


def test_kinds_checks_jobs_and_crons_are_those_that_people_know() -> None:
    graph = defs.resolve_asset_graph()
    kinds = {key.to_user_string(): frozenset(spec.kinds) for key, spec in SPECS.items()}
    assert kinds == {asset: frozenset(names.split(", ")) for names, assets in KINDS.items() for asset in assets}
    checks: dict[str, dict[str, bool]] = {}
    for key in graph.asset_check_keys:
        spec = graph.get_check_spec(key)
        assert spec.description
        checks.setdefault(key.asset_key.to_user_string(), {})[key.name] = spec.blocking
    assert checks == CHECKS
    repository = defs.get_repository_def()
    assert {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")} == AUTOMATION["jobs"]
    crons = {s.name: (s.job_name, s.cron_schedule, s.execution_timezone) for s in repository.schedule_defs}
    assert crons == AUTOMATION["schedules"]
    assert {sensor.name for sensor in repository.sensor_defs} == AUTOMATION["sensors"]


def test_the_weekly_schedule_is_off_until_switched_on() -> None:
    schedule = defs.resolve_schedule_def("weekly_retrain")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    with dg.build_schedule_context() as context:
        tick = schedule.evaluate_tick(context)
    assert tick.run_requests is not None
    assert len(tick.run_requests) == 1


def config_fields(op: Any) -> dict[str, dg.Field]:
    """The settings of an op, by name; empty where it has none."""
    schema = op.config_schema
    return vars(schema.as_field().config_type).get("fields") or {} if schema is not None else {}


def test_every_setting_of_a_step_is_a_field_in_the_launchpad() -> None:
    for step, settings in STEP_SETTINGS.items():
        fields = config_fields(defs.resolve_job_def("quickstart").get_node_named(step).definition)
        assert set(fields) == set(settings.model_fields)
        for name, field in fields.items():
            assert field.description, f"{step}.{name} has no description"


def test_a_bad_value_from_the_launchpad_is_refused_before_the_step_reads_or_writes() -> None:
    from pipeline.orchestration.assets.dataset import DatasetConfig

    with pytest.raises(ValueError, match="needs `path`"):
        DatasetConfig(source="file")


# --- names that people, saved configs and recorded runs go by ---------------------------------------------------

STORED_BEFORE = Path(__file__).with_name("stored_by_147b78a.zip")


def names_before() -> dict[str, Any]:
    """What the definitions of commit 147b78a were called."""
    with zipfile.ZipFile(STORED_BEFORE) as archive:
        names: dict[str, Any] = json.loads(archive.read("names.json"))
    return names


def names_now() -> dict[str, Any]:
    """The same of the definitions as they are, found in the same way."""
    graph, repository = defs.resolve_asset_graph(), defs.get_repository_def()
    specs = {key.to_user_string(): spec for key, spec in SPECS.items()}
    every_job = {job.name: sorted(node.name for node in job.nodes) for job in repository.get_all_jobs()}
    jobs = {job.name: job for job in repository.get_all_jobs() if not job.name.startswith("__")}
    nodes = {node.name: node.definition for job in repository.get_all_jobs() for node in job.nodes}
    return {
        "assets": sorted(specs),
        "asset_dependencies": {
            name: sorted(dep.asset_key.to_user_string() for dep in spec.deps) for name, spec in specs.items()
        },
        "groups": {name: spec.group_name for name, spec in specs.items()},
        "code_versions": {name: spec.code_version for name, spec in specs.items()},
        "ops": sorted(nodes),
        "ops_of_jobs": {name: ops for name, ops in every_job.items() if name in jobs},
        "implicit_jobs": sorted(set(every_job) - set(jobs)),
        "op_inputs": {name: sorted(node.input_dict) for name, node in nodes.items()},
        "op_outputs": {name: sorted(node.output_dict) for name, node in nodes.items()},
        "op_config": {name: sorted(fields) for name, node in nodes.items() if (fields := config_fields(node))},
        "pools": {name: pool for name, node in nodes.items() if (pool := getattr(node, "pool", None))},
        "jobs": sorted(jobs),
        "job_tags": {name: dict(job.tags) for name, job in jobs.items()},
        "checks": sorted(f"{key.asset_key.to_user_string()}/{key.name}" for key in graph.asset_check_keys),
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
        "schedules": sorted(schedule.name for schedule in repository.schedule_defs),
        "resources": sorted(defs.resources or {}),
        "resource_fields": {
            name: sorted(type(resource).model_fields)
            for name, resource in (defs.resources or {}).items()
            if isinstance(resource, BaseModel)
        },
        "step_settings": {step: list(settings.model_fields) for step, settings in STEP_SETTINGS.items()},
        "step_defaults": {step: settings().model_dump(mode="json") for step, settings in STEP_SETTINGS.items()},
    }


@pytest.fixture(scope="module")
def before_and_now() -> tuple[dict[str, Any], dict[str, Any]]:
    return names_before(), names_now()


def test_every_name_of_the_first_release_is_there_still(
    before_and_now: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    before, now = before_and_now
    of_settings = {"op_config", "step_settings", "step_defaults"}
    # What is stored has its own tests.
    assert set(before) - set(now) == {"stored_types"}
    for what in set(now) - of_settings:
        assert is_kept(before[what], now[what]), what


def is_kept(before: Any, now: Any) -> bool:
    """Whether all that was there is there still; new names may have come."""
    if isinstance(before, dict):
        return all(name in now and is_kept(value, now[name]) for name, value in before.items())
    return set(before) <= set(now) if isinstance(before, list) else bool(before == now)


def test_no_setting_of_the_first_release_is_gone_or_has_another_default(
    before_and_now: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    before, now = before_and_now
    for what in ("op_config", "step_settings"):
        assert set(now[what]) >= set(before[what])
        for step, settings in before[what].items():
            # New ones may come.
            assert set(settings) <= set(now[what][step]), step
    for step, defaults in before["step_defaults"].items():
        still: Mapping[str, Any] = now["step_defaults"][step]
        assert {name: still[name] for name in defaults} == defaults, step
