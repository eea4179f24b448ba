"""Notes every error that the package makes during a test, so that `conftest.py` can check the form of its line."""

import sys
from dataclasses import dataclass, field
from typing import Any

from pipeline.core.errors import PipelineError


def faults(line: str, has_advice: bool) -> list[str]:
    """What is wrong with the form of a line.

    Args:
        has_advice: the error adds its way out to the line.
    """
    return [
        fault
        for fault, is_there in (
            ("several lines", "\n" in line),
            ("ends with a period", line.endswith(".")),
            ("no way out", not has_advice and ": " not in line and "; " not in line),
        )
        if is_there
    ]


@dataclass
class ErrorLines:
    """The faulty lines of one test."""

    faulty: list[str] = field(default_factory=list)

    def note(self, error: PipelineError, made_in: str) -> None:
        """Note an error if its line is faulty."""
        package = made_in.partition(".")[0]
        if package != "pipeline":
            return
        if wrong := faults(error.message, error.make_again is not None):
            self.faulty.append(f"{made_in}: {error.message!r} ({', '.join(wrong)})")


def watch(lines: ErrorLines) -> Any:
    """Have errors noted from now on; returns the constructor to restore."""
    original = PipelineError.__init__

    def noting(self: PipelineError, *args: Any, **values: Any) -> None:
        original(self, *args, **values)
        lines.note(self, sys._getframe(1).f_globals.get("__name__", ""))

    PipelineError.__init__ = noting  # type: ignore[method-assign]
    return original
