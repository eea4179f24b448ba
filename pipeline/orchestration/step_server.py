"""Imported by the server that steps are forked from: puts it into a process group, and imports what every step needs.

A terminal sends Ctrl-C to every process of a group. In the group of the run, helpers of Dagster that a step has started
would print a traceback, and the step would be interrupted twice. The process of the run ends its steps itself. Where
that process is killed, and at most its own group with it, the steps end by themselves.

Steps are forked only where their environment is the server's, so what was read from it holds for them too.
"""

import os
import select
import signal
import threading

# Before the slow imports, in which a Ctrl-C may come.
os.setpgid(0, 0)

_run = os.pidfd_open(os.getppid())
"""The process of the run: readable once it is gone."""


def _end_with_the_run() -> None:
    def wait() -> None:
        select.select([_run], [], [])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="end with the run", daemon=True).start()


# Only in the steps. The server must have one thread, since locks of other threads would stay locked in the steps.
os.register_at_fork(after_in_child=_end_with_the_run)

import gc  # noqa: E402
import importlib  # noqa: E402
from contextlib import suppress  # noqa: E402

import dagster as dg  # noqa: E402

from pipeline.orchestration.step_processes import ends_on_interrupt  # noqa: E402

_MODULES = (
    "pipeline.definitions",
    "pipeline.command_line.cli",
    "pipeline.command_line.dagster_run",
    "pipeline.question_pairs.sources",
    "pipeline.question_pairs.splits",
)
"""By name, since some are above this folder."""


def preload(modules: tuple[str, ...]) -> None:
    """Import modules. If the environment or a module is at fault, the run itself says so."""
    # Imported modules stay. Searching them for garbage, again and again, takes a fifth of the time of importing.
    gc.disable()
    with ends_on_interrupt():
        for module in modules:
            with suppress(Exception):
                importlib.import_module(module)
    # Garbage collections of the steps shall not search them either: that would copy the server's memory.
    gc.collect()
    gc.freeze()
    gc.enable()


# Every step opens Dagster's instance first. This imports what the instance is stored with.
with ends_on_interrupt(), suppress(Exception), dg.DagsterInstance.ephemeral():
    pass
preload(_MODULES)
