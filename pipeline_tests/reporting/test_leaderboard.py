"""Who stands on a leaderboard, in which order, and who is left out."""

import re
from datetime import timedelta

import pytest
from made_reports import MODEL, before_and_after, made, summarised

from pipeline.core.errors import NotFoundError, PipelineError
from pipeline.evaluation.report import EvaluationReport
from pipeline.evaluation.report_builder import build_report
from pipeline.reporting.leaderboard import (
    COMPARED_ROWS,
    SHOWN_ROWS,
    Leaderboard,
    ReportSummary,
    SummarisedReport,
    shown_names,
)
from pipeline.reporting.ranking import build_leaderboard, measured_on


def named(report: EvaluationReport, name: str) -> EvaluationReport:
    return report.model_copy(update={"model": report.model.model_copy(update={"name": name, "version": name})})


def test_models_stand_in_the_order_of_their_average_precision_with_their_distance_to_the_first() -> None:
    baseline, post = before_and_after()
    _, data = made(0.1)
    board = build_leaderboard(summarised(baseline, named(baseline, "twin"), post), data)
    assert [row.model.name for row in board.rows] == ["some-model-ft", "some-model", "twin"]
    first, second, third = board.rows
    assert first.behind is None
    assert second.behind is not None
    assert second.behind.estimate == pytest.approx(baseline.cosine.ap - post.cosine.ap)
    assert second.behind.high < 0
    assert third.behind == second.behind
    assert (first.run_folder, first.training_seconds, second.run_folder) == ("run", 60.0, None)
    assert first.questions_per_second == 9


def test_reports_on_other_pairs_or_with_other_thresholds_are_left_out_and_counted() -> None:
    baseline, post = before_and_after()
    _, data = made(0.1)
    elsewhere = named(baseline, "elsewhere").model_copy(update={"eval_version": "e9"})
    oracle = named(baseline, "oracle").model_copy(update={"threshold_kind": "oracle"})
    board = build_leaderboard(summarised(baseline, post, elsewhere, oracle), data, unreadable=2)
    assert {row.model.name for row in board.rows} == {"some-model", "some-model-ft"}
    assert list(board.left_out.values()) == [1, 1, 2]
    assert "Left out: 1 report on other eval pairs." in board.to_markdown()
    assert "(synthetic)" in board.to_markdown()
    assert not measured_on(elsewhere, data)
    assert measured_on(baseline, data)


def test_of_several_reports_of_one_model_the_newest_counts() -> None:
    baseline, _ = before_and_after()
    measured, data = made(0.1, likeness=3)
    newer = build_report("pre_train", MODEL, measured, data)
    later = newer.model_copy(update={"evaluated_at": baseline.evaluated_at + timedelta(seconds=1)})
    (row,) = build_leaderboard(summarised(later, baseline), data).rows
    assert row.ap.estimate == later.cosine.ap


def test_the_first_models_are_compared_with_the_first_and_only_their_reports_are_read() -> None:
    baseline, post = before_and_after()
    _, data = made(0.1)
    read: list[str] = []

    def stored(report: EvaluationReport) -> SummarisedReport:
        def reading() -> EvaluationReport:
            read.append(report.model.version)
            return report

        return SummarisedReport(ReportSummary.of(report), reading)

    models = [f"m{number:03}" for number in range(COMPARED_ROWS + SHOWN_ROWS)]
    board = build_leaderboard([stored(post), *(stored(named(baseline, name)) for name in models)], data)
    assert read == [post.model.version, *models[: COMPARED_ROWS - 1]]
    assert [row.behind is None for row in board.rows] == [
        True,
        *[False] * (COMPARED_ROWS - 1),
        *[True] * (SHOWN_ROWS + 1),
    ]
    assert len(board.to_frame()) == len(models) + 1
    said = board.to_markdown()
    assert sum(re.match(r"\| \d", line) is not None for line in said.splitlines()) == SHOWN_ROWS
    assert "leaderboard.csv has 21 more rows." in said


def test_a_report_that_cannot_be_read_whole_is_left_out_and_counted() -> None:
    baseline, post = before_and_after()
    _, data = made(0.1)

    def unreadable() -> EvaluationReport:
        raise PipelineError("it is damaged")

    board = build_leaderboard([SummarisedReport(ReportSummary.of(post), unreadable), *summarised(baseline)], data)
    assert [row.model.name for row in board.rows] == ["some-model"]
    assert list(board.left_out.values()) == [1]


def test_without_a_report_on_these_pairs_it_says_what_to_measure() -> None:
    baseline, _ = before_and_after()
    _, data = made(0.1)
    with pytest.raises(NotFoundError) as caught:
        build_leaderboard(summarised(baseline.model_copy(update={"eval_version": "e9"})), data)
    assert caught.value.make_again == "baseline report"
    assert caught.value.values == {"eval_version": data.eval.data_version}


def test_the_table_has_a_row_for_each_model_and_the_value_survives_json() -> None:
    baseline, post = before_and_after()
    _, data = made(0.1)
    board = build_leaderboard(summarised(baseline, post), data)
    frame = board.to_frame()
    assert list(frame["rank"]) == [1, 2]
    assert frame.loc[0, "ap"] == post.cosine.ap
    assert frame.loc[0, "ap_low"] == post.intervals["ap"].low
    again = Leaderboard.from_stored_json(board.model_dump_json())
    assert (again, again.data_version) == (board, board.data_version)
    assert board.data_version != build_leaderboard(summarised(baseline), data).data_version


def test_models_of_one_base_model_have_names_that_tell_them_apart_and_figures_come_first() -> None:
    baseline, post = before_and_after()
    _, data = made(0.1)
    assert post.training is not None
    name = "sentence-transformers--all-MiniLM-L6-v2-ft"
    trained = [
        named(post, version).model_copy(
            update={
                "model": post.model.model_copy(update={"name": name, "version": version}),
                "training": post.training.model_copy(update={"run_folder": f"/runs/sentence-transformers-ft-{number}"}),
            }
        )
        for version, number in (("a" * 16, 1702914571), ("b" * 16, 1702914999))
    ]
    twin = baseline.model_copy(update={"model": baseline.model.model_copy(update={"version": "c" * 16})})
    board = build_leaderboard(summarised(*trained, baseline, twin), data)
    assert shown_names(board.rows)[:2] == ["all-MiniLM-L6-v2-ft 1702914571", "all-MiniLM-L6-v2-ft 1702914999"]
    assert set(shown_names(board.rows)[2:]) == {f"some-model ({baseline.model.version[:8]})", "some-model (cccccccc)"}
    lines = board.to_markdown().splitlines()
    assert lines[2].startswith("| | model | AP | ")
    assert lines[4].startswith(f"| 1 | all-MiniLM-L6-v2-ft 1702914571 | {post.cosine.ap:.4f} | ")
