"""Materialises assets in a Dagster run of this process, and shows its progress: what `materialize` does.

Nothing here imports Dagster before something is shown.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from pipeline.command_line import dagster_home, signals
from pipeline.command_line.interruption import InterruptedRun
from pipeline.command_line.run_request import EVERYTHING, NewRun, ResumedRun
from pipeline.command_line.terminal import live_progress, say
from pipeline.compute.choice import backend
from pipeline.core.errors import PipelineError
from pipeline.core.files import PROJECT_ROOT
from pipeline.orchestration import step_processes
from pipeline.settings import environment


def run(work: NewRun | ResumedRun, verbose: bool) -> None:
    """Materialise assets, or what an earlier run has left undone, and print what came out.

    Args:
        verbose: show Dagster's event log instead of the progress.

    Raises:
        PipelineError: when nothing is selected or to be resumed, or the run fails.
    """
    if isinstance(work, ResumedRun) and not environment.dagster_home():
        raise PipelineError(
            "`--resume` needs DAGSTER_HOME, the folder that the run is recorded in: set it, or use `make resume`"
        )
    backend(environment.compute_kind()).check()
    errors = Console(stderr=True)
    with live_progress(errors, quiet=verbose) as progress, _dagster_home() as home:
        answer = InterruptedRun(errors, progress, home)
        if not isinstance(work, NewRun) or work.select == EVERYTHING:
            # The server of the steps imports torch while this process imports Dagster.
            step_processes.warm_up()
        with signals.answered_by(answer):
            from pipeline.command_line.dagster_run import execute, print_summary

            dagster_home.set_up(dagster_home.folder_of(os.environ["DAGSTER_HOME"]))
            outcome = execute(work, verbose, progress, answer)
    if outcome.failure:
        raise PipelineError(outcome.failure)
    console = Console()
    print_summary(console, outcome)
    say(
        console,
        f"UI       `make dev` shows this run and its lineage at http://127.0.0.1:3000 (DAGSTER_HOME {home})"
        if home
        else "UI       this run was not recorded: set DAGSTER_HOME, or use `make materialize` and `make dev`",
    )


@contextmanager
def _dagster_home() -> Iterator[str | None]:
    """The folder of Dagster's history; where there is none, a throw-away one is in the environment meanwhile."""
    if home := environment.dagster_home():
        dagster_home.check_dagster_home(home)
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="pipeline-dagster-") as throw_away:
        shutil.copy(PROJECT_ROOT / "deploy" / "dagster.yaml", throw_away)
        # Steps run in processes of their own, which find the instance by this variable.
        os.environ["DAGSTER_HOME"] = throw_away
        try:
            yield None
        finally:
            del os.environ["DAGSTER_HOME"]
