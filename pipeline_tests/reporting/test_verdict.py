"""The sentence that says what a model gained and lost."""

from io import StringIO
from pathlib import Path

import pytest
from made_reports import as_an_earlier_release_stored_it, before_and_after
from rich.console import Console

from pipeline.command_line.results import print_comparison, print_results
from pipeline.core.values import Interval
from pipeline.evaluation.report import EvaluationReport
from pipeline.reporting.model_card import model_card
from pipeline.reporting.rendering import markdown, page
from pipeline.reporting.verdict import verdict

AP = "average precision"
UP = Interval(estimate=0.02, low=0.015, high=0.025)
DOWN = Interval(estimate=-0.03, low=-0.04, high=-0.01)
LEVEL = Interval(estimate=0.001, low=-0.002, high=0.004)


def report_with(ap: Interval, mining: Interval, recall: Interval) -> EvaluationReport:
    gains = {**before_and_after()[1].gains, "ap": ap}
    return before_and_after()[1].model_copy(
        update={"gains": gains, "task_gains": {"mining_ap": mining, "recall_at_10": recall}}
    )


@pytest.mark.parametrize(
    ("gains", "parts"),
    [
        (
            (UP, DOWN, DOWN),
            ["Better than the baseline at", AP, "but worse at", "mining AP", "recall@10"],
        ),
        (
            (UP, UP, LEVEL),
            ["Better than the baseline at", AP, "mining AP", "no significant", "recall@10"],
        ),
        (
            (DOWN, LEVEL, LEVEL),
            ["Worse than the baseline at", AP, "no significant", "mining AP", "recall@10"],
        ),
        ((LEVEL, LEVEL, LEVEL), ["No significant difference from", AP, "mining AP", "recall@10"]),
    ],
)
def test_it_says_where_the_model_is_better_worse_or_not_told_apart(
    gains: tuple[Interval, Interval, Interval], parts: list[str]
) -> None:
    sentence = verdict(report_with(*gains))
    assert sentence is not None
    places = [sentence.index(part) for part in parts]
    assert places == sorted(places)
    assert ("better" in sentence.lower(), "worse" in sentence.lower()) == (UP in gains, DOWN in gains)
    # The numbers are explained once.
    assert sentence.count("95 % interval") == 1
    for figure, gain in zip((AP, "mining AP", "recall@10"), gains, strict=True):
        assert f"{figure} {gain.estimate:+.4f}, " in sentence
        assert f"{gain.low:+.4f} to {gain.high:+.4f})" in sentence


def test_a_base_model_has_no_verdict() -> None:
    assert verdict(before_and_after()[0]) is None


def test_a_report_of_an_earlier_release_has_differences_without_an_interval() -> None:
    report = as_an_earlier_release_stored_it(before_and_after()[1])
    said = verdict(report)
    assert said is not None
    assert report.tasks is not None
    assert report.baseline_tasks is not None
    difference = report.tasks.mining_ap - report.baseline_tasks.mining_ap
    assert f"measured by an earlier release: finding the duplicates in a corpus (mining AP {difference:+.4f})" in said
    assert "No intervals: an earlier release measured these." in markdown(report)


def test_without_mining_and_retrieval_it_says_that_they_were_not_compared() -> None:
    said = verdict(before_and_after()[1].model_copy(update={"tasks": None}))
    assert said is not None
    assert said.endswith("; mining and retrieval were not compared.")


def test_report_page_card_and_terminal_begin_with_it() -> None:
    baseline, _ = before_and_after()
    report = report_with(UP, DOWN, DOWN)
    said = verdict(report)
    assert said is not None
    assert report.training is not None
    text = StringIO()
    print_comparison(Console(file=text, width=80), baseline, report)
    for form, first_figure in (
        (markdown(report), "Result"),
        (page(report, ()), "Result"),
        (model_card(report.training, (baseline, report)).split("\n# ")[1], "## "),
        (text.getvalue(), "│ accuracy"),
    ):
        assert 0 < form.index(said) < form.index(first_figure)
    assert "-0.0300 (-0.0400 to -0.0100)" in text.getvalue()


def test_a_narrow_terminal_breaks_the_sentence_between_words_and_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline, report = before_and_after()
    run_folder = tmp_path / "runs" / "sentence-transformers-ft-1702914571"
    assert report.training is not None
    training = report.training.at(str(run_folder))
    monkeypatch.chdir(tmp_path)
    text = StringIO()
    console = Console(file=text, width=80, force_terminal=True, color_system=None)
    print_results(console, baseline, report, training)
    said, lines = verdict(report), text.getvalue().splitlines()
    assert said is not None
    assert said in " ".join(line.strip() for line in lines)
    assert max(map(len, lines)) <= 80
    # From the working folder on, so that it can be copied and opened.
    assert "Folder   runs/sentence-transformers-ft-1702914571" in lines
    assert "  Report   report.html" in lines
    for threshold in (report.cosine.accuracy_threshold, report.cosine.f1_threshold):
        assert any("threshold" in line and f"{threshold:.4f}" in line for line in lines)
