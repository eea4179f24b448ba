"""Checks reports: comparison, JSON and data versions."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from made_reports import before_and_after

from pipeline.core.errors import MismatchError
from pipeline.core.values import Interval
from pipeline.evaluation.measurement import SIMILARITIES, SimilarityMetrics, ThresholdMetrics
from pipeline.evaluation.report import COMPARED, EvaluationReport, compare
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import DataOrigin


def some_metrics(start: float = 0.1) -> dict[str, SimilarityMetrics]:
    """Metrics that all differ, so that a swapped column shows."""
    fields = SimilarityMetrics.model_fields
    return {
        name: SimilarityMetrics(**{field: start + i / 10 + j / 100 for j, field in enumerate(fields)})
        for i, name in enumerate(SIMILARITIES)
    }


def some_operating(start: float = 0.1) -> dict[str, ThresholdMetrics]:
    """As `some_metrics`, at thresholds of the dev split."""
    fields = ThresholdMetrics.model_fields
    return {
        name: ThresholdMetrics(**{field: start + i / 10 + j / 100 for j, field in enumerate(fields)})
        for i, name in enumerate(SIMILARITIES)
    }


def a_report(**changes: Any) -> EvaluationReport:
    values: dict[str, Any] = {
        "stage": "post_train",
        "model": ModelInfo(kind="folder", name="some-model", location="/somewhere", version="m1"),
        "eval_version": "e1",
        "dev_version": "v1",
        "train_version": "t1",
        "origin": DataOrigin(source="pairs.csv", synthetic=False, dataset_version="d1"),
        "pairs": 1000,
        "positive_rate": 0.37,
        "threshold_kind": "dev",
        "oracle": some_metrics(),
        "operating": some_operating(),
        "intervals": {"ap": Interval(estimate=0.1, low=0.08, high=0.12)},
        "gains": {},
        "calibration": None,
        "slices": [],
        "graph_only_ap": None,
        "tasks": None,
        "mistakes": [],
        "cosine_scores": "",
        "labels": "",
        "seconds": 12.5,
        "questions": 1900,
        "device": "cpu (2 threads)",
        "precision": "fp32",
        "evaluated_at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    }
    return EvaluationReport(**{**values, **changes})


def test_compare_subtracts_the_baseline_and_leaves_thresholds_out() -> None:
    differences = compare(a_report(operating=some_operating(0.3)), a_report(stage="pre_train"))
    assert set(differences) == set(SIMILARITIES)
    for values in differences.values():
        assert set(values) == set(COMPARED)
        assert all(value == pytest.approx(0.2) for value in values.values())


def test_compare_refuses_thresholds_of_another_kind() -> None:
    with pytest.raises(MismatchError) as caught:
        compare(a_report(), a_report(threshold_kind="oracle"))
    assert caught.value.values == {"what": "kind of threshold", "report": "dev", "baseline": "oracle"}


def test_compare_refuses_reports_on_other_pairs() -> None:
    with pytest.raises(MismatchError) as caught:
        compare(a_report(), a_report(eval_version="e2"))
    assert caught.value.values == {"what": "eval data version", "report": "e1", "baseline": "e2"}


def test_a_report_survives_json(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(a_report().model_dump_json())
    again = EvaluationReport.from_stored_json(file.read_text())
    assert again == a_report()
    assert again.data_version == a_report().data_version


def test_json_with_an_unknown_field_is_refused() -> None:
    text = json.dumps({**a_report().model_dump(mode="json"), "surprise": 1})
    with pytest.raises(ValueError, match="surprise"):
        EvaluationReport.from_stored_json(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": 99.0},
        {"device": "cuda (NVIDIA H100)"},
        {"model": ModelInfo(kind="folder", name="some-model", location="/elsewhere", version="m1")},
    ],
    ids=["seconds", "device", "folder"],
)
def test_the_data_version_ignores_speed_and_machine(changes: dict[str, Any]) -> None:
    assert a_report(**changes).data_version == a_report().data_version


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "pre_train"},
        {"eval_version": "e2"},
        {"oracle": some_metrics(0.2)},
        {"operating": some_operating(0.2)},
        {"train_version": "t2"},
        {"model": ModelInfo(kind="folder", name="some-model", location="/somewhere", version="m2")},
    ],
    ids=["stage", "pairs", "oracle metrics", "metrics", "training pairs", "model"],
)
def test_the_data_version_changes_with_the_result_and_what_it_was_measured_on(changes: dict[str, Any]) -> None:
    assert a_report(**changes).data_version != a_report().data_version


def test_a_metric_that_is_added_gives_no_stored_report_another_version() -> None:
    class More(ThresholdMetrics):
        recall_at_high_precision: float = 0.5

    class MoreOracle(SimilarityMetrics):
        recall_at_high_precision: float = 0.5

    class Wider(Interval):
        median: float = 0.5

    report = before_and_after()[1]
    more = report.model_copy(
        update={
            "operating": {name: More(**values.model_dump()) for name, values in report.operating.items()},
            "oracle": {name: MoreOracle(**values.model_dump()) for name, values in report.oracle.items()},
            "gains": {name: Wider(**value.model_dump()) for name, value in report.gains.items()},
        }
    )
    assert more.data_version == report.data_version
