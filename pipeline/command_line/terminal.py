"""Prints lines, and the progress of a run: a live bar on a terminal, a line every ten seconds elsewhere."""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task
from rich.table import Column
from rich.text import Text

from pipeline.core.errors import counted
from pipeline.core.foreign_text import for_terminal, visible
from pipeline.core.progress import (
    PROGRESS_FILE_VARIABLE,
    Advanced,
    CheckpointSaved,
    DevEvaluated,
    DevEvaluationAdvanced,
    LogLine,
    ProgressEvent,
    StepEnded,
    StepStarted,
    TrainingAdvanced,
    TrainingResumed,
    TrainingStep,
    describe,
    follow,
)
from pipeline.orchestration.steps import CHECKS_SUFFIX

_REFRESHES_PER_SECOND = 8
_SECONDS_BETWEEN_LINES = 10.0
_BAR_WIDTH = 30
_WIDTH_FOR_FIGURES = 75
"""Columns of the narrowest terminal whose bar has loss and pairs per second too."""

_TRAINING = "training"


def say(console: Console, line: str) -> None:
    """Print one line, which may contain the names of files and models."""
    console.print(visible(line), soft_wrap=True, highlight=False, markup=False)


def say_sentence(console: Console, sentence: str) -> None:
    """Print a sentence, wrapped between words on a terminal; elsewhere as one line."""
    console.print(visible(sentence), soft_wrap=not console.is_terminal, highlight=False, markup=False)


class _TextColumn(ProgressColumn):
    """Text about a task, cut off where there is no room. rich's own `TextColumn` wraps it instead."""

    def __init__(self, text: Callable[[Task], str], style: str = "", can_shrink: bool = False) -> None:
        super().__init__(Column(no_wrap=not can_shrink))
        self._text, self._style = text, style

    def render(self, task: Task) -> Text:
        """See `ProgressColumn.render`."""
        return Text(self._text(task), self._style, no_wrap=True, overflow="ellipsis")


class ProgressDisplay:
    """Shows progress events, and prints a line for what ends or is found.

    The state is a `rich.progress.Task`, whether or not it is drawn: the step in progress, or the stage in it. An
    evaluation during a training has its own task, and hides the training's.

    Args:
        quiet: show nothing.
        clock: seconds, for the tests.
    """

    def __init__(self, console: Console, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._quiet, self._clock = console, quiet, clock
        self._is_terminal = console.is_interactive
        is_ascii = console.options.ascii_only
        self._check_mark = "done" if is_ascii else "✓"
        self.bar = Progress(
            SpinnerColumn("line" if is_ascii else "dots", style="green"),
            _TextColumn(lambda task: for_terminal(task.description), can_shrink=True),
            BarColumn(bar_width=None, table_column=Column(max_width=_BAR_WIDTH)),
            _TextColumn(lambda task: task.fields["figures"] if console.width >= _WIDTH_FOR_FIGURES else ""),
            _TextColumn(lambda task: f"{task.completed:,.0f}/{task.total:,.0f}" if task.total else "", "cyan"),
            _TextColumn(lambda task: self._time_left(task) or _clock_time(task.elapsed or 0), "cyan"),
            console=console,
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,
            # What is printed meanwhile appears above the bar, except where results are piped elsewhere.
            redirect_stdout=sys.stdout.isatty(),
            get_time=clock,
            disable=quiet or not self._is_terminal,
        )
        self._began: dict[str, float] = {}
        self._finished_steps = 0
        self._checkpoint: CheckpointSaved | TrainingResumed | None = None
        self._is_ending = False
        self._printed_at = clock()
        self.task = self._add("starting")
        if not self._is_terminal:
            self._print("starting")

    def __call__(self, event: ProgressEvent) -> None:
        """Show an event."""
        if self._is_ending:
            return
        match event:
            case StepStarted(step=step):
                self._began[step] = self._clock()
                self._restart(step)
                self._checkpoint = None
                if not self._is_terminal:
                    self._print(step)
                    self._printed_at = self._clock()
            case StepEnded(step=step, succeeded=succeeded):
                self._end(step, succeeded)
            case Advanced(stage=stage, done=done, total=total):
                self._advance(stage, done, total)
                self._print_progress(is_last=done == total)
            case TrainingAdvanced(step=done, total_steps=total):
                self._advance(_TRAINING, done, total)
                self._print_progress()
            case TrainingStep(step=done, total_steps=total):
                figures = f"loss {event.loss:.3f}, {event.pairs_per_second:,.0f} pairs/s"
                self._advance(_TRAINING, done, total, figures=figures, ends=self._clock() + event.seconds_left)
                self._print_progress(is_last=done == total)
            case DevEvaluationAdvanced(done=done, total=total):
                self._advance("training: evaluating on dev_split", done, total)
                # Its last line is that of its result.
                self._print_progress()
            case DevEvaluated():
                self._print(f"  epoch {event.epoch:.2f}: dev average precision {event.average_precision:.4f}")
            case TrainingResumed():
                self._checkpoint = event
                self._print(f"  {describe(event)}")
            case LogLine():
                self._print(f"  {describe(event)}")
            case CheckpointSaved():
                self._checkpoint = event

    @property
    def step(self) -> str | None:
        """The step in progress; None between two."""
        return next(reversed(self._began), None)

    @property
    def kept(self) -> str:
        """A sentence on what is kept when the run ends now."""
        parts = [f"the checkpoint of step {self._checkpoint.step:,}"] if self._checkpoint else []
        if self._finished_steps:
            parts.append(counted(self._finished_steps, "finished step"))
        return f"Kept: {' and '.join(parts)}." if parts else "No step was finished."

    def end(self) -> None:
        """Show that the work is being stopped, and ignore further events."""
        self._restart("ending")
        self._is_ending = True

    def _add(self, label: str) -> Task:
        task_id = self.bar.add_task(label, total=None, figures="", ends=None)
        return next(task for task in self.bar.tasks if task.id == task_id)

    def _restart(self, label: str) -> None:
        for task_id in self.bar.task_ids:
            self.bar.remove_task(task_id)
        self.task = self._add(label)

    def _end(self, step: str, succeeded: bool) -> None:
        self._restart(step)
        began = self._began.pop(step, self._clock())
        self._finished_steps += succeeded
        # Checks have no result to report here: what fails is printed at the end.
        if succeeded and not step.endswith(CHECKS_SUFFIX):
            self._print(f"{self._check_mark} {step}  {self._clock() - began:.1f} s")

    def _advance(self, stage: str, done: int, total: int, **fields: Any) -> None:
        if self.task.description != stage:
            if self.task.description == _TRAINING:
                self.bar.update(self.task.id, visible=False)
            else:
                self.bar.remove_task(self.task.id)
            training = next((task for task in self.bar.tasks if task.description == stage), None)
            self.task = training or self._add(stage)
        self.bar.update(self.task.id, completed=done, total=total, visible=True, **fields)

    def _print_progress(self, is_last: bool = False) -> None:
        now = self._clock()
        if self._is_terminal or (now - self._printed_at < _SECONDS_BETWEEN_LINES and not is_last):
            return
        self._printed_at = now
        task = self.task
        left = "" if is_last else self._time_left(task)
        parts = [f"{task.completed:,.0f} of {task.total or 0:,.0f}", task.fields["figures"], left]
        self._print(f"  {task.description}: {', '.join(part for part in parts if part)}")

    def _time_left(self, task: Task) -> str:
        """By the event's own estimate, else by rich's from the speed of the last 30 seconds."""
        ends = task.fields["ends"]
        seconds = task.time_remaining if ends is None else ends - self._clock()
        return "" if seconds is None else f"{_clock_time(seconds)} left"

    def _print(self, line: str) -> None:
        if not self._quiet:
            say(self._console, line)


def _clock_time(seconds: float) -> str:
    """`0:42`, or `1:02:03`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


@contextmanager
def live_progress(console: Console, quiet: bool = False) -> Iterator[ProgressDisplay]:
    """Show the events of this process and of others, which append them to the file that `PIPELINE_PROGRESS_FILE` names.

    Args:
        quiet: show nothing, for commands that print a log.
    """
    with tempfile.TemporaryDirectory(prefix="pipeline-progress-") as folder:
        path = Path(folder) / "events.jsonl"
        path.touch()
        display = ProgressDisplay(console, quiet)
        os.environ[PROGRESS_FILE_VARIABLE] = str(path)
        is_over = threading.Event()

        def show() -> None:
            for event in follow(path, is_over.is_set):
                display(event)

        follower = threading.Thread(target=show, name="progress")
        try:
            with display.bar:
                follower.start()
                try:
                    yield display
                finally:
                    is_over.set()
                    follower.join()
        finally:
            del os.environ[PROGRESS_FILE_VARIABLE]
