"""The test's side: starts the server in a process of its own, reads its state and plays the service's part."""

import base64
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import Message

from .control_plane import REQUEST_TYPES
from .state import Settings
from .volume_store import write_file

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class CallRecord:
    """A function call.

    Attributes:
        id: what `FunctionCall.from_id` takes.
        function: name of the function.
        app: name of the app, its description if it has none.
        state: pending, running, succeeded, failed, timed out or cancelled.
        created_at: seconds since the epoch.
        tries: number of containers that began it.
        inputs: ids of its inputs.
    """

    id: str
    function: str
    app: str
    state: str
    created_at: float
    tries: int
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class ContainerRecord:
    """A container that runs.

    Attributes:
        task_id: its id.
        pid: its process, the leader of a process group; 0 while it is being started.
        function: name of the function.
        calls: ids of the calls that it works on.
    """

    task_id: str
    pid: int
    function: str
    calls: tuple[str, ...]


@dataclass(frozen=True)
class DeploymentRecord:
    """One deploy of an app.

    Attributes:
        app: name of the app.
        app_id: its id.
        version: 1 for the first deploy.
        deployed_at: seconds since the epoch.
    """

    app: str
    app_id: str
    version: int
    deployed_at: float


class LoopbackModal:
    """A running loopback server.

    Attributes:
        environment: the variables by which a process finds the server, and nothing else of Modal's.
    """

    def __init__(self, server_url: str, control_url: str, folder: Path) -> None:
        token_id, token_secret = Settings.token
        self.environment = {
            "MODAL_SERVER_URL": server_url,
            "MODAL_TOKEN_ID": token_id,
            "MODAL_TOKEN_SECRET": token_secret,
            "MODAL_CONFIG_PATH": str(folder / "no-modal.toml"),
            "MODAL_DISABLE_API_PROXY": "1",
        }
        self._control_url = control_url

    def calls(self) -> list[CallRecord]:
        """List every function call, oldest first."""
        found = self._command("calls")
        return [CallRecord(**{**each, "inputs": tuple(each["inputs"])}) for each in found]

    def containers(self) -> list[ContainerRecord]:
        """List the containers that run."""
        found = self._command("containers")
        return [ContainerRecord(**{**each, "calls": tuple(each["calls"])}) for each in found]

    def deployments(self) -> list[DeploymentRecord]:
        """List the deploys of all apps, oldest first within an app."""
        return [DeploymentRecord(**each) for each in self._command("deployments")]

    def volumes(self) -> list[str]:
        """List the names of the Volumes."""
        return sorted(self._command("volumes"))

    def volume_files(self, name: str) -> dict[str, Path]:
        """Find the committed files of a Volume by their paths in it. They are the server's own: only read them."""
        root = Path(self._command("volumes")[name])
        return {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}

    def tamper(self, volume: str, path: str, data: bytes | None) -> None:
        """Replace, add or (with None) remove a file of a Volume, as a mischance would."""
        target = Path(self._command("volumes")[volume]) / path
        if data is None:
            target.unlink()
        else:
            write_file(target, data)

    def requests(self, rpc_name: str) -> list[Any]:
        """List what was asked of an RPC by clients and containers: the protobuf messages, oldest first."""
        message_type: type[Message] = REQUEST_TYPES[rpc_name]
        return [message_type.FromString(base64.b64decode(each)) for each in self._command("requests", rpc=rpc_name)]

    def kill_container(self, task_id: str) -> None:
        """End a container by SIGKILL, as a crash does."""
        self._command("kill_container", task_id=task_id)

    def preempt_container(self, task_id: str, grace: float = 30.0) -> None:
        """Take a container away as the service does: interrupt it, kill it after `grace` s, run its input anew."""
        self._command("preempt_container", task_id=task_id, grace=grace)

    def go_silent(self, refuse: bool = True) -> None:
        """Become unreachable for clients, with all their connections broken. Containers run on.

        Args:
            refuse: connections are refused; if False they are taken and never answered.
        """
        self._command("go_silent", refuse=refuse)

    def come_back(self) -> None:
        """Become reachable again, at the same address, with everything that happened meanwhile."""
        self._command("come_back")

    def reject_tokens(self) -> None:
        """Take every token as a bad one from now on."""
        self._command("reject_tokens")

    def break_image_builds(self, message: str) -> None:
        """Let every image build fail from now on with a message; an empty one lets them succeed again."""
        self._command("break_image_builds", message=message)

    def set_container_environment(self, **variables: str) -> None:
        """Give new containers variables that the app doesn't: for tests that must influence the code inside."""
        self._command("set_container_environment", **variables)

    def complaints(self) -> list[str]:
        """Hand over, and forget, what the fixture would fail the test for: RPCs not implemented, the server's bugs."""
        return list(self._command("complaints"))

    def _command(self, name: str, **arguments: object) -> Any:
        request = urllib.request.Request(
            f"{self._control_url}/{name}",
            json.dumps(arguments).encode(),
            {"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)


@contextmanager
def run_loopback_modal(folder: Path, idle_seconds: float = Settings.idle_seconds) -> Iterator[LoopbackModal]:
    """Run a server until the block ends; it also ends when this process dies.

    Args:
        folder: an existing folder; what the server stores and says stays there.
        idle_seconds: the longest that a container without work stays.
    """
    command = [sys.executable, "-m", __package__, "--state", str(folder / "state")]
    command += ["--idle-seconds", str(idle_seconds), "--stops-with-input"]
    log = folder / "server.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=Path(__file__).parents[__package__.count(".") + 1],
            start_new_session=True,  # a Ctrl-C for a client isn't meant for the server
        ) as process,
    ):
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the loopback Modal server didn't start: {log.read_text().strip()}")
        urls = json.loads(line)
        try:
            yield LoopbackModal(urls["server_url"], urls["control_url"], folder)
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_until(condition: Callable[[], _Found], timeout: float = 20.0) -> _Found:
    """Wait until a condition is true, and return what it found; raise `TimeoutError` if it never is."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"not true after {timeout} s: {condition}")
        time.sleep(0.05)
    return found
