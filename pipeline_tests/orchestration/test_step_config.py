"""A bad setting of any step is found by the first step of a run, before any work is done."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_runs import ASSETS, failures
from small_data import write_small_pairs

from pipeline.compute.choice import backends
from pipeline.definitions import defs
from pipeline.orchestration.checks import CHECKS
from pipeline.orchestration.resources import default_resources
from pipeline.orchestration.step_config import StepConfig
from pipeline.orchestration.steps import ON_REQUEST_SETTINGS, STEP_SETTINGS
from pipeline.orchestration.upkeep import JOBS, PruneConfig

DATASET = ["raw_quora_dataset", "train_split", "dev_split", "eval_split"]


def run(config: dict[str, dict[str, Any]], assets: list[str]) -> dg.ExecuteInProcessResult:
    """Run these assets as the Launchpad does, which knows no bounds of settings."""
    return dg.materialize(
        [*ASSETS, *CHECKS],
        selection=dg.AssetSelection.assets(*assets),
        run_config={"ops": {step: {"config": settings} for step, settings in config.items()}},
        resources=default_resources(),
        raise_on_error=False,
    )


@pytest.mark.usefixtures("pipeline_home")
@pytest.mark.parametrize(
    ("config", "line"),
    [
        (
            {"fine_tuned_model": {"epochs": 0}},
            "fine_tuned_model.epochs can't be 0: it must be a whole number at least 1 and at most 1,000",
        ),
        (
            {"raw_quora_dataset": {"fraction": 7.0}},
            "raw_quora_dataset.fraction can't be 7.0: it must be a number above 0 and at most 1",
        ),
        (
            {"fine_tuned_model": {"learn_from": "both", "closure_cluster": 0}},
            "fine_tuned_model: learn_from is both, but this setting was removed: leave it out",
        ),
        (
            {"fine_tuned_model": {"epochs": {"env": "EPOCHS"}}},
            "fine_tuned_model.epochs can't be '0': it must be a whole number at least 1 and at most 1,000",
        ),
    ],
)
def test_the_first_step_refuses_a_bad_value_of_any_step(
    config: dict[str, dict[str, Any]], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EPOCHS", "0")
    result = run(config, ["raw_quora_dataset", "fine_tuned_model"])
    assert failures(result)["raw_quora_dataset"] == line
    assert not result.get_asset_materialization_events()


def test_an_environment_variable_may_hold_a_setting_and_unselected_steps_are_not_asked(
    pipeline_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAIRS", str(write_small_pairs(tmp_path / "pairs.tsv")))
    monkeypatch.setenv("SHARE", "1")
    config: dict[str, dict[str, Any]] = {
        "raw_quora_dataset": {"source": "file", "path": {"env": "PAIRS"}},
        "splits": {"seed": {"env": "SHARE"}},
    }
    assert run(config, DATASET).success


@pytest.mark.usefixtures("pipeline_home")
def test_the_first_step_of_mining_refuses_a_bad_value_of_the_last() -> None:
    result = defs.resolve_job_def("mine").execute_in_process(
        run_config={"ops": {"build_question_index": {"config": {"min_recall": 7.0}}}},
        raise_on_error=False,
    )
    assert failures(result) == {
        "read_questions": "build_question_index.min_recall can't be 7.0: it must be a number at least 0 and at most 1"
    }


@pytest.mark.usefixtures("pipeline_home")
def test_a_job_of_one_step_refuses_its_bad_value_in_the_same_words() -> None:
    job = next(job for job in JOBS if job.name == next(place.pruning.job for place in backends() if place.pruning))
    (op,) = (node.name for node in job.nodes)
    result = job.execute_in_process(run_config={"ops": {op: {"config": {"keep": -1}}}}, raise_on_error=False)
    assert failures(result) == {op: f"{op}.keep can't be -1: it must be a whole number at least 0 and at most 10,000"}


def test_settings_of_all_steps_are_known_to_the_first() -> None:
    known = tuple({**STEP_SETTINGS, **ON_REQUEST_SETTINGS}.values())
    classes = {cls for cls in StepConfig.__subclasses__() if cls.__module__.startswith("pipeline.")}
    assert {cls for cls in classes if not issubclass(cls, known)} == {PruneConfig}


@pytest.mark.parametrize(
    "name", ["quickstart", "retrain", "evaluate_only", "publish", "mine", "export", *(job.name for job in JOBS)]
)
def test_the_launchpad_of_a_job_opens_valid_with_settings_alone(name: str) -> None:
    job = defs.resolve_job_def(name)
    assert job.run_config is not None
    assert list(job.run_config) == ["ops"]
    assert dg.validate_run_config(job, job.run_config)
