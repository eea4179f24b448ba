"""The whole asset graph with PIPELINE_COMPUTE=modal, from the command line, against the loopback Modal server."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster_runs import run
from modal_loopback import LoopbackModal

from pipeline.core.files import PROJECT_ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def config(small_config: Path) -> Path:
    """On a CPU in fp32 the two computes agree to the last digits."""
    text = small_config.read_text()
    text += """
  baseline_eval_report: {config: {device: cpu, precision: fp32}}
  post_train_eval_report: {config: {device: cpu, precision: fp32}}
"""
    small_config.write_text(text.replace("save_steps: 5", "save_steps: 5, device: cpu, precision: fp32"))
    return small_config


def materialize_on_modal(config: Path, home: Path) -> str:
    (home / "dagster").mkdir(parents=True)
    environment = {
        **os.environ,
        "PIPELINE_HOME": str(home),
        "PIPELINE_COMPUTE": "modal",
        "PIPELINE_MODAL_GPU": "none",
        "DAGSTER_HOME": str(home / "dagster"),
    }
    command = [sys.executable, "-m", "pipeline", "materialize", "--config", str(config)]
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_volumes(loopback: LoopbackModal) -> list[str]:
    return [name for name in loopback.volumes() if name.removeprefix("sentence-transformers-ft-").isdecimal()]


def numbers(text: str) -> list[dict[str, float]]:
    return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(text.splitlines())]


def test_the_whole_graph_gives_the_result_files_of_this_machine(
    pipeline_home: Path, config: Path, modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    printed = materialize_on_modal(config, pipeline_home)
    with dg.DagsterInstance.ephemeral() as instance:
        run(tmp_path / "here", config, instance)

    (volume,) = run_volumes(modal_loopback)
    assert f"modal-volume://{volume}" in printed
    there = modal_loopback.volume_files(volume)
    (here,) = (tmp_path / "here" / "runs").iterdir()
    for stage in ("pre", "post"):
        file = f"binary_classification_evaluation_{stage}_train_results.csv"
        (row,), (expected,) = (numbers(path.read_text()) for path in (there[file], here / file))
        assert row == pytest.approx(expected, abs=1e-6)
    # The listing of the seed's Volume, with the JSON beside each result and what applies the model.
    names = {path.name for path in here.iterdir()} - {".owner", ".lock"}
    assert {name.partition("/")[0] for name in there} == names
    assert "Cosine AP" in there["tiny-ft/README.md"].read_text()
    # One call for each of the three heavy assets; all others are light, and hash files or embed a few questions.
    functions = [call.function for call in modal_loopback.calls()]
    assert [functions.count(name) for name in ("fine_tune", "evaluate")] == [1, 2]
    assert set(functions) == {"fine_tune", "evaluate", "finished_result", "embed", "inspect_model"}
    assert functions.count("inspect_model") == 1
    assert {call.state for call in modal_loopback.calls()} == {"succeeded"}

    calls = {call.function: call.id for call in modal_loopback.calls()}
    with dg.DagsterInstance.from_config(str(pipeline_home / "dagster")) as instance:
        (modal_run,) = instance.get_runs()
        tags = modal_run.tags
        (training,) = [
            tag.removesuffix(".fingerprint")
            for tag in tags
            if tag.startswith("modal/fine_tuned_model.") and tag.endswith(".fingerprint")
        ]
        assert training == f"modal/fine_tuned_model.{tags[f'{training}.fingerprint']}"
        assert tags[f"{training}.call_id"] == calls["fine_tune"]
        assert tags[f"{training}.volume"] == volume
        assert tags[f"{training}.url"] == f"https://modal.com/id/{calls['fine_tune']}"
        measured = {tags[f"modal/{report}_eval_report.call_id"] for report in ("baseline", "post_train")}
        assert measured == {call.id for call in modal_loopback.calls() if call.function == "evaluate"}
        event = instance.get_latest_materialization_event(dg.AssetKey("fine_tuned_model"))
        assert event
        assert event.asset_materialization
        metadata = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert metadata["modal_call"] == calls["fine_tune"]
    assert metadata["modal_volume"] == volume
    assert (metadata["gpu"], metadata["gpu_seconds"], metadata["estimated_cost"]) == ("none", 0.0, 0.0)
    assert "prices of mid-2026" in str(metadata["estimated_cost_unit"])
    # Tags, metadata, logs: nothing that Dagster or the pipeline wrote has the token's secret half in it.
    secret = modal_loopback.environment["MODAL_TOKEN_SECRET"].encode()
    assert not [path for path in pipeline_home.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert secret.decode() not in printed
