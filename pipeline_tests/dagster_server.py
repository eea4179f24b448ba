"""Dagster's own processes: a real `dagster dev` on a free port of this machine with its GraphQL, or another one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.core.files import PROJECT_ROOT

STARTUP_SECONDS = 180
ENDING_SECONDS = 60


@contextmanager
def running(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """One of Dagster's services in the project's folder, which ends with the block, as Ctrl-C ends it.

    Its home is set up before, as docs/operations.md says: where two processes of Dagster set one up, they break it.
    """
    prepare = [sys.executable, "-m", "pipeline", "prepare"]
    subprocess.run(prepare, cwd=PROJECT_ROOT, env={**environment}, check=True, timeout=STARTUP_SECONDS)
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            # Its services are found beside this interpreter.
            env={**environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def dagster_dev(environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """The address of a `dagster dev` with this environment, which ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port)]
    with running(command, environment, log) as process:
        deadline = time.monotonic() + STARTUP_SECONDS
        while not answers(address):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield address


def answers(address: str) -> bool:
    """Whether a webserver is there."""
    try:
        with urllib.request.urlopen(f"{address}/server_info", timeout=2):
            return True
    except OSError:
        return False


def ask(address: str, query: str, **variables: object) -> Any:
    """The data that a GraphQL query or mutation gives."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["data"]
