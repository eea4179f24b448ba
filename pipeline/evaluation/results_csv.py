"""The reference system's results files: their names, their 30 columns, reading and writing them."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pipeline.core.errors import InputError
from pipeline.evaluation.measurement import SIMILARITIES, SimilarityMetrics

Stage = Literal["pre_train", "post_train"]

CSV_METRICS = ("accuracy", "accuracy_threshold", "f1", "precision", "recall", "f1_threshold", "ap")
_CSV_PREFIXES = {"cosine": "cossim", "manhattan": "manhattan", "euclidean": "euclidean", "dot": "dot"}

REFERENCE_COLUMNS = (
    "epoch",
    "steps",
    *(f"{_CSV_PREFIXES[similarity]}_{metric}" for similarity in SIMILARITIES for metric in CSV_METRICS),
)
"""The 30 columns of the reference system's results files, in its order."""


def results_file_name(stage: Stage) -> str:
    """Return the reference system's name of a results file."""
    return f"binary_classification_evaluation_{stage}_results.csv"


EPOCH_RESULTS_FILE_NAME = "binary_classification_evaluation_results.csv"
"""In `eval/` of a fine-tuned model: one row for each evaluation on the dev split."""

PAGE_FILE_NAME = "report.html"
"""The report as a web page, in the run folder and next to the stored report."""

FILES_KEY = "files"
"""In the JSON next to a results file: the SHA-256 of each file that was written with it, by path in the run folder."""


def csv_row(metrics: Mapping[str, SimilarityMetrics], epoch: float = -1, steps: int = -1) -> list[float]:
    """Return a row of a results file. Epoch and steps are -1 for an evaluation outside training."""
    return [
        epoch,
        steps,
        *(getattr(metrics[name], metric) for name in SIMILARITIES for metric in CSV_METRICS),
    ]


def csv_text(rows: list[list[float]]) -> str:
    """Return the text of a results file: the header and the rows, with numbers in full precision."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(REFERENCE_COLUMNS)
    writer.writerows(rows)
    return buffer.getvalue()


def reference_print(metrics: Mapping[str, SimilarityMetrics]) -> dict[str, dict[str, float]]:
    """Return the metrics under the names and in the order that the reference system prints."""
    order = ("accuracy", "accuracy_threshold", "f1", "f1_threshold", "precision", "recall", "ap")
    return {
        _CSV_PREFIXES[name]: {metric: getattr(values, metric) for metric in order} for name, values in metrics.items()
    }


def read_results(path: Path) -> list[tuple[float, int, dict[str, SimilarityMetrics]]]:
    """Read a results file.

    Returns:
        For each row: epoch, steps, and the metrics of each similarity.

    Raises:
        InputError: when the header is not the reference system's.
    """
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if tuple(header) != REFERENCE_COLUMNS:
        raise InputError(
            f"{path} is not a results file: its header is not the {len(REFERENCE_COLUMNS)} columns of one", path=path
        )
    width = len(CSV_METRICS)
    return [
        (
            _number(row[0]),
            int(row[1]),
            {
                name: SimilarityMetrics(**dict(zip(CSV_METRICS, map(float, row[2 + i * width :][:width]), strict=True)))
                for i, name in enumerate(SIMILARITIES)
            },
        )
        for row in rows
    ]


def _number(text: str) -> float:
    """Keep integers as integers, so that a file that is read and written again doesn't change."""
    number: float = json.loads(text)
    return number
