"""What Dagster sees: the assets, their lineage, the jobs and the schedule, and what loading them costs."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from pipeline.config_files import STEP_SETTINGS, load_settings, project_config
from pipeline.definitions import defs
from pipeline.storage import PROJECT_ROOT

LINEAGE = {
    "raw_quora_dataset": set(),
    "train_split": {"raw_quora_dataset"},
    "dev_split": {"raw_quora_dataset"},
    "eval_split": {"raw_quora_dataset"},
    "base_model": set(),
    "baseline_eval_report": {"base_model", "eval_split", "dev_split", "train_split"},
    "fine_tuned_model": {"base_model", "train_split", "dev_split"},
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
}

GROUPS = {
    "dataset": {"raw_quora_dataset", "train_split", "dev_split", "eval_split"},
    "model": {"base_model", "fine_tuned_model"},
    "reports": {"baseline_eval_report", "post_train_eval_report", "model_leaderboard"},
    "production": {"production_model"},
}


def test_the_lineage_is_that_of_the_design() -> None:
    graph = defs.resolve_asset_graph()
    found = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert found == LINEAGE


def test_every_asset_says_what_it_is_and_whose() -> None:
    groups: dict[str, set[str]] = {}
    for key in defs.resolve_all_asset_keys():
        spec = defs.resolve_assets_def(key).get_asset_spec(key)
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
    assert "pipeline.assets.reports" in loaded
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


def test_dagster_validates_the_workspace(pipeline_home: Path) -> None:
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]
    result = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Validation successful for code location pipeline" in result.stderr + result.stdout


@pytest.mark.parametrize(("job", "config"), [("quickstart", "quickstart"), ("retrain", "best")])
def test_a_job_runs_everything_with_its_config_file(job: str, config: str) -> None:
    definition = defs.resolve_job_def(job)
    assert {key.to_user_string() for key in definition.asset_layer.selected_asset_keys} == set(LINEAGE)
    assert definition.run_config == load_settings(project_config(config)).run_config()


def test_the_weekly_schedule_is_off_until_switched_on() -> None:
    schedule = defs.resolve_schedule_def("weekly_retrain")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert schedule.job_name == "retrain"
    assert schedule.cron_schedule == "0 3 * * 0"
    with dg.build_schedule_context() as context:
        tick = schedule.evaluate_tick(context)
    assert tick.run_requests is not None
    assert len(tick.run_requests) == 1


def test_every_setting_of_a_step_is_a_field_in_the_launchpad() -> None:
    for step, settings in STEP_SETTINGS.items():
        schema = defs.resolve_job_def("quickstart").get_node_named(step).definition.config_schema
        assert schema is not None
        fields: dict[str, dg.Field] = vars(schema.as_field().config_type)["fields"]
        assert set(fields) == set(settings.model_fields)
        for name, field in fields.items():
            assert field.description, f"{step}.{name} has no description"


def test_a_bad_value_from_the_launchpad_is_refused_before_the_step_reads_or_writes() -> None:
    from pipeline.assets.dataset import DatasetConfig

    with pytest.raises(ValueError, match="needs `path`"):
        DatasetConfig(source="file")
