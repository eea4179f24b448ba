"""What the command line shows: a live progress bar, the comparison of two reports, and where things lie."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from pipeline.core.progress import (
    PROGRESS_FILE_VARIABLE,
    Advanced,
    CheckpointSaved,
    DevEvaluated,
    LogLine,
    OnProgress,
    ProgressEvent,
    TrainingStep,
    follow,
)
from pipeline.evaluation.report import THRESHOLDS, EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.quality.production_record import InProduction, ProductionModel
from pipeline.reporting.file_names import PAGE_FILE_NAME


class _Bar:
    """Renders progress events: one line for each stage, and milestones above them."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: ProgressEvent) -> None:
        """Show one event."""
        match event:
            case Advanced():
                self._advance(event.stage, event.done, event.total)
            case TrainingStep():
                detail = f"loss {event.loss:.3f}, {event.pairs_per_second:.0f} pairs/s"
                self._advance("training", event.step, event.total_steps, detail)
            case DevEvaluated():
                self._progress.console.print(
                    f"epoch {event.epoch:g}: dev average precision {event.average_precision:.4f}",
                    highlight=False,
                )
            case LogLine():
                self._progress.console.print(event.text, markup=False, highlight=False, soft_wrap=True)
            case CheckpointSaved():
                pass

    def _advance(self, stage: str, done: int, total: int, detail: str = "") -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, detail="")
        self._progress.update(self._tasks[stage], completed=done, total=total, detail=detail)


@contextmanager
def live_progress(console: Console, quiet: bool = False) -> Iterator[OnProgress]:
    """A bar on the terminal that also shows the events which step processes append to a file of its own."""
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    over = threading.Event()
    with tempfile.TemporaryDirectory(prefix="pipeline-progress-") as folder:
        path = Path(folder) / "events.jsonl"
        path.touch()
        with Progress(*columns, console=console, disable=quiet) as progress:
            bar = _Bar(progress)

            def render() -> None:
                for event in follow(path, over.is_set):
                    bar(event)

            follower = threading.Thread(target=render, name="progress")
            os.environ[PROGRESS_FILE_VARIABLE] = str(path)
            follower.start()
            try:
                yield bar
            finally:
                del os.environ[PROGRESS_FILE_VARIABLE]
                over.set()
                follower.join()


def print_results(
    console: Console, baseline: EvaluationReport, post_train: EvaluationReport, model: FineTunedModel
) -> None:
    """What every command ends with: what was gained, and where things lie."""
    print_comparison(console, baseline, post_train)
    print_places(console, model)


def print_places(console: Console, model: FineTunedModel) -> None:
    """Where the model, its results and the report lie."""
    for name, place in (
        ("Model", model.model.location),
        ("Results", f"{model.run_folder}/binary_classification_evaluation_{{pre,post}}_train_results.csv"),
        ("Report", f"{model.run_folder}/{PAGE_FILE_NAME}"),
    ):
        console.print(f"{name:<8} {place}", soft_wrap=True, highlight=False, markup=False)


def print_production(console: Console, current: InProduction) -> None:
    """Which model is in production, if there is one."""
    place = "nothing was accepted yet"
    if current is not None:
        place = current.model.model.location if isinstance(current, ProductionModel) else current.said
    console.print(f"In use   {place}", soft_wrap=True, highlight=False, markup=False)


def print_comparison(console: Console, baseline: EvaluationReport, post: EvaluationReport) -> None:
    """A table of both reports by cosine, with the difference and its interval."""
    table = Table(
        title=f"{post.origin.source}: {post.pairs:,} eval pairs, {post.positive_rate:.1%} duplicates",
        title_justify="left",
    )
    table.add_column("cosine")
    for column in ("baseline", "post-train", "difference (95 % interval)"):
        table.add_column(column, justify="right")
    for label, metric in (("average precision", "ap"), ("accuracy", "accuracy"), ("F1", "f1")):
        before, after = getattr(baseline.cosine, metric), getattr(post.cosine, metric)
        table.add_row(label, f"{before:.4f}", f"{after:.4f}", post.gains[metric].signed)
    for label, metric in (("threshold (accuracy)", "accuracy_threshold"), ("threshold (F1)", "f1_threshold")):
        table.add_row(label, f"{getattr(baseline.cosine, metric):.4f}", f"{getattr(post.cosine, metric):.4f}", "")
    console.print(table)
    console.print(THRESHOLDS[post.threshold_kind], soft_wrap=True, markup=False, highlight=False)
