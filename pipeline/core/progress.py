"""Typed progress events, and the sinks that receive them.

A step of a Dagster run has no terminal of its own. It appends events as JSON lines to the file that
`PIPELINE_PROGRESS_FILE` names; the command line follows that file and shows them. In Dagster's event log
the same events become a bounded number of log lines.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, get_args

PROGRESS_FILE_VARIABLE = "PIPELINE_PROGRESS_FILE"


@dataclass(frozen=True)
class StepStarted:
    """A step of the run began."""

    step: str


@dataclass(frozen=True)
class StepEnded:
    """A step of the run ended."""

    step: str
    succeeded: bool


@dataclass(frozen=True)
class Advanced:
    """A stage of the work advanced: `done` of `total` units."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class TrainingResumed:
    """The training continues from a checkpoint of an earlier attempt."""

    step: int
    total_steps: int
    path: str


@dataclass(frozen=True)
class TrainingStep:
    """The optimiser took a step, and its loss is known.

    Attributes:
        loss: mean loss since the last reported step (summed over a batch's pairs, as the loss defines it).
        pairs_per_second: training pairs visited per second since the last reported step, without the pauses for
            evaluations and checkpoints.
        seconds_left: estimate for the rest of the training, evaluations included.
    """

    step: int
    total_steps: int
    epoch: float
    loss: float
    learning_rate: float
    pairs_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class TrainingAdvanced:
    """The optimiser took a step between two `TrainingStep` events."""

    step: int
    total_steps: int


@dataclass(frozen=True)
class DevEvaluationAdvanced:
    """The evaluation of the model in training advanced: `done` of `total` questions are embedded."""

    done: int
    total: int


@dataclass(frozen=True)
class DevEvaluated:
    """The model in training was evaluated on the dev split."""

    epoch: float
    step: int
    average_precision: float


@dataclass(frozen=True)
class CheckpointSaved:
    """A checkpoint is complete on disk."""

    step: int
    path: str


@dataclass(frozen=True)
class LogLine:
    """A line of the log of the working machine, for which there is no event."""

    text: str


ProgressEvent = (
    StepStarted
    | StepEnded
    | Advanced
    | TrainingResumed
    | TrainingStep
    | TrainingAdvanced
    | DevEvaluationAdvanced
    | DevEvaluated
    | CheckpointSaved
    | LogLine
)
OnProgress = Callable[[ProgressEvent], None]

_EVENT_TYPES: dict[str, type[Any]] = {cls.__name__: cls for cls in get_args(ProgressEvent)}


def ignore(event: ProgressEvent) -> None:
    """A sink that ignores the events."""


def to_json_line(event: ProgressEvent) -> str:
    """One line of JSON, without the newline."""
    return json.dumps({"event": type(event).__name__, **asdict(event)})


def from_json_line(line: str) -> ProgressEvent:
    """The event from a line of `to_json_line`.

    Raises:
        ValueError: for anything else.
    """
    try:
        fields = json.loads(line)
        event: ProgressEvent = _EVENT_TYPES[fields.pop("event")](**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a progress event: {line[:80]!r}") from error
    return event


def describe(event: ProgressEvent) -> str:
    """One line for a log."""
    match event:
        case StepStarted():
            return f"{event.step} has started"
        case StepEnded():
            return f"{event.step} {'is done' if event.succeeded else 'has failed'}"
        case Advanced():
            return f"{event.stage}: {event.done:,} of {event.total:,}"
        case TrainingResumed():
            return f"the training goes on from step {event.step:,} of {event.total_steps:,}, checkpoint {event.path}"
        case TrainingAdvanced():
            return f"step {event.step:,} of {event.total_steps:,}"
        case DevEvaluationAdvanced():
            return f"evaluating on dev_split: {event.done:,} of {event.total:,}"
        case TrainingStep():
            return (
                f"step {event.step:,} of {event.total_steps:,} (epoch {event.epoch:.2f}): loss {event.loss:.4f}, "
                f"learning rate {event.learning_rate:.2e}, {event.pairs_per_second:.0f} pairs/s"
            )
        case DevEvaluated():
            return f"dev average precision {event.average_precision:.4f} after {event.step:,} steps"
        case CheckpointSaved():
            return f"checkpoint saved: {event.path}"
        case LogLine():
            return event.text


class Pace:
    """Decides which events of a stage to report: at most `limit` of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._reported: dict[str, int] = {}

    def is_due(self, stage: str, done: int, total: int) -> bool:
        """Whether the stage has advanced by 1 / `limit` since its last report."""
        share = done * self._limit // total if total else 0
        if share < self._reported.get(stage, 0):
            # The stage has restarted.
            self._reported[stage] = 0
        if share <= self._reported.get(stage, 0):
            return False
        self._reported[stage] = share
        return True


@dataclass
class LogLines:
    """Logs a bounded number of lines: milestones always, steps and counts at most `limit` times each."""

    log: Callable[[str], None]
    limit: ClassVar[int] = 25

    def __post_init__(self) -> None:
        self._pace = Pace(self.limit)

    def __call__(self, event: ProgressEvent) -> None:
        """Log the event if it is due."""
        match event:
            case TrainingStep(step=done, total_steps=total):
                due = self._pace.is_due("training", done, total)
            case Advanced(stage=stage, done=done, total=total):
                due = self._pace.is_due(stage, done, total)
            case TrainingAdvanced() | DevEvaluationAdvanced():
                due = False
            case _:
                due = True
        if due:
            self.log(describe(event))


@dataclass
class TrainingSignal:
    """Observes a bounded number of training steps, each with the newest dev average precision."""

    observe: Callable[[dict[str, float]], None]
    limit: ClassVar[int] = 40

    def __post_init__(self) -> None:
        self._pace = Pace(self.limit)
        self._dev: dict[str, float] = {}

    def __call__(self, event: ProgressEvent) -> None:
        """Remember a dev evaluation, or observe a step if it is due."""
        match event:
            case DevEvaluated():
                self._dev = {"dev_average_precision": event.average_precision}
            case TrainingStep() if self._pace.is_due("training", event.step, event.total_steps):
                self.observe(
                    {
                        "step": event.step,
                        "epoch": event.epoch,
                        "loss": event.loss,
                        "learning_rate": event.learning_rate,
                        "pairs_per_second": event.pairs_per_second,
                        **self._dev,
                    }
                )
            case _:
                pass


def progress_file_sink() -> OnProgress:
    """A sink that appends to the file named by `PIPELINE_PROGRESS_FILE`; `ignore` where it is not set."""
    name = os.environ.get(PROGRESS_FILE_VARIABLE)
    if not name:
        return ignore
    path = Path(name)

    def append(event: ProgressEvent) -> None:
        # One short write in append mode, so that lines of several processes don't mix.
        with path.open("a", encoding="utf-8") as file:
            file.write(to_json_line(event) + "\n")

    return append


def both(first: OnProgress, second: OnProgress) -> OnProgress:
    """A sink that feeds two."""

    def emit(event: ProgressEvent) -> None:
        first(event)
        second(event)

    return emit


def follow(path: Path, is_over: Callable[[], bool], poll_seconds: float = 0.1) -> Iterator[ProgressEvent]:
    """The events of a growing file, until `is_over` and the file is read to its end."""
    with path.open(encoding="utf-8") as file:
        pending = ""
        while True:
            over = is_over()
            pending += file.read()
            *lines, pending = pending.split("\n")
            yield from map(from_json_line, lines)
            if over:
                return
            time.sleep(poll_seconds)
