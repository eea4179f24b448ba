"""Checks reports: comparison, JSON and data versions."""

import json
from pathlib import Path
from typing import Any

import pytest
from made_reports import before_and_after

from pipeline.core.errors import MismatchError
from pipeline.core.values import Interval
from pipeline.evaluation.measurement import SIMILARITIES, SimilarityMetrics, ThresholdMetrics
from pipeline.evaluation.report import COMPARED, EvaluationReport, compare


def a_report(**changes: Any) -> EvaluationReport:
    """A fine-tuned model's report."""
    return before_and_after()[1].model_copy(update=changes)


def test_compare_subtracts_the_baseline_and_leaves_thresholds_out() -> None:
    baseline, report = before_and_after()
    differences = compare(report, baseline)
    assert set(differences) == set(SIMILARITIES)
    for name, values in differences.items():
        assert set(values) == set(COMPARED)
        for metric, value in values.items():
            assert value == getattr(report.operating[name], metric) - getattr(baseline.operating[name], metric)


@pytest.mark.parametrize(
    ("field", "what"), [("threshold_kind", "kind of threshold"), ("eval_version", "eval data version")]
)
def test_compare_refuses_other_pairs_and_another_kind_of_threshold(field: str, what: str) -> None:
    other = a_report(**{field: "oracle"})
    with pytest.raises(MismatchError) as caught:
        compare(a_report(), other)
    assert caught.value.make_again == "baseline report"
    assert caught.value.values == {"what": what, "baseline": "oracle", "current": getattr(a_report(), field)}


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


def test_the_data_version_ignores_speed_and_machine() -> None:
    report = a_report()
    elsewhere = report.model.model_copy(update={"location": "/elsewhere"})
    assert a_report(seconds=99.0, device="cuda (NVIDIA H100)", model=elsewhere).data_version == report.data_version


@pytest.mark.parametrize("field", ["stage", "model", "oracle", "operating", "gains"])
def test_the_data_version_changes_with_the_model_and_its_results(field: str) -> None:
    baseline, report = before_and_after()
    assert a_report(**{field: getattr(baseline, field)}).data_version != report.data_version


@pytest.mark.parametrize("field", ["eval_version", "train_version", "threshold_kind"])
def test_the_data_version_changes_with_what_was_measured_on(field: str) -> None:
    assert a_report(**{field: "other"}).data_version != a_report().data_version


def test_an_added_metric_changes_no_version_of_a_stored_report() -> None:
    class More(ThresholdMetrics):
        recall_at_high_precision: float = 0.5

    class MoreOracle(SimilarityMetrics):
        recall_at_high_precision: float = 0.5

    class Wider(Interval):
        median: float = 0.5

    report = a_report()
    more = report.model_copy(
        update={
            "operating": {name: More(**values.model_dump()) for name, values in report.operating.items()},
            "oracle": {name: MoreOracle(**values.model_dump()) for name, values in report.oracle.items()},
            "gains": {name: Wider(**value.model_dump()) for name, value in report.gains.items()},
        }
    )
    assert more.data_version == report.data_version
