"""How the processes of steps are started. No Dagster here: the command line starts their server before it imports it.

On Linux, steps are forked from a server that has imported the libraries already, so that a step starts in a fraction of
a second. Elsewhere they are spawned and import for themselves: forking is not safe on macOS, and Windows has none.

A forked process has the environment that the server was started with, and libraries read theirs when they are imported.
So steps are also spawned where a run's environment differs from the server's, as in a process that does several runs.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from types import FrameType
from typing import Any

_EXECUTOR = "dagster._core.executor.multiprocess"
"""Named here to come last: otherwise Dagster puts it first, where Ctrl-C would end the server with a traceback."""

_LIGHT = ["pipeline.orchestration.step_server", _EXECUTOR]
_WITH_COMPUTE = ["pipeline.orchestration.step_server", "pipeline.orchestration.step_server_with_compute", _EXECUTOR]

_environment_of_server: dict[str, str] | None = None
"""As it was when this process started its server; None before."""


def start_method(with_compute: bool) -> dict[str, Any]:
    """How Dagster's multiprocess executor shall start the steps of a run that begins now, as its config has it.

    Starts the server if steps are forked and it doesn't run yet. The server ends with this process.

    Args:
        with_compute: the run has steps that train or evaluate, so the server imports torch. It counts only where the
            server is started.
    """
    global _environment_of_server
    if sys.platform != "linux":
        return {"spawn": {}}
    environment = dict(os.environ)
    preloaded = _WITH_COMPUTE if with_compute else _LIGHT
    if _environment_of_server is None:
        multiprocessing.get_context("forkserver").set_forkserver_preload(preloaded)
        forkserver.ensure_running()
        _environment_of_server = environment
    if environment != _environment_of_server:
        return {"spawn": {}}
    return {"forkserver": {"preload_modules": preloaded}}


def warm_up() -> None:
    """Start the server for a run that trains or evaluates, as soon as the environment is what the run's will be."""
    start_method(with_compute=True)


@contextmanager
def ends_on_interrupt() -> Iterator[None]:
    """In the server, while it imports: end without a word on the Ctrl-C that a terminal sends to it too."""

    def end(number: int, frame: FrameType | None) -> None:
        os._exit(128 + number)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
