"""What the terminal shows of a run: a bar that fits its width, and a log with a line now and then."""

import io
import time
from dataclasses import dataclass, field

import pytest
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from pipeline.command_line.terminal import ProgressDisplay, live_progress
from pipeline.core.progress import (
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
)


@dataclass
class Screen:
    """A display on a console of some width, with a clock that the test moves."""

    width: int = 80
    is_terminal: bool = True
    seconds: float = 0.0
    output: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        self.console = Console(
            file=self.output, width=self.width, force_terminal=self.is_terminal, legacy_windows=False
        )
        self.display = ProgressDisplay(self.console, clock=lambda: self.seconds)

    def show(self, *events: ProgressEvent, pause: float = 0.0) -> None:
        for event in events:
            self.seconds += pause
            self.display(event)

    @property
    def bar(self) -> list[str]:
        """The lines of the bar, without styles."""
        plain = Console(file=io.StringIO(), width=self.width, color_system=None, legacy_windows=False)
        with plain.capture() as captured:
            plain.print(self.display.bar.get_renderable())
        return captured.get().splitlines()

    @property
    def lines(self) -> list[str]:
        return self.output.getvalue().splitlines()


@settings(derandomize=True, deadline=None, max_examples=tries(300))
@given(
    width=st.integers(1, 200),
    label=st.text(max_size=60),
    total=st.integers(0, 10**7),
    share=st.floats(0, 1),
    left=st.floats(0, 10**6),
)
def test_the_bar_is_one_line_of_the_terminals_width(
    width: int, label: str, total: int, share: float, left: float
) -> None:
    screen = Screen(width)
    done = int(total * share)
    screen.show(Advanced(label, 0, total), Advanced(label, done, total), pause=1)
    assert [cell_len(line) <= width for line in screen.bar] == [True]
    screen.show(TrainingStep(done, total, 0.5, 0.2, 1e-5, 240, left))
    assert [cell_len(line) <= width for line in screen.bar] == [True]


def test_the_bar_has_the_stage_the_figures_the_count_and_the_time_left() -> None:
    screen = Screen(80)
    screen.show(TrainingStep(3_400, 12_340, 0.3, 0.213, 1e-5, 240, 3_800))
    (line,) = screen.bar
    assert line.split()[1] == "training"
    assert line.endswith("loss 0.213, 240 pairs/s 3,400/12,340 1:03:20 left")
    assert set(line.split()[2]) <= set("━╸╺")
    # Where there is little room, the figures go, then the end of the label.
    narrow = Screen(60)
    narrow.show(TrainingStep(3_400, 12_340, 0.3, 0.213, 1e-5, 240, 3_800))
    assert "loss" not in narrow.bar[0]
    assert narrow.bar[0].endswith("3,400/12,340 1:03:20 left")
    named = Screen(60)
    for done in (0, 1_024, 2_048):
        named.show(Advanced("evaluating sentence-transformers/all-MiniLM-L6-v2", done, 3_412), pause=1)
    assert named.bar[0].rstrip().endswith("2,048/3,412 0:02 left")
    assert "evaluating sen" in named.bar[0]
    assert "…" in named.bar[0]


def test_without_a_count_the_bar_has_the_time_since_the_beginning() -> None:
    screen = Screen()
    screen.show(StepStarted("raw_quora_dataset"))
    screen.seconds = 75
    assert screen.bar[0].split()[1] == "raw_quora_dataset"
    assert screen.bar[0].split()[-1] == "1:15"


RUN: list[ProgressEvent] = [
    StepStarted("splits"),
    StepEnded("splits", succeeded=True),
    StepStarted("splits_checks"),
    StepEnded("splits_checks", succeeded=True),
    StepStarted("fine_tuned_model"),
    TrainingResumed(20, 40, "/runs/20"),
    TrainingAdvanced(21, 40),
    TrainingStep(30, 40, 0.75, 0.5, 1e-5, 90.0, 12.0),
    DevEvaluationAdvanced(0, 10),
    DevEvaluationAdvanced(10, 10),
    DevEvaluated(0.75, 30, 0.8125),
    CheckpointSaved(30, "/runs/30"),
    TrainingStep(40, 40, 1.0, 0.4, 1e-5, 91.0, 0.0),
    LogLine("a remark"),
    StepEnded("fine_tuned_model", succeeded=False),
]


def test_a_terminal_keeps_a_line_of_what_ended_and_of_what_was_found() -> None:
    screen, labels = Screen(), []
    for event in RUN:
        screen.show(event, pause=1.25)
        labels.append(screen.display.task.description)
    assert screen.lines == [
        "✓ splits  1.2 s",
        "  the training goes on from step 20 of 40, checkpoint /runs/20",
        "  epoch 0.75: dev average precision 0.8125",
        "  a remark",
    ]
    assert labels[:4] == ["splits", "splits", "splits_checks", "splits_checks"]
    assert labels[4:7] == ["fine_tuned_model", "fine_tuned_model", "training"]
    assert labels[8:13] == ["training: evaluating on dev_split"] * 4 + ["training"]


def test_the_training_goes_on_where_it_was_after_an_evaluation() -> None:
    screen = Screen()
    screen.show(*RUN[:12])
    assert "10/10" in screen.bar[0]
    screen.show(TrainingAdvanced(31, 40))
    (line,) = screen.bar
    assert "31/40" in line
    assert "loss 0.500, 90 pairs/s" in line


def test_a_log_gets_whole_lines_at_a_human_pace() -> None:
    screen = Screen(is_terminal=False)
    screen.show(StepStarted("baseline_eval_report"))
    for done in range(0, 1_001, 10):
        screen.show(Advanced("evaluating tiny", done, 1_000))
        screen.seconds += 0.5
    screen.show(StepEnded("baseline_eval_report", succeeded=True))
    assert screen.lines == [
        "starting",
        "baseline_eval_report",
        # 50 seconds, a line every ten, and the end.
        "  evaluating tiny: 200 of 1,000, 0:40 left",
        "  evaluating tiny: 400 of 1,000, 0:30 left",
        "  evaluating tiny: 600 of 1,000, 0:20 left",
        "  evaluating tiny: 800 of 1,000, 0:10 left",
        "  evaluating tiny: 1,000 of 1,000",
        "✓ baseline_eval_report  50.5 s",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3_661, "1:01:01"), (90_000, "25:00:00")]
)
def test_a_time_left_is_a_clock_time(seconds: float, text: str) -> None:
    screen = Screen()
    screen.show(TrainingStep(1, 2, 0.5, 0.2, 1e-5, 240, seconds))
    assert screen.bar[0].endswith(f"1/2 {text} left")


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 140])
def test_nothing_is_left_of_the_bar_when_it_ends(width: int) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, legacy_windows=False)
    with live_progress(console) as display:
        for event in RUN[:13]:
            display(event)
            time.sleep(0.15)
    assert "training: evaluating on dev_split" in screen.getvalue()
    assert screen.getvalue().rstrip().endswith("\x1b[2K")
