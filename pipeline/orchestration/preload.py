"""What the server of the steps imports, so that no step has to: the definitions, and the libraries of every step.

Steps are forked only where their environment is the server's, so what was read from it holds for them too.
"""

import gc
import importlib
from contextlib import suppress

import dagster as dg

from pipeline.orchestration.step_processes import ends_on_interrupt

_MODULES = (
    "pipeline.definitions",
    "pipeline.command_line.cli",
    "pipeline.command_line.dagster_run",
    "pipeline.question_pairs.changes",
    "pipeline.question_pairs.sources",
    "pipeline.question_pairs.splits",
)
"""By name, as some stand above this folder."""


def preload(modules: tuple[str, ...]) -> None:
    """Import them. Where the environment or a module is at fault, the run itself says so."""
    # What is imported stays: looking through it for garbage, again and again, takes a fifth of the time of importing.
    gc.disable()
    with ends_on_interrupt():
        for module in modules:
            with suppress(Exception):
                importlib.import_module(module)
    # Garbage collections of the steps shall not look through it either, nor copy its memory by that.
    gc.collect()
    gc.freeze()
    gc.enable()


# Every step opens Dagster's instance first. This imports what it is stored with.
with ends_on_interrupt(), suppress(Exception), dg.DagsterInstance.ephemeral():
    pass
preload(_MODULES)
