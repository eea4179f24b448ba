"""What the client asks Modal for, as the loopback server received it: GPU, limits, mounts, image; no token in it."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from modal_loopback import LoopbackModal, wait_until
from modal_loopback.control_plane import REQUEST_TYPES
from modal_training import Training, fresh_compute

from pipeline.compute.modal.code_hashes import sent_files
from pipeline.core.files import PROJECT_ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def functions(modal_loopback: LoopbackModal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The functions of the deployed app, by name, as they were asked for with the settings that are the default."""
    monkeypatch.delenv("PIPELINE_MODAL_GPU", raising=False)
    fresh_compute(monkeypatch, tmp_path).function("fine_tune")
    requests = modal_loopback.requests("FunctionCreate")
    return {each.function.function_name or each.function_data.function_name: each for each in requests}


def options(request: Any) -> list[Any]:
    """The function itself, or the variants of it for each GPU."""
    if request.HasField("function_data"):
        return [ranked.function for ranked in request.function_data.ranked_functions]
    return [request.function]


def test_heavy_functions_ask_for_an_h100_first_and_for_a_gpu_of_the_same_memory_next(functions: dict[str, Any]) -> None:
    for name in ("fine_tune", "evaluate"):
        gpus = [each.resources.gpu_config.gpu_type for each in options(functions[name])]
        assert gpus == ["H100!", "A100-80GB"]
    (light,) = options(functions["finished_result"])
    assert light.resources.gpu_config.gpu_type == ""


def test_every_function_has_a_time_limit_and_a_container_for_each_call(functions: dict[str, Any]) -> None:
    for request in functions.values():
        data = request.function_data if request.HasField("function_data") else request.function
        assert data.timeout_secs == 8 * 3600
        assert all(each.single_use_containers for each in options(request))


def test_lost_attempts_start_again_at_once(functions: dict[str, Any]) -> None:
    for each in options(functions["fine_tune"]):
        assert (each.retry_policy.retries, each.retry_policy.initial_delay_ms) == (3, 0)


def test_only_code_that_containers_run_is_sent(functions: dict[str, Any], modal_loopback: LoopbackModal) -> None:
    sent = {file.filename for request in modal_loopback.requests("MountGetOrCreate") for file in request.files}
    assert "/root/pipeline/training/fine_tune.py" in sent
    assert "/root/pipeline/compute/modal/app.py" in sent
    above = ("orchestration", "definitions", "command_line", "settings", "reporting")
    assert not any(name.startswith(f"/root/pipeline/{name_above}") for name in sent for name_above in above)
    code = {name for name in sent if name.startswith("/root/")}
    assert code == {f"/root/{path.as_posix()}" for path in sent_files()}


def test_the_image_installs_the_projects_dependencies_under_its_own_constraints(
    functions: dict[str, Any], modal_loopback: LoopbackModal
) -> None:
    commands = [
        command for each in modal_loopback.requests("ImageGetOrCreate") for command in each.image.dockerfile_commands
    ]
    (install,) = [command for command in commands if "pip install" in command and "torch" in command]
    assert "--constraint /constraints.txt" in install
    assert "sentence-transformers" in install
    assert "dagster" not in install
    assert "COPY . /" in commands
    copied = [file.filename for each in modal_loopback.requests("MountGetOrCreate") for file in each.files]
    assert "/constraints.txt" in copied


def test_the_token_stays_in_the_requests_headers(functions: dict[str, Any], modal_loopback: LoopbackModal) -> None:
    secret = modal_loopback.environment["MODAL_TOKEN_SECRET"]
    for rpc in ("AppGetOrCreate", "AppPublish", "FunctionCreate", "ImageGetOrCreate", "SecretGetOrCreate"):
        for request in modal_loopback.requests(rpc):
            assert secret not in str(request)


def test_a_call_sees_its_own_volume_and_the_shared_ones(
    training: Training, modal_loopback: LoopbackModal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_MODAL_GPU", "none")
    training.run(fresh_compute(monkeypatch, tmp_path))
    bound = modal_loopback.requests("FunctionBindParams")[0].function_options
    assert bound.replace_volume_mounts
    assert [mount.mount_path for mount in bound.volume_mounts] == ["/training-inputs", "/hub-cache", "/training-run"]


def test_unchanged_code_and_settings_are_deployed_once(
    modal_loopback: LoopbackModal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        fresh_compute(monkeypatch, tmp_path).function("fine_tune")
    assert [each.version for each in modal_loopback.deployments()] == [1]
    monkeypatch.setenv("PIPELINE_MODAL_TIMEOUT_HOURS", "2")
    fresh_compute(monkeypatch, tmp_path).function("fine_tune")
    assert len({each.app for each in modal_loopback.deployments()}) == 2


# --- before anything is asked for ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["-c", "import pipeline.definitions"],
        ["-m", "pipeline", "materialize"],
        ["-m", "pipeline", "finetune"],
        ["-m", "modal", "run", "-q", "-m", "pipeline.compute.modal_app"],
        ["-m", "modal", "deploy", "-m", "pipeline.compute.modal_app"],
    ],
    ids=["definitions", "materialize", "finetune", "modal run", "modal deploy"],
)
def test_more_than_one_gpu_is_refused_before_modal_is_asked_for_anything(
    modal_loopback: LoopbackModal, pipeline_home: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("PIPELINE_COMPUTE", "modal")
    monkeypatch.setenv("PIPELINE_MODAL_GPU", "H100:2")
    monkeypatch.setenv("COLUMNS", "300")
    done = run(command)
    assert done.returncode == 1
    assert "PIPELINE_MODAL_GPU asks for 'H100:2'" in done.stderr
    assert not [rpc for rpc in REQUEST_TYPES if modal_loopback.requests(rpc)]


def test_one_gpu_may_be_counted_and_is_asked_for_without_the_count(
    modal_loopback: LoopbackModal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_MODAL_GPU", "H100:1")
    fresh_compute(monkeypatch, tmp_path).function("fine_tune")
    asked = {
        each.resources.gpu_config.gpu_type: each.resources.gpu_config.count
        for request in modal_loopback.requests("FunctionCreate")
        for each in options(request)
    }
    assert asked == {"H100": 1, "": 0}


# --- modal run ------------------------------------------------------------------------------------------------------

MODAL_RUN = ["-m", "modal", "run", "-m", "pipeline.compute.modal_app"]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)


def trained_volume(loopback: LoopbackModal) -> str:
    (volume,) = [name for name in loopback.volumes() if name.rpartition("-")[2].isdecimal()]
    return volume


def trained_recipe(loopback: LoopbackModal, volume: str) -> dict[str, Any]:
    manifest = json.loads(loopback.volume_files(volume)["manifest.json"].read_text())
    recipe: dict[str, Any] = manifest["result"]["recipe"]
    return recipe


def test_modal_run_evaluates_trains_and_evaluates_and_leaves_a_volume(
    training: Training,
    modal_loopback: LoopbackModal,
    small_pairs: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PIPELINE_MODAL_GPU", "none")
    flags = ["--pairs", str(small_pairs), "--base-model", training.base_model.location, "--fraction", "0.9"]
    flags += ["--epochs", "2", "--batch-size", "16", "--loss", "contrastive"]
    done = run([*MODAL_RUN, *flags])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pre train eval {'cossim': {'accuracy': " in done.stdout
    assert "post train eval {'cossim': {'accuracy': " in done.stdout
    assert "step 1 of" in done.stdout
    volume = trained_volume(modal_loopback)
    assert f"modal volume get {volume} tiny-ft dump" in done.stdout
    files = modal_loopback.volume_files(volume)
    assert {"manifest.json", "binary_classification_evaluation_post_train_results.csv"} <= set(files)
    recipe = trained_recipe(modal_loopback, volume)
    assert (recipe["epochs"], recipe["batch_size"], recipe["loss"]) == (2, 16, "contrastive")
    assert modal_loopback.containers() == []
    assert modal_loopback.deployments() == []


def test_modal_run_takes_a_config_file_and_settings_and_its_own_flags_over_both(
    training: Training,
    modal_loopback: LoopbackModal,
    small_config: Path,
    pipeline_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIPELINE_MODAL_GPU", "none")
    flags = ["--config", str(small_config), "--set", f"base_model.model={training.base_model.location}"]
    flags += ["--set", "fine_tuned_model.epochs=3", "--set", "fine_tuned_model.download_model=true"]
    flags += ["--set", "fine_tuned_model.margin=0.25", "--epochs", "1"]
    done = run([*MODAL_RUN, *flags])
    assert done.returncode == 0, done.stdout + done.stderr
    volume = trained_volume(modal_loopback)
    recipe = trained_recipe(modal_loopback, volume)
    assert (recipe["epochs"], recipe["margin"]) == (1, 0.25)
    # Of the file.
    assert (recipe["batch_size"], recipe["max_seq_length"], recipe["save_steps"]) == (16, 16, 5)
    assert (pipeline_home / "runs" / volume / "tiny-ft" / "model.safetensors").is_file()


def test_modal_run_shows_its_options(modal_loopback: LoopbackModal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_MODAL_GPU", "none")
    done = run([*MODAL_RUN, "--", "--help"])
    assert done.returncode == 0, done.stdout + done.stderr
    for option in ("--config", "--set", "--pairs", "--fraction", "--base-model", "--epochs", "--batch-size", "--loss"):
        assert option in done.stdout
    assert modal_loopback.calls() == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epochs", "0"], "fine_tuned_model.epochs"),
        (["--fraction", "1.5"], "raw_quora_dataset.fraction"),
        (["--set", "fine_tuned_model.epoch=1"], "'epoch'"),
        (["--config", "missing.yaml"], "missing.yaml"),
        (["--epochs", "many"], "Invalid value for '--epochs'"),
        (["--epoch", "1", "--batch", "2"], "No such option"),
        (["--pairs", "missing.tsv"], "missing.tsv"),
    ],
)  # fmt: skip
def test_modal_run_refuses_bad_flags_in_one_line(
    modal_loopback: LoopbackModal, monkeypatch: pytest.MonkeyPatch, flags: list[str], message: str
) -> None:
    monkeypatch.setenv("PIPELINE_MODAL_GPU", "none")
    done = run(["-m", "modal", "run", "-q", "-m", "pipeline.compute.modal_app", *flags])
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert modal_loopback.calls() == []


def test_ctrl_c_of_modal_run_ends_the_container(
    training: Training,
    modal_loopback: LoopbackModal,
    small_pairs: Path,
    pipeline_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIPELINE_MODAL_GPU", "none")
    command = [sys.executable, "-m", "modal", "run", "-q", "-m", "pipeline.compute.modal_app", "--epochs", "900"]
    command += ["--pairs", str(small_pairs), "--base-model", training.base_model.location]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, start_new_session=True, stdout=subprocess.DEVNULL) as process:
        try:
            # Until a container has taken the call, the client may not have its id yet.
            wait_until(
                lambda: [each for each in modal_loopback.containers() if each.function == "fine_tune" and each.calls],
                120,
            )
            os.killpg(process.pid, signal.SIGINT)
            wait_until(lambda: not modal_loopback.containers(), 5)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
