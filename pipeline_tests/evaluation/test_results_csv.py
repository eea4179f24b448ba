"""The reference system's CSV, to the letter."""

from pathlib import Path

import pytest
from made_reports import before_and_after

from pipeline.core.errors import InputError
from pipeline.evaluation.results_csv import REFERENCE_COLUMNS, csv_row, csv_text, read_results
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
    report = before_and_after()[1]
    header, row, rest = results_csv(report).split("\n")
    assert (header, rest) == (HEADER, "")
    assert row.startswith("-1,-1,")
    written = dict(zip(header.split(","), row.split(","), strict=True))
    cosine, dot = report.oracle["cosine"], report.oracle["dot"]
    assert float(written["cossim_accuracy"]) == cosine.accuracy
    assert float(written["cossim_ap"]) == cosine.ap
    assert float(written["dot_f1_threshold"]) == dot.f1_threshold


def test_rows_of_a_training_keep_their_epoch_and_step(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    before, after = (report.oracle for report in before_and_after())
    file.write_text(csv_text([csv_row(before, 1.0, 250), csv_row(after, 2.0, 500)]))
    assert read_results(file) == [(1, 250, before), (2, 500, after)]


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text(f"{HEADER.replace('cossim', 'cosine')}\n{PRE_TRAIN}\n")
    with pytest.raises(InputError) as caught:
        read_results(file)
    assert caught.value.values == {"path": file}
