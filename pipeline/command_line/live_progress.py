"""Shows the progress of a run: one live line on a terminal, and whole lines now and then anywhere else."""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from pipeline.command_line.terminal import say as print_line
from pipeline.core.foreign_text import for_terminal
from pipeline.core.progress import (
    PROGRESS_FILE_VARIABLE,
    Advanced,
    CheckpointSaved,
    DevEvaluated,
    DevEvaluationAdvanced,
    LogLine,
    OnProgress,
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

_BAR_WIDTHS = (10, 30)
_LABEL_MINIMUM = 8
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_SPINNER = "|/-\\"
_REFRESHES_PER_SECOND = 8
_SECONDS_BETWEEN_LINES = 10.0


@dataclass
class Now:
    """What is being done now.

    Attributes:
        label: the step, or the stage in it.
        done, total: units of the stage; total is 0 where there is nothing to count.
        detail: figures beside the count.
        began: when the stage began, by the monotonic clock.
        ends: when it will presumably end; None where that is not known.
    """

    label: str
    done: int = 0
    total: int = 0
    detail: str = ""
    began: float = field(default_factory=lambda: time.monotonic())
    ends: float | None = None

    def advance(self, done: int, total: int) -> None:
        """Note how far the stage is, and estimate its end from the time that it took so far."""
        self.done, self.total = done, total
        now = time.monotonic()
        self.ends = now + (now - self.began) / done * (total - done) if done else None


class Progress:
    """What is known from the events: what is being done, and what ended.

    Args:
        say: prints a line for good.
        is_terminal: a live line shows what goes on, so that lines are printed for what ended only.
        done: how a line begins for a step that is done.
    """

    def __init__(self, say: Callable[[str], None], is_terminal: bool, done: str = "✓") -> None:
        self._say = say
        self._is_terminal = is_terminal
        self._done = done
        self._steps: dict[str, float] = {}
        self._done_steps = 0
        self._checkpoint: CheckpointSaved | TrainingResumed | None = None
        self._is_ending = False
        self._said_at = time.monotonic()
        self._training: Now | None = None
        self.now = Now("starting")
        if not is_terminal:
            say("starting")

    def __call__(self, event: ProgressEvent) -> None:
        """Take note of an event."""
        if self._is_ending:
            return
        match event:
            case StepStarted(step=step):
                self._steps[step] = time.monotonic()
                self._begin(step)
            case StepEnded(step=step, succeeded=succeeded):
                self._end(step, succeeded)
            case Advanced(stage=stage, done=done, total=total):
                self._advance(stage, done, total)
                self._say_where_it_is(is_end=done == total)
            case TrainingStep() | TrainingAdvanced():
                self._train(event)
            case DevEvaluationAdvanced(done=done, total=total):
                # Its end is told by the event of its result.
                self._advance("training: evaluating on dev_split", done, total)
                self._say_where_it_is()
            case DevEvaluated():
                self._say(f"  epoch {event.epoch:.2f}: dev average precision {event.average_precision:.4f}")
            case TrainingResumed():
                self._checkpoint = event
                self._say(f"  {describe(event)}")
            case LogLine():
                self._say(f"  {describe(event)}")
            case CheckpointSaved():
                self._checkpoint = event

    @property
    def step(self) -> str | None:
        """The step that is being done; None between two."""
        return next(reversed(self._steps), None)

    @property
    def kept(self) -> str:
        """A sentence on what stays when the run ends here."""
        parts = [f"the checkpoint of step {self._checkpoint.step:,}"] if self._checkpoint else []
        if self._done_steps:
            parts.append("1 finished step" if self._done_steps == 1 else f"{self._done_steps} finished steps")
        return f"Kept: {' and '.join(parts)}." if parts else "No step was finished."

    def end(self) -> None:
        """Show from now on that the work is being ended, and say nothing of it any more."""
        self.now, self._is_ending = Now("ending"), True

    def _begin(self, label: str) -> None:
        self.now, self._training, self._checkpoint = Now(label), None, None
        if not self._is_terminal:
            self._say(label)
            self._said_at = time.monotonic()

    def _end(self, step: str, succeeded: bool) -> None:
        self.now = Now(step)
        seconds = time.monotonic() - self._steps.pop(step, self.now.began)
        self._done_steps += succeeded
        # A check's result is no result of its own: what it finds wrong is said at the end.
        if succeeded and not step.endswith(CHECKS_SUFFIX):
            self._say(f"{self._done} {step}  {seconds:.1f} s")

    def _advance(self, stage: str, done: int, total: int) -> None:
        if self.now.label != stage:
            self.now = Now(stage)
        self.now.advance(done, total)

    def _train(self, event: TrainingStep | TrainingAdvanced) -> None:
        # An evaluation that came between has its own line; the training's is the one from before.
        self._training = self.now = self._training or Now("training")
        self.now.done, self.now.total = event.step, event.total_steps
        if isinstance(event, TrainingStep):
            self.now.detail = f"loss {event.loss:.3f}, {event.pairs_per_second:,.0f} pairs/s"
            self.now.ends = time.monotonic() + event.seconds_left
        self._say_where_it_is(is_end=isinstance(event, TrainingStep) and event.step == event.total_steps)

    def _say_where_it_is(self, is_end: bool = False) -> None:
        now = time.monotonic()
        if self._is_terminal or (now - self._said_at < _SECONDS_BETWEEN_LINES and not is_end):
            return
        self._said_at = now
        left = "" if is_end else _time_left(self.now.ends)
        parts = [f"{self.now.done:,} of {self.now.total:,}", self.now.detail, left]
        self._say(f"  {self.now.label}: {', '.join(part for part in parts if part)}")


class LiveLine:
    """The last line of a terminal: what is being done, how far it is, and how long it still takes.

    It fits the width: a label is shortened first, then the figures and the bar are left out. The count and the time
    left come last, and stay longest.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the line as rich draws it."""
        frames = _ASCII_SPINNER if options.ascii_only else _SPINNER
        spinner = frames[int(time.monotonic() * _REFRESHES_PER_SECOND) % len(frames)]
        # The last column stays free: some terminals wrap a line that fills it.
        yield live_line(self._progress.now, spinner, options.max_width - 1, "-" if options.ascii_only else "━")


def live_line(now: Now, spinner: str, width: int, filling: str = "━") -> Text:
    """One line of at most `width` columns."""
    count = f"{now.done:,}/{now.total:,}" if now.total else ""
    last = "  ".join(part for part in (count, _time_left(now.ends) or _time_since(now.began)) if part)
    room = width - cell_len(spinner) - 1 - cell_len(last) - 2
    label = for_terminal(now.label)
    wanted = min(cell_len(label), _LABEL_MINIMUM)
    narrow, wide = _BAR_WIDTHS
    has_bar = bool(now.total) and room >= wanted + 2 + narrow
    detail = now.detail if has_bar and room >= wanted + narrow + cell_len(now.detail) + 4 else ""
    room -= cell_len(detail) + 2 if detail else 0
    bar = min(wide, max(narrow, room - cell_len(label) - 2)) if has_bar else 0
    room -= bar + 2 if has_bar else 0
    line = Text(no_wrap=True, overflow="crop", end="")
    line.append(f"{spinner} ", "green")
    line.append(_shortened(label, max(room, 0)))
    if has_bar:
        filled = bar * now.done // now.total
        line.append("  ").append(filling * filled, "magenta").append(filling * (bar - filled), "bright_black")
    if detail:
        line.append(f"  {detail}")
    line.append(f"  {last}", "cyan")
    line.truncate(max(width, 0))
    return line


def _shortened(label: str, room: int) -> str:
    return label if cell_len(label) <= room else set_cell_size(label, max(room - 1, 0)) + "…"[:room]


def _time_left(ends: float | None) -> str:
    return "" if ends is None else f"{_clock_time(ends - time.monotonic())} left"


def _time_since(began: float) -> str:
    return _clock_time(time.monotonic() - began)


def _clock_time(seconds: float) -> str:
    """`0:42`, or `1:02:03`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


@contextmanager
def live_progress(console: Console, quiet: bool = False) -> Iterator[Progress]:
    """Show events, also those which processes append to the file that `PIPELINE_PROGRESS_FILE` names meanwhile.

    Args:
        quiet: show nothing, for whoever shows a log of its own.
    """
    with tempfile.TemporaryDirectory(prefix="pipeline-progress-") as folder:
        path = Path(folder) / "events.jsonl"
        path.touch()
        progress = Progress(
            _printer(console, quiet), console.is_terminal, "done" if console.options.ascii_only else "✓"
        )
        line = Live(
            LiveLine(progress),
            console=console,
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,
            # What is printed meanwhile comes above the line; but results that are piped go where they shall.
            redirect_stdout=sys.stdout.isatty(),
        )
        os.environ[PROGRESS_FILE_VARIABLE] = str(path)
        try:
            with line if console.is_terminal and not quiet else nullcontext(), _followed(path, progress):
                yield progress
        finally:
            del os.environ[PROGRESS_FILE_VARIABLE]


def _printer(console: Console, quiet: bool) -> Callable[[str], None]:
    def say(line: str) -> None:
        if not quiet:
            print_line(console, line)

    return say


@contextmanager
def _followed(path: Path, progress: OnProgress) -> Iterator[None]:
    """Pass on the events of a file to its end, in a thread."""
    over = threading.Event()

    def render() -> None:
        for event in follow(path, over.is_set):
            progress(event)

    follower = threading.Thread(target=render, name="progress")
    follower.start()
    try:
        yield
    finally:
        over.set()
        follower.join()
