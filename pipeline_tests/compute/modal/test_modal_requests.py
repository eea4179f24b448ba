"""What the client asks Modal for, as the loopback server received it: GPU, limits, mounts, image; no token in it."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from modal_loopback import LoopbackModal, wait_until
from modal_training import Training, fresh_compute

from pipeline.core.storage import PROJECT_ROOT

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
    (light,) = options(functions["sealed_result"])
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
    assert not any(
        name.startswith(f"/root/pipeline/{above}") for name in sent for above in ("assets", "definitions", "cli")
    )


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


def test_modal_run_evaluates_trains_and_evaluates_and_leaves_a_volume(
    training: Training,
    modal_loopback: LoopbackModal,
    small_pairs: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PIPELINE_MODAL_GPU", "none")
    command = [sys.executable, "-m", "modal", "run", "-m", "pipeline.compute.modal.app"]
    command += ["--pairs", str(small_pairs), "--base-model", training.base_model.location, "--fraction", "0.9"]
    command += ["--epochs", "2", "--batch-size", "16", "--loss", "contrastive"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pre train eval {'cossim': {'accuracy': " in done.stdout
    assert "post train eval {'cossim': {'accuracy': " in done.stdout
    assert "step 1 of" in done.stdout
    (volume,) = [name for name in modal_loopback.volumes() if name.rpartition("-")[2].isdecimal()]
    assert f"modal volume get {volume} tiny-ft dump" in done.stdout
    files = modal_loopback.volume_files(volume)
    assert {"manifest.json", "binary_classification_evaluation_post_train_results.csv"} <= set(files)
    assert modal_loopback.containers() == []
    assert modal_loopback.deployments() == []


def test_modal_run_refuses_bad_flags_in_one_line(
    modal_loopback: LoopbackModal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_MODAL_GPU", "none")
    command = [sys.executable, "-m", "modal", "run", "-q", "-m", "pipeline.compute.modal.app", "--epochs", "0"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Error: --epochs: Input should be greater than or equal to 1" in done.stderr
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
    command = [sys.executable, "-m", "modal", "run", "-q", "-m", "pipeline.compute.modal.app", "--epochs", "900"]
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
