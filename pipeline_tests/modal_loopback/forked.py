"""The server's side of `fork_server`: a container's process that was forked, used like one of `asyncio.subprocess`."""

import asyncio
import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

FOLDER_VARIABLE = "MODAL_LOOPBACK_FORKS"
"""A folder for fork servers, and the number of the process at whose end they end, as `PID:FOLDER`; unset for none."""

_START_SECONDS = 120
# What libraries don't read, and what differs from container to container.
_OF_THE_CONTAINER = ("HOME", "PYTHONPATH", "PYTHONUNBUFFERED")
_OF_OTHERS = ("MODAL_", "PIPELINE_")


class ForkedProcess:
    """A container's process.

    Attributes:
        stdout, stderr: what it writes.
        returncode: None while it runs.
    """

    def __init__(self, pid: int, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None
        self._end: asyncio.Task[None] | None = None

    def follow(self, answers: asyncio.StreamReader, connection: asyncio.StreamWriter) -> None:
        """Wait for the line that says how it ended."""

        async def end() -> None:
            # Without a line the fork server is gone, and has killed it.
            self.returncode = int(await answers.readline() or b"-9")
            connection.close()

        self._end = asyncio.create_task(end())

    async def wait(self) -> int | None:
        """Wait for its end."""
        assert self._end
        await self._end
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)


def can_fork(environment: Mapping[str, str]) -> bool:
    """Whether a container with this environment uses the libraries that a fork server has, and may be forked here."""
    return FOLDER_VARIABLE in os.environ and os.geteuid() == 0 and "HF_HOME" in environment


async def fork_container(
    mounts: list[str], root: Path, working_folder: Path, environment: Mapping[str, str], module: str, limit: int
) -> ForkedProcess:
    """Start a container from the fork server of its environment.

    Args:
        mounts: command that mounts what the container sees, in a mount namespace of the container's own.
        limit: of a line that it writes, in bytes.
    """
    connection = await _connected(environment)
    pipes = [os.pipe() for _ in range(2)]
    asked = {
        "mounts": mounts,
        "root": str(root),
        "working_folder": str(working_folder),
        "environment": dict(environment),
        "module": module,
    }
    socket.send_fds(connection, [json.dumps(asked).encode()], [write for _, write in pipes])
    for _, write in pipes:
        os.close(write)
    connection.setblocking(False)
    answers, writer = await asyncio.open_unix_connection(sock=connection)
    process = ForkedProcess(int(await answers.readline()), *[await _reader(read, limit) for read, _ in pipes])
    process.follow(answers, writer)
    return process


async def _reader(descriptor: int, limit: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    return reader


async def _connected(environment: Mapping[str, str]) -> socket.socket:
    """A connection to the fork server whose libraries have read this environment; started where it doesn't run."""
    parent, _, folder = os.environ[FOLDER_VARIABLE].partition(":")
    read = {
        name: value
        for name, value in environment.items()
        if name not in _OF_THE_CONTAINER and not name.startswith(_OF_OTHERS)
    }
    path = Path(folder) / hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()[:16]
    process = None
    for _ in range(_START_SECONDS * 20):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
        else:
            return connection
        if process is None:
            process = subprocess.Popen(
                # By its path: the package imports Modal's client, which reads its settings then.
                [sys.executable, str(Path(__file__).with_name("fork_server.py")), str(path), parent],
                env=read,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
        await asyncio.sleep(0.05)
    raise TimeoutError(f"no fork server at {path} after {_START_SECONDS} s")
