"""Functions are deployed, run, called, waited for and followed by the real client."""

from pathlib import Path
from types import ModuleType

import modal
import pytest

from modal_loopback import LoopbackModal, wait_until
from modal_loopback.sample_app import deploy_sample_app, modal_cli, write_sample_app

pytestmark = pytest.mark.slow


def test_a_deployed_function_is_spawned_and_its_result_fetched_by_the_call_id(
    sample: ModuleType, modal_loopback: LoopbackModal
) -> None:
    spawned = modal.Function.from_name("sample", "describe").spawn(4)

    result = modal.FunctionCall.from_id(spawned.object_id).get(timeout=20)

    assert result["double"] == 8
    [call] = modal_loopback.calls()
    assert (call.id, call.function, call.app, call.state, call.tries) == (
        spawned.object_id,
        "describe",
        "sample",
        "succeeded",
        1,
    )


def test_the_function_runs_in_a_process_with_the_images_and_secrets_variables_and_without_the_developers(
    modal_loopback: LoopbackModal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREIGN", "of this process")
    sample = deploy_sample_app(tmp_path)

    result = sample.describe.remote(1)

    assert (result["colour"], result["password"], result["foreign"]) == ("deep blue", "xyzzy", None)
    assert result["pid"] in [container.pid for container in modal_loopback.containers()]


def test_a_test_can_give_variables_to_the_code_in_containers(sample: ModuleType, modal_loopback: LoopbackModal) -> None:
    modal_loopback.set_container_environment(FOREIGN="of the test")

    assert sample.describe.remote(1)["foreign"] == "of the test"


def test_an_exception_comes_back_as_itself_after_the_retries(sample: ModuleType, modal_loopback: LoopbackModal) -> None:
    call = sample.fail.spawn("no such pair")

    with pytest.raises(ValueError, match="no such pair"):
        call.get(timeout=20)

    [record] = modal_loopback.calls()
    assert (record.state, record.tries) == ("failed", 3)


def test_a_function_that_takes_too_long_is_ended(sample: ModuleType, modal_loopback: LoopbackModal) -> None:
    call = sample.sleep_too_long.spawn()

    with pytest.raises(modal.exception.FunctionTimeoutError, match="timeout of 1s"):
        call.get(timeout=20)

    assert modal_loopback.calls()[0].state == "timed out"
    wait_until(lambda: not modal_loopback.containers())


def test_a_call_that_isnt_over_times_out_at_the_client_alone(sample: ModuleType, modal_loopback: LoopbackModal) -> None:
    call = sample.sleep.spawn(2.0)

    with pytest.raises(TimeoutError):
        call.get(timeout=0)
    assert call.get(timeout=20) == "slept"


def test_options_given_at_the_call_override_the_deployed_ones(
    sample: ModuleType, modal_loopback: LoopbackModal
) -> None:
    other = modal.Volume.from_name("other", create_if_missing=True, version=2)
    function = modal.Function.from_name("sample", "leave_note").with_options(
        volumes={"/sample-data": other}, gpu="L4", timeout=7
    )

    function.remote("elsewhere")

    wait_until(lambda: list(modal_loopback.volume_files("other")) == ["note.txt"])
    assert modal_loopback.volume_files("sample-data") == {}
    [bound] = modal_loopback.requests("FunctionBindParams")
    assert bound.function_options.timeout_secs == 7
    assert bound.function_options.resources.gpu_config.gpu_type == "L4"


def test_a_call_that_waits_for_the_only_allowed_container_gets_the_next_one(
    sample: ModuleType, modal_loopback: LoopbackModal
) -> None:
    calls = [sample.count_to.spawn(3, 0.2) for _ in range(2)]

    wait_until(lambda: any(each.state == "running" for each in modal_loopback.calls()))
    assert [each.state for each in modal_loopback.calls()] == ["running", "pending"]
    assert len(modal_loopback.containers()) == 1
    assert [call.get(timeout=20) for call in calls] == [[0, 1, 2, 3], [3, 1, 2, 3]]


def test_a_container_without_work_stays_for_the_next_call_and_leaves_after_a_while(
    sample: ModuleType, modal_loopback: LoopbackModal
) -> None:
    first, second = sample.describe.remote(1), sample.describe.remote(2)

    assert first["pid"] == second["pid"]
    wait_until(lambda: not modal_loopback.containers())


def test_a_single_use_container_leaves_after_one_call(sample: ModuleType, modal_loopback: LoopbackModal) -> None:
    sample.count_to.remote(1, 0.0)

    wait_until(lambda: not modal_loopback.containers(), timeout=3)


def test_arguments_and_results_that_are_too_large_for_a_message_travel_as_blobs(
    sample: ModuleType, modal_loopback: LoopbackModal
) -> None:
    message = "x" * (3 * 1024 * 1024)

    with pytest.raises(ValueError, match="xxx") as caught:
        sample.fail.spawn(message).get(timeout=20)

    assert str(caught.value) == message
    assert len(modal_loopback.requests("BlobCreate")) >= 2


def test_logs_of_a_call_stream_while_it_runs(sample: ModuleType, modal_loopback: LoopbackModal) -> None:
    call = sample.count_to.spawn(3, 0.3)

    seen = [(str(line).strip(), modal_loopback.calls()[0].state) for line in call.logs.stream()]

    assert [line for line, _ in seen] == ["counted 1", "counted 2", "counted 3"]
    assert seen[0][1] == "running"


def test_modal_run_prints_logs_and_result_and_leaves_no_container(
    modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    write_sample_app(tmp_path)

    ran = modal_cli("run", "sample.py", "--number", "4", folder=tmp_path)

    assert ran.returncode == 0, ran.stderr
    for expected in ("describing 4", "a warning", "result: 8"):
        assert expected in ran.stdout + ran.stderr
    assert modal_loopback.containers() == []
    assert modal_loopback.deployments() == []


def test_each_modal_deploy_is_a_deployment_and_new_code_runs_after_it(
    modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    path = write_sample_app(tmp_path)
    assert modal_cli("deploy", "sample.py", folder=tmp_path).returncode == 0
    function = modal.Function.from_name("sample", "describe")
    assert function.remote(2)["double"] == 4

    path.write_text(path.read_text().replace("2 * number", "200 * number"))
    assert modal_cli("deploy", "sample.py", folder=tmp_path).returncode == 0

    assert modal.Function.from_name("sample", "describe").remote(2)["double"] == 400
    deployments = modal_loopback.deployments()
    assert [(each.app, each.version) for each in deployments] == [("sample", 1), ("sample", 2)]
    assert len({each.app_id for each in deployments}) == 1


def test_requests_are_kept_for_the_test_to_look_at(sample: ModuleType, modal_loopback: LoopbackModal) -> None:
    functions = {
        each.function_data.function_name or each.function.function_name: each
        for each in modal_loopback.requests("FunctionCreate")
    }
    ranked = [each.function for each in functions["count_to"].function_data.ranked_functions]

    assert [each.resources.gpu_config.gpu_type for each in ranked] == ["H100", "A100"]
    assert ranked[0].timeout_secs == 60
    assert ranked[0].retry_policy.retries == 2
    assert ranked[0].single_use_containers
    assert [each.mount_path for each in ranked[0].volume_mounts] == ["/sample-data"]
    images = [each.image for each in modal_loopback.requests("ImageGetOrCreate")]
    commands = [command for image in images for command in image.dockerfile_commands]
    assert any("uv pip install" in command and "numpy==2.1.0" in command for command in commands)
