"""What a person is told at the moment when a run is interrupted: what is kept, and how to go on."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from pipeline.command_line.terminal import ProgressDisplay, say
from pipeline.core.files import PROJECT_ROOT

if TYPE_CHECKING:
    from pipeline.command_line.recorded_run import RecordedRun

_ID_CHARACTERS = 8
_HOME_OF_MAKE = str(PROJECT_ROOT / ".dagster")


class InterruptedRun:
    """Answers the first signal that asks for the end of a run.

    Args:
        dagster_home: where the run is recorded; None where it leaves no record.
    """

    def __init__(self, console: Console, progress: ProgressDisplay, dagster_home: str | None) -> None:
        self._console = console
        self._progress = progress
        self._home = dagster_home
        self._run: RecordedRun | None = None

    @contextmanager
    def of(self, run: "RecordedRun") -> Iterator[None]:
        """In this context, an interrupt is one of this run."""
        self._run = run
        try:
            yield
        finally:
            self._run = None

    def __call__(self, number: int) -> None:
        """Say it in one line, and have the run recorded as cancelled."""
        say(self._console, f"{'Interrupted' if number == signal.SIGINT else 'Terminated'}{self._kept()}")
        self._progress.end()
        if self._run:
            # Imports Dagster, which is there by now.
            from pipeline.command_line.recorded_run import cancel_in_background

            cancel_in_background(self._run)

    def _kept(self) -> str:
        run_id = self._run.run_id if self._run else None
        if run_id is None:
            return " before a run was begun: nothing is left behind."
        where = f" in {self._progress.step}" if self._progress.step else ""
        if not self._home:
            return f"{where}. DAGSTER_HOME is not set, so the run can't be resumed: start it again."
        again = "make resume" if self._home == _HOME_OF_MAKE else "python -m pipeline materialize --resume"
        return f"{where}. {self._progress.kept} Go on with: {again} (run {run_id[:_ID_CHARACTERS]})"
