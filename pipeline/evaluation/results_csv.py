"""The reference system's result files: their names, their thirty columns, reading and writing."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pipeline.core.errors import PipelineError
from pipeline.evaluation.metric_values import SIMILARITIES, SimilarityMetrics

Stage = Literal["pre_train", "post_train"]

CSV_METRICS = ("accuracy", "accuracy_threshold", "f1", "precision", "recall", "f1_threshold", "ap")
_CSV_PREFIXES = {"cosine": "cossim", "manhattan": "manhattan", "euclidean": "euclidean", "dot": "dot"}

REFERENCE_COLUMNS = (
    "epoch",
    "steps",
    *(f"{_CSV_PREFIXES[similarity]}_{metric}" for similarity in SIMILARITIES for metric in CSV_METRICS),
)
"""The 30 columns of the reference system's result files, in its order."""


def results_file_name(stage: Stage) -> str:
    """The reference system's name of a result file."""
    return f"binary_classification_evaluation_{stage}_results.csv"


EPOCH_RESULTS_FILE_NAME = "binary_classification_evaluation_results.csv"
"""One row an epoch, in `eval/` of a fine-tuned model."""

PAGE_FILE_NAME = "report.html"
"""The report's page, in a run folder and next to a stored report."""

FILES_KEY = "files"
"""In the JSON next to a results file: the SHA-256 of each file written with it, by its path below the run folder."""


def csv_row(metrics: Mapping[str, SimilarityMetrics], epoch: float = -1, steps: int = -1) -> list[float]:
    """One row of a results file; -1 for epoch and steps stands for a model outside training."""
    return [
        epoch,
        steps,
        *(getattr(metrics[name], metric) for name in SIMILARITIES for metric in CSV_METRICS),
    ]


def csv_text(rows: list[list[float]]) -> str:
    """A results file: the header of `REFERENCE_COLUMNS` and the rows, numbers in full precision."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(REFERENCE_COLUMNS)
    writer.writerows(rows)
    return buffer.getvalue()


def reference_print(metrics: Mapping[str, SimilarityMetrics]) -> dict[str, dict[str, float]]:
    """The metrics as the reference system prints them."""
    order = ("accuracy", "accuracy_threshold", "f1", "f1_threshold", "precision", "recall", "ap")
    return {
        _CSV_PREFIXES[name]: {metric: getattr(values, metric) for metric in order} for name, values in metrics.items()
    }


def read_results(path: Path) -> list[tuple[float, int, dict[str, SimilarityMetrics]]]:
    """Read a results file: (epoch, steps, metrics of each similarity) for each row.

    Raises:
        PipelineError: when the header is not the reference system's.
    """
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if tuple(header) != REFERENCE_COLUMNS:
        raise PipelineError(f"{path} is no results file: its header differs from the {len(REFERENCE_COLUMNS)} columns")
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
    """An integer where the text is one, so that a file is written back as it was read."""
    number: float = json.loads(text)
    return number
