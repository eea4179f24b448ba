"""Checks reports: the reference system's CSV to the letter, fair comparison, JSON and data versions."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from made_reports import before_and_after

from pipeline.core.errors import PipelineError
from pipeline.core.values import Interval
from pipeline.evaluation.metric_values import SIMILARITIES, SimilarityMetrics, ThresholdMetrics
from pipeline.evaluation.report import COMPARED, EvaluationReport, compare
from pipeline.evaluation.results_csv import REFERENCE_COLUMNS, csv_row, csv_text, read_results
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import DataOrigin
from pipeline.reporting.result_files import results_csv

# The reference system's two files, as it published them.
HEADER = (
    "epoch,steps,"
    "cossim_accuracy,cossim_accuracy_threshold,cossim_f1,cossim_precision,cossim_recall,cossim_f1_threshold,"
    "cossim_ap,"
    "manhattan_accuracy,manhattan_accuracy_threshold,manhattan_f1,manhattan_precision,manhattan_recall,"
    "manhattan_f1_threshold,manhattan_ap,"
    "euclidean_accuracy,euclidean_accuracy_threshold,euclidean_f1,euclidean_precision,euclidean_recall,"
    "euclidean_f1_threshold,euclidean_ap,"
    "dot_accuracy,dot_accuracy_threshold,dot_f1,dot_precision,dot_recall,dot_f1_threshold,dot_ap"
)
PRE_TRAIN = (
    "-1,-1,"
    "0.7856736501026491,0.8703066110610962,0.7307950010196055,0.6417498081350729,0.8485319983764037,"
    "0.8361053466796875,0.7723541732429098,"
    "0.78485740433847,7.947874546051025,0.7303860890067786,0.6471171923960727,0.8382492220267893,"
    "8.820365905761719,0.7716763340290338,"
    "0.7856736501026491,0.509300172328949,0.7307950010196055,0.6417498081350729,0.8485319983764037,"
    "0.5725288391113281,0.7722899292609772,"
    "0.7856736501026491,0.8703066110610962,0.7307950010196055,0.6417498081350729,0.8485319983764037,"
    "0.8361053466796875,0.7723768728440874"
)
POST_TRAIN = (
    "-1,-1,"
    "0.9041282247891365,0.8691110610961914,0.8722775812262652,0.8383977038747115,0.9090109592747937,"
    "0.8512338399887085,0.915680961336939,"
    "0.9042271636696431,8.107221603393555,0.872209640892915,0.8358134920634921,0.9119199025842241,"
    "8.558991432189941,0.9154704007309182,"
    "0.9041282247891365,0.511642336845398,0.8722775812262652,0.8383977038747115,0.9090109592747937,"
    "0.5454652309417725,0.9156165190275904,"
    "0.9041282247891365,0.8691110610961914,0.8722775812262652,0.8383977038747115,0.9090109592747937,"
    "0.8512338399887085,0.9156458045049147"
)


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


def test_the_columns_are_the_thirty_of_the_reference_system() -> None:
    assert len(REFERENCE_COLUMNS) == 30
    assert ",".join(REFERENCE_COLUMNS) == HEADER


@pytest.mark.parametrize("row", [PRE_TRAIN, POST_TRAIN], ids=["pre train", "post train"])
def test_the_reference_systems_files_are_read_and_written_unchanged(tmp_path: Path, row: str) -> None:
    file = tmp_path / "results.csv"
    file.write_text(f"{HEADER}\n{row}\n")
    [(epoch, steps, metrics)] = read_results(file)
    assert (epoch, steps) == (-1, -1)
    assert csv_text([csv_row(metrics, epoch, steps)]) == file.read_text()


def test_reading_puts_each_number_under_its_similarity(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text(f"{HEADER}\n{PRE_TRAIN}\n{POST_TRAIN}\n")
    (_, _, before), (_, _, after) = read_results(file)
    assert before["cosine"].ap == 0.7723541732429098
    assert after["cosine"].ap == 0.915680961336939
    assert before["manhattan"].accuracy_threshold == 7.947874546051025
    assert before["euclidean"].f1_threshold == 0.5725288391113281
    assert after["dot"].recall == 0.9090109592747937


def test_a_reports_csv_is_the_header_and_one_row_that_begins_with_minus_ones() -> None:
    header, row, rest = results_csv(a_report()).split("\n")
    assert (header, rest) == (HEADER, "")
    assert row.startswith("-1,-1,")
    written = dict(zip(header.split(","), row.split(","), strict=True))
    cosine, dot = a_report().oracle["cosine"], a_report().oracle["dot"]
    assert float(written["cossim_accuracy"]) == cosine.accuracy
    assert float(written["cossim_ap"]) == cosine.ap
    assert float(written["dot_f1_threshold"]) == dot.f1_threshold


def test_rows_of_a_training_keep_their_epoch_and_step(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text(csv_text([csv_row(some_metrics(), 1.0, 250), csv_row(some_metrics(0.2), 2.0, 500)]))
    assert read_results(file) == [(1, 250, some_metrics()), (2, 500, some_metrics(0.2))]


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text(f"{HEADER.replace('cossim', 'cosine')}\n{PRE_TRAIN}\n")
    with pytest.raises(PipelineError, match=r"results\.csv is no results file"):
        read_results(file)


def test_compare_subtracts_the_baseline_and_leaves_thresholds_out() -> None:
    differences = compare(a_report(operating=some_operating(0.3)), a_report(stage="pre_train"))
    assert set(differences) == set(SIMILARITIES)
    for values in differences.values():
        assert set(values) == set(COMPARED)
        assert all(value == pytest.approx(0.2) for value in values.values())


def test_compare_refuses_thresholds_of_another_kind() -> None:
    with pytest.raises(PipelineError, match=r"kind of threshold is dev for .* and oracle for"):
        compare(a_report(), a_report(threshold_kind="oracle"))


def test_compare_refuses_reports_on_other_pairs() -> None:
    with pytest.raises(PipelineError, match=r"eval data version is e1 for .* and e2 for"):
        compare(a_report(), a_report(eval_version="e2"))


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
