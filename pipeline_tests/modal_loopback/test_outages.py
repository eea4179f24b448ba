"""The service goes away and comes back, refuses tokens, fails builds, and says what it doesn't do."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import modal
import pytest

from modal_loopback import LoopbackModal, wait_until
from modal_loopback.sample_app import import_sample_app, modal_cli, write_sample_app

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("refuse", [True, False])
def test_a_call_goes_on_while_the_server_is_silent_and_its_result_is_there_when_it_comes_back(
    sample: ModuleType, modal_loopback: LoopbackModal, refuse: bool
) -> None:
    call = sample.count_to.spawn(4, 0.3)
    wait_until(lambda: modal_loopback.volume_files("sample-data"))

    modal_loopback.go_silent(refuse=refuse)
    wait_until(lambda: modal_loopback.calls()[0].state == "succeeded")
    modal_loopback.come_back()

    assert call.get(timeout=20) == [0, 1, 2, 3, 4]
    assert modal_loopback.calls()[0].tries == 1


def test_a_silent_server_is_out_of_reach(modal_loopback: LoopbackModal) -> None:
    modal_loopback.go_silent()
    code = "import socket, os; socket.create_connection(('127.0.0.1', int(os.environ['MODAL_SERVER_URL'][17:])), 2)"

    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "ConnectionRefusedError" in tried.stderr


def test_a_rejected_token_is_an_authentication_error(sample: ModuleType, modal_loopback: LoopbackModal) -> None:
    modal_loopback.reject_tokens()

    with pytest.raises(modal.exception.AuthError):
        sample.describe.spawn(1)


def test_a_wrong_token_is_an_authentication_error(
    modal_loopback: LoopbackModal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-wrong")

    listed = modal_cli("volume", "list", folder=tmp_path)

    assert listed.returncode == 1
    assert "authenticate" in listed.stderr
    assert "as-wrong" not in listed.stderr


def test_an_image_that_fails_to_build_fails_the_deploy(modal_loopback: LoopbackModal, tmp_path: Path) -> None:
    app = import_sample_app(write_sample_app(tmp_path)).app
    modal_loopback.break_image_builds("no matching distribution found for numpy")

    with pytest.raises(modal.exception.RemoteError, match="no matching distribution"):
        app.deploy()

    assert modal_loopback.deployments() == []


def test_an_unimplemented_rpc_is_refused_and_reported_by_name(modal_loopback: LoopbackModal, tmp_path: Path) -> None:
    asked = modal_cli("dict", "list", folder=tmp_path)

    assert asked.returncode == 1
    assert "DictList" in asked.stderr
    assert modal_loopback.complaints() == ["not implemented: DictList"]


def test_a_scheduled_function_is_refused_by_name(modal_loopback: LoopbackModal, tmp_path: Path) -> None:
    path = write_sample_app(tmp_path)
    path.write_text(path.read_text().replace("(timeout=1,", "(schedule=modal.Period(days=1),"))

    with pytest.raises(modal.exception.Error, match="scheduled functions"):
        import_sample_app(path).app.deploy()

    assert len(modal_loopback.complaints()) == 1


def test_a_test_that_asked_for_an_unimplemented_rpc_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    pytester.makepyfile(
        """
        import modal
        import pytest
        from modal_loopback.fixture import forked_containers, modal_loopback

        def test_that_swallows_the_error(modal_loopback):
            with pytest.raises(Exception):
                modal.Dict.from_name("progress", create_if_missing=True).hydrate()
        """
    )

    result = pytester.runpytest_subprocess()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*not implemented: DictGetOrCreate*"])


def test_the_server_ends_when_the_process_that_started_it_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    code = f"""
import time
from pathlib import Path
from modal_loopback import run_loopback_modal
with run_loopback_modal(Path({str(tmp_path)!r})) as loopback:
    print(loopback.environment["MODAL_SERVER_URL"].split(":")[-1], flush=True)
    time.sleep(60)
"""
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert starter.stdout
    port = int(starter.stdout.readline())
    assert _is_listening(port)

    starter.kill()
    starter.communicate()

    wait_until(lambda: not _is_listening(port), timeout=10)


def _is_listening(port: int) -> bool:
    return f":{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text()
