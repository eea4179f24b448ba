"""What a person sees of a run while it goes on: a line that fits the terminal, and a log that can be read."""

import io
import time
from collections.abc import Callable

import pytest
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pipeline.command_line import live_progress as shown
from pipeline.command_line.live_progress import Now, Progress, live_line
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


@settings(derandomize=True, deadline=None, max_examples=tries(300))
@given(
    width=st.integers(0, 200),
    label=st.text(max_size=60),
    total=st.integers(0, 10**7),
    share=st.floats(0, 1),
    detail=st.text(max_size=40),
    left=st.one_of(st.none(), st.floats(0, 10**6)),
)
def test_the_line_fits_the_terminal_whatever_it_says(
    width: int, label: str, total: int, share: float, detail: str, left: float | None
) -> None:
    line = live_line(Now(label, int(total * share), total, detail, ends=left), "*", width)
    assert line.cell_len <= width


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass, which is 0 at first."""
    seconds = 0.0

    def advance(by: float) -> None:
        nonlocal seconds
        seconds += by

    monkeypatch.setattr("pipeline.command_line.live_progress.time.monotonic", lambda: seconds)
    return advance


TRAINING = Now("training", 3_400, 12_340, "loss 0.213, 240 pairs/s", began=0, ends=3_800.4)
EVALUATING = Now("evaluating sentence-transformers/all-MiniLM-L6-v2", 2_048, 3_412, began=0, ends=9.4)


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (100, "* evaluating sentence-transformers/all-MiniLM-L6-v2  ━━━━━━━━━━━━━━━━━━━━━━━  2,048/3,412  0:09 left"),
        (79, "* evaluating sentence-transformers/all-Min…  ━━━━━━━━━━  2,048/3,412  0:09 left"),
        (50, "* evaluating …  ━━━━━━━━━━  2,048/3,412  0:09 left"),
        (36, "* evaluatin…  2,048/3,412  0:09 left"),
    ],
)
def test_a_label_is_shortened_first_and_count_and_time_left_come_last(
    width: int, line: str, clock: Callable[[float], None]
) -> None:
    assert live_line(EVALUATING, "*", width).plain == line


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (79, "* training  ━━━━━━━━━━━━━━  loss 0.213, 240 pairs/s  3,400/12,340  1:03:20 left"),
        (60, "* training  ━━━━━━━━━━━━━━━━━━━━  3,400/12,340  1:03:20 left"),
    ],
)
def test_figures_are_left_out_where_there_is_no_room_for_them(
    width: int, line: str, clock: Callable[[float], None]
) -> None:
    assert live_line(TRAINING, "*", width).plain == line


def test_without_a_count_the_line_tells_how_long_it_has_been() -> None:
    began = time.monotonic() - 75
    assert live_line(Now("raw_quora_dataset", began=began), "*", 79).plain == "* raw_quora_dataset  1:15"


def test_a_bar_is_full_when_all_is_done() -> None:
    line = live_line(Now("training", 40, 40, ends=0), "*", 79)
    (full,) = {line.plain[span.start : span.end] for span in line.spans if span.style == "magenta"}
    assert full == "━" * 30


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


def test_a_terminal_keeps_a_line_of_what_ended_and_of_what_was_found(clock: Callable[[float], None]) -> None:
    lines: list[str] = []
    progress = Progress(lines.append, is_terminal=True)
    labels = []
    for event in RUN:
        clock(1.25)
        progress(event)
        labels.append(progress.now.label)
    assert lines == [
        "✓ splits  1.2 s",
        "  the training goes on from step 20 of 40, checkpoint /runs/20",
        "  epoch 0.75: dev average precision 0.8125",
        "  a remark",
    ]
    assert labels[:4] == ["splits", "splits", "splits_checks", "splits_checks"]
    assert labels[4:7] == ["fine_tuned_model", "fine_tuned_model", "training"]
    assert labels[8:13] == ["training: evaluating on dev_split"] * 4 + ["training"]


def test_the_training_goes_on_where_it_was_after_an_evaluation() -> None:
    progress = Progress(lambda line: None, is_terminal=True)
    for event in RUN[:13]:
        progress(event)
    assert (progress.now.done, progress.now.total) == (40, 40)
    assert progress.now.detail == "loss 0.400, 91 pairs/s"


def test_a_log_gets_whole_lines_at_a_human_pace(clock: Callable[[float], None]) -> None:
    lines: list[str] = []
    progress = Progress(lines.append, is_terminal=False)
    progress(StepStarted("baseline_eval_report"))
    for done in range(0, 1_001, 10):
        progress(Advanced("evaluating tiny", done, 1_000))
        clock(0.5)
    progress(StepEnded("baseline_eval_report", succeeded=True))
    assert lines[:2] == ["starting", "baseline_eval_report"]
    assert lines[-1] == "✓ baseline_eval_report  50.5 s"
    counts = lines[2:-1]
    # 50 seconds, a line in ten, and the end.
    assert counts == [
        "  evaluating tiny: 200 of 1,000, 0:40 left",
        "  evaluating tiny: 400 of 1,000, 0:30 left",
        "  evaluating tiny: 600 of 1,000, 0:20 left",
        "  evaluating tiny: 800 of 1,000, 0:10 left",
        "  evaluating tiny: 1,000 of 1,000",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3_661, "1:01:01"), (90_000, "25:00:00")]
)
def test_a_time_left_is_a_clock_time(seconds: float, text: str, clock: Callable[[float], None]) -> None:
    assert live_line(Now("x", 1, 2, ends=seconds), "*", 79).plain.endswith(f"1/2  {text} left")


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 140])
def test_nothing_is_left_of_the_line_and_none_is_wider_than_the_terminal(width: int) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, legacy_windows=False)
    with shown.live_progress(console) as progress:
        for event in RUN[:13]:
            progress(event)
            time.sleep(0.15)
    assert "training: evaluating on dev_split" in screen.getvalue()
    assert screen.getvalue().rstrip().endswith("\x1b[2K")
