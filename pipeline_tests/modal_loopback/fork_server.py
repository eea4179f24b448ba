"""Forks containers from a process that has imported the libraries already: what takes seconds is done once.

A container that is forked is a process of its own all the same: it has its own session, mount namespace, root folder,
environment and streams, and runs Modal's entrypoint. Of what containers run, only libraries are imported beforehand,
never the code that is mounted in them, nor Modal's client.

python fork_server.py SOCKET PID: serve until the process of that number has ended
"""

import ctypes
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

LIBRARIES = (
    "torch",
    "transformers",
    "transformers.models.bert.modeling_bert",
    "transformers.trainer",
    "sentence_transformers",
    "sentence_transformers.sentence_transformer.evaluation",
    "accelerate",
    "datasets",
    "pandas",
    "pyarrow.parquet",
    "scipy.sparse.csgraph",
    "sklearn.metrics",
)

_LONGEST_REQUEST_BYTES = 2**20
_SECONDS_BETWEEN_LOOKS = 1.0
_CLONE_NEWNS = 0x00020000


def serve(path: str, parent: int) -> None:
    """Fork a process for each connection; it is told the process's number, and at its end the exit status."""
    for library in LIBRARIES:
        importlib.import_module(library)
    # Garbage collections of the containers shall not look through what stays, nor copy its memory by that.
    gc.collect()
    gc.freeze()
    running: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(path)
        listener.listen()
        selector.register(listener, selectors.EVENT_READ)
        wakes, woken = os.pipe()
        os.set_blocking(woken, False)
        selector.register(wakes, selectors.EVENT_READ)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(woken)
        while Path(f"/proc/{parent}").exists():
            for key, _ in selector.select(_SECONDS_BETWEEN_LOOKS):
                if key.fileobj is listener:
                    connection, _address = listener.accept()
                    number = _fork(connection, [listener, *running.values()])
                    running[number] = connection
                else:
                    os.read(wakes, 4096)
            _tell_of_ends(running)
    for number in running:
        with suppress(ProcessLookupError):
            os.killpg(number, signal.SIGKILL)


def _tell_of_ends(running: dict[int, socket.socket]) -> None:
    while running:
        number, status = os.waitpid(-1, os.WNOHANG)
        if not number:
            return
        with running.pop(number) as connection, suppress(OSError):
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _fork(connection: socket.socket, others: list[socket.socket]) -> int:
    asked, streams, _, _ = socket.recv_fds(connection, _LONGEST_REQUEST_BYTES, 2)
    number = os.fork()
    if number:
        for stream in streams:
            os.close(stream)
        connection.sendall(b"%d\n" % number)
        return number
    for each in (connection, *others):
        each.close()
    try:
        _become_container(json.loads(asked), streams)
    except SystemExit as end:
        raise SystemExit(end.code) from None
    raise SystemExit(0)


def _become_container(asked: dict[str, Any], streams: list[int]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for stream, number in zip(streams, (1, 2), strict=True):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "no mount namespace")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(asked["mounts"], check=True)
    os.chroot(asked["root"])
    os.chdir(asked["working_folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    # In the place of this file's folder.
    sys.path[0:1] = [asked["working_folder"], *asked["environment"]["PYTHONPATH"].split(os.pathsep)]
    sys.argv = [asked["module"]]
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
