"""`python -m pipeline materialize`: a Dagster run in this process, with a live line of progress.

`dagster asset materialize` does the same work. This adds what it leaves out: progress, errors and results in a line
each, `--resume`, a cancelled run after Ctrl-C, and runs that the UI can re-execute. Dagster is imported after the first
line is shown, in `dagster_run.py`.
"""

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from pipeline.command_line import dagster_home, signals
from pipeline.command_line.click_options import config_option, pairs_option, set_option, with_own_pairs
from pipeline.command_line.scratch import scratch_folder
from pipeline.command_line.terminal import ProgressDisplay, live_progress, say
from pipeline.compute.choice import backend
from pipeline.core.errors import SettingError
from pipeline.core.files import PROJECT_ROOT
from pipeline.orchestration import step_processes
from pipeline.orchestration.steps import load_settings
from pipeline.settings import environment
from pipeline.settings.run_config import RunSettings

if TYPE_CHECKING:
    from pipeline.command_line.recorded_run import RecordedRun

_EVERYTHING = "*"
_NEWEST = "newest"
_HOME_OF_MAKE = str(PROJECT_ROOT / ".dagster")
_SHOWN_OF_ID = 8


@click.command("materialize")
@config_option
@pairs_option
@click.option(
    "--select",
    default=_EVERYTHING,
    show_default=True,
    help="Assets to materialise, in Dagster's selection syntax.",
)
@set_option
@click.option(
    "--resume",
    is_flag=False,
    flag_value=_NEWEST,
    metavar="[RUN]",
    help="Continue an interrupted or failed run with its own settings: the newest, or the one whose id begins with "
    "RUN. Finished steps are kept, and a training continues from its newest checkpoint.",
)
@click.option("--verbose", is_flag=True, help="Show Dagster's event log instead of the progress.")
@click.pass_context
def materialize_command(
    context: click.Context,
    config_path: Path | None,
    own_pairs: str | None,
    select: str,
    overrides: tuple[str, ...],
    resume: str | None,
    verbose: bool,
) -> None:
    """Materialise assets in a Dagster run, and show its progress.

    The run is recorded in DAGSTER_HOME, where the UI shows it. Without that variable it is not recorded.
    """
    if resume:
        _require_alone("--resume", context)
        settings = None
    else:
        settings = load_settings(config_path, with_own_pairs(own_pairs, overrides))
    if environment.compute_kind() != "local":
        signals.wait_for_other_machines()
    with scratch_folder():
        run(settings, select, verbose, resume=None if resume == _NEWEST else resume)


def _require_alone(option: str, context: click.Context) -> None:
    """Refuse options of a new run together with one that takes the settings of an earlier run."""
    options = {"config_path": "--config", "own_pairs": "--pairs", "select": "--select", "overrides": "--set"}
    for name, shown in options.items():
        if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            raise SettingError(
                f"{option} continues a run with its own settings: leave {shown} out, or start a new run", option=shown
            )


def run(settings: RunSettings | None, select: str, verbose: bool = False, resume: str | None = None) -> None:
    """Materialise assets in a new run, or continue an earlier run, and print the results.

    Args:
        settings: of a new run; None to continue an earlier one.
        select: assets of a new run, in Dagster's selection syntax.
        verbose: show Dagster's event log instead of the progress.
        resume: the beginning of the id of the run to continue; None for the newest.

    Raises:
        PipelineError: when nothing is selected, there is nothing to continue, or the run fails.
    """
    if settings is None and not environment.dagster_home():
        raise SettingError("--resume needs DAGSTER_HOME, where the run is recorded: set it, or use `make resume`")
    backend(environment.compute_kind()).check()
    errors = Console(stderr=True)
    with live_progress(errors, quiet=verbose) as display, _dagster_home() as home:
        interruption = Interruption(errors, display, home)
        if settings is None or select == _EVERYTHING:
            # The server of the steps imports torch while this process imports Dagster.
            step_processes.warm_up()
        with signals.answered_by(interruption):
            from pipeline.command_line import dagster_run

            dagster_home.set_up(dagster_home.folder_of(os.environ["DAGSTER_HOME"]))
            finished = dagster_run.execute(settings, select, resume, verbose, display, interruption.of)
    if finished.failure:
        raise finished.failure
    console = Console()
    dagster_run.print_summary(console, finished)
    say(
        console,
        f"UI       `make dev` shows this run and its lineage at http://127.0.0.1:3000 (DAGSTER_HOME {home})"
        if home
        else "UI       this run was not recorded: set DAGSTER_HOME, or use `make materialize` and `make dev`",
    )


@contextmanager
def _dagster_home() -> Iterator[str | None]:
    """The value of DAGSTER_HOME; None where it is not set, and a temporary folder takes its place for this block."""
    if home := environment.dagster_home():
        dagster_home.check_dagster_home(home)
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="pipeline-dagster-") as temporary:
        shutil.copy(PROJECT_ROOT / "deploy" / "dagster.yaml", temporary)
        # The processes of the steps find the instance by this variable.
        os.environ["DAGSTER_HOME"] = temporary
        try:
            yield None
        finally:
            del os.environ["DAGSTER_HOME"]


class Interruption:
    """Handles the first signal that stops a run: prints what is kept, and records the run as cancelled.

    Args:
        home: the value of DAGSTER_HOME; None where the run is not recorded.
    """

    def __init__(self, console: Console, display: ProgressDisplay, home: str | None) -> None:
        self._console, self._display, self._home = console, display, home
        self._run: RecordedRun | None = None

    @contextmanager
    def of(self, run: "RecordedRun") -> Iterator[None]:
        """In this block, a signal stops this run."""
        self._run = run
        try:
            yield
        finally:
            self._run = None

    def __call__(self, number: int) -> None:
        """Handle the signal, in the thread that watches for it."""
        word = "Interrupted" if number == signal.SIGINT else "Terminated"
        say(self._console, f"{word}{self._kept()}")
        self._display.end()
        if self._run:
            # In a thread, as a database in use may take long.
            threading.Thread(target=self._run.cancel, name="cancel the run", daemon=True).start()

    def _kept(self) -> str:
        run_id = self._run.run_id if self._run else None
        if run_id is None:
            return " before the run started: nothing is left behind."
        where = f" in {self._display.step}" if self._display.step else ""
        if not self._home:
            return f"{where}. DAGSTER_HOME is not set, so the run can't be resumed: start it again."
        command = "make resume" if self._home == _HOME_OF_MAKE else "python -m pipeline materialize --resume"
        return f"{where}. {self._display.kept} Continue with: {command} (run {run_id[:_SHOWN_OF_ID]})"
