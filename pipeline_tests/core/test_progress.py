"""Checks that progress events survive their trip through a file, and that a log stays short."""

import threading
import time
from pathlib import Path

import pytest
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.progress import (
    PROGRESS_FILE_VARIABLE,
    Advanced,
    CheckpointSaved,
    DevEvaluated,
    DevEvaluationAdvanced,
    LogLine,
    LogLines,
    ProgressEvent,
    StepEnded,
    StepStarted,
    TrainingAdvanced,
    TrainingResumed,
    TrainingSignal,
    TrainingStep,
    both,
    describe,
    follow,
    from_json_line,
    ignore,
    progress_file_sink,
    to_json_line,
)

EVENTS: list[ProgressEvent] = [
    Advanced("embedding questions", 512, 8_192),
    TrainingStep(3, 1_200, 0.0025, 1.0625, 2e-5, 310.5, 95.5),
    DevEvaluated(1.0, 1_200, 0.8125),
    StepStarted("splits"),
    StepEnded("splits", succeeded=False),
    TrainingResumed(600, 1_200, "/runs/checkpoint-600"),
    TrainingAdvanced(4, 1_200),
    DevEvaluationAdvanced(128, 512),
    LogLine("a container works on a CPU"),
    CheckpointSaved(1_200, "/runs/größe\n世界/checkpoint-1200"),
]

WHOLE = st.integers(min_value=0, max_value=10**9)
REAL = st.floats(allow_nan=False)
ANY_EVENT = st.one_of(
    st.builds(Advanced, st.text(), WHOLE, WHOLE),
    st.builds(TrainingStep, WHOLE, WHOLE, REAL, REAL, REAL, REAL, REAL),
    st.builds(TrainingAdvanced, WHOLE, WHOLE),
    st.builds(TrainingResumed, WHOLE, WHOLE, st.text()),
    st.builds(StepEnded, st.text(), st.booleans()),
    st.builds(DevEvaluated, REAL, WHOLE, REAL),
    st.builds(CheckpointSaved, WHOLE, st.text()),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_from_its_line(event: ProgressEvent) -> None:
    line = to_json_line(event)
    assert "\n" not in line
    assert from_json_line(line) == event


@settings(derandomize=True, deadline=None, max_examples=tries(100))
@given(ANY_EVENT)
def test_every_event_comes_back_from_one_line(event: ProgressEvent) -> None:
    line = to_json_line(event)
    assert line.splitlines() == [line]
    assert from_json_line(line) == event


@pytest.mark.parametrize(
    "line",
    [
        "",
        "garbage",
        "{",
        "[]",
        "3",
        '"Advanced"',
        "null",
        "{}",
        '{"event": "Unheard"}',
        '{"event": []}',
        '{"event": "Advanced"}',
        '{"event": "Advanced", "stage": "s", "done": 1, "total": 2, "more": 3}',
    ],
)
def test_a_line_that_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_json_line(line)


def test_a_refused_line_is_quoted() -> None:
    with pytest.raises(ValueError, match=r"not a progress event: .*Unheard"):
        from_json_line('{"event": "Unheard"}')


def test_the_sink_appends_to_the_file_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "progress.jsonl"
    monkeypatch.setenv(PROGRESS_FILE_VARIABLE, str(path))
    for event in EVENTS:
        progress_file_sink()(event)
    assert [from_json_line(line) for line in path.read_text(encoding="utf-8").splitlines()] == EVENTS


def test_without_a_file_the_sink_ignores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PROGRESS_FILE_VARIABLE, raising=False)
    assert progress_file_sink() is ignore


def test_both_feeds_two_sinks() -> None:
    one: list[ProgressEvent] = []
    two: list[ProgressEvent] = []
    sink = both(one.append, two.append)
    for event in EVENTS:
        sink(event)
    assert one == two == EVENTS


def test_follow_reads_a_finished_file_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_text("".join(to_json_line(event) + "\n" for event in EVENTS), encoding="utf-8")
    assert list(follow(path, lambda: True)) == EVENTS


def test_follow_yields_lines_written_late_and_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.touch()
    over = threading.Event()
    events = [Advanced("s", done, 40) for done in range(40)]

    def write() -> None:
        for event in events:
            line = to_json_line(event) + "\n"
            for piece in (line[:9], line[9:]):
                with path.open("a", encoding="utf-8") as file:
                    file.write(piece)
                time.sleep(0.001)
        over.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = list(follow(path, over.is_set, poll_seconds=0.002))
    writer.join()
    assert seen == events


def test_follow_yields_what_was_written_just_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.touch()
    polls = 0

    def is_over() -> bool:
        # The last words of a process and its end fall between two polls.
        nonlocal polls
        polls += 1
        with path.open("a", encoding="utf-8") as file:
            file.write(to_json_line(Advanced("s", polls, 3)) + "\n")
        return polls == 3

    assert list(follow(path, is_over, poll_seconds=0)) == [Advanced("s", done, 3) for done in (1, 2, 3)]


def test_follow_yields_an_event_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_text(to_json_line(EVENTS[0]) + "\n", encoding="utf-8")
    assert next(follow(path, lambda: False)) == EVENTS[0]


@settings(derandomize=True, deadline=None, max_examples=tries(50))
@given(st.integers(min_value=1, max_value=5_000), st.integers(min_value=1, max_value=64))
def test_a_stage_makes_at_most_25_lines_and_its_end_is_one_of_them(total: int, stride: int) -> None:
    lines: list[str] = []
    sink = LogLines(lines.append)
    for done in [*range(0, total, stride), total]:
        sink(Advanced("reading", done, total))
        sink(TrainingAdvanced(done, total))
        sink(DevEvaluationAdvanced(done, total))
        sink(TrainingStep(done, total, 0.0, 0.0, 0.0, 0.0, 0.0))
    counts = [line for line in lines if line.startswith("reading")]
    steps = [line for line in lines if line.startswith("step")]
    assert len(counts) + len(steps) == len(lines)
    assert 1 <= len(counts) <= 25
    assert 1 <= len(steps) <= 25
    assert counts[-1] == f"reading: {total:,} of {total:,}"
    assert steps[-1].startswith(f"step {total:,} of {total:,}")


def test_a_long_stage_is_reported_all_along() -> None:
    lines: list[str] = []
    sink = LogLines(lines.append)
    for done in range(1, 10_001):
        sink(Advanced("reading", done, 10_000))
    assert lines == [f"reading: {done:,} of 10,000" for done in range(400, 10_001, 400)]


def test_stages_have_lines_of_their_own_and_milestones_are_always_logged() -> None:
    lines: list[str] = []
    sink = LogLines(lines.append)
    milestones: list[ProgressEvent] = [CheckpointSaved(step, "folder") for step in range(100)]
    milestones += [DevEvaluated(1.0, step, 0.5) for step in range(100)]
    for event in [Advanced("one", 5, 5), Advanced("two", 5, 5), *milestones]:
        sink(event)
    assert lines[:2] == ["one: 5 of 5", "two: 5 of 5"]
    assert lines[2:] == [describe(event) for event in milestones]


@pytest.mark.parametrize("event", EVENTS[:-1], ids=lambda event: type(event).__name__)
def test_a_description_is_one_line(event: ProgressEvent) -> None:
    assert describe(event).splitlines() == [describe(event)]


def test_a_training_step_is_described_with_its_figures() -> None:
    line = describe(EVENTS[1])
    assert line == "step 3 of 1,200 (epoch 0.00): loss 1.0625, learning rate 2.00e-05, 310 pairs/s"


@pytest.mark.parametrize("steps", [3, 40, 5_000])
def test_a_training_is_observed_at_most_forty_times_with_the_newest_dev_figure(steps: int) -> None:
    seen: list[dict[str, float]] = []
    signal = TrainingSignal(seen.append)
    for step in range(1, steps + 1):
        signal(TrainingStep(step, steps, step / steps, 0.5, 1e-5, 90.0, 1.0))
        if step == 1:
            signal(DevEvaluated(0.1, step, 0.75))
    assert len(seen) == min(steps, 40)
    assert seen[-1]["step"] == steps
    assert seen[-1]["dev_average_precision"] == 0.75
    assert set(seen[-1]) >= {"loss", "learning_rate", "pairs_per_second", "epoch"}
