"""An evaluation as a value: its JSON, the reference system's CSV, Markdown for the UI, and fair comparison."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pipeline.errors import PipelineError
from pipeline.evaluation.metrics import SIMILARITIES, SimilarityMetrics
from pipeline.references import DataOrigin, ModelReference, Reference
from pipeline.storage import content_version, json_text, write_text

_CSV_METRICS = ("accuracy", "accuracy_threshold", "f1", "precision", "recall", "f1_threshold", "ap")
_CSV_PREFIXES = {"cosine": "cossim", "manhattan": "manhattan", "euclidean": "euclidean", "dot": "dot"}

REFERENCE_COLUMNS = (
    "epoch",
    "steps",
    *(f"{_CSV_PREFIXES[similarity]}_{metric}" for similarity in SIMILARITIES for metric in _CSV_METRICS),
)
"""The 30 columns of the reference system's result files, in its order."""

Stage = Literal["pre_train", "post_train"]


def results_file_name(stage: Stage) -> str:
    """The reference system's name of a result file."""
    return f"binary_classification_evaluation_{stage}_results.csv"


EPOCH_RESULTS_FILE_NAME = "binary_classification_evaluation_results.csv"
"""One row an epoch, in `eval/` of a fine-tuned model."""


class EvaluationReport(Reference):
    """How one model does on one split.

    Attributes:
        stage: `pre_train` for a base model, `post_train` for a fine-tuned one.
        model: the model that was evaluated.
        eval_version: data version of the split.
        origin: where its rows came from.
        pairs: number of pairs.
        positive_rate: share of duplicates: average precision depends on it.
        threshold_kind: `oracle`: thresholds are the best on these very pairs, so accuracy and F1 are upper bounds.
        metrics: for each similarity.
        seconds: wall-clock time of embedding and scoring.
        device: what it ran on.
    """

    stage: Stage
    model: ModelReference
    eval_version: str
    origin: DataOrigin
    pairs: int
    positive_rate: float
    threshold_kind: Literal["oracle"] = "oracle"
    metrics: dict[str, SimilarityMetrics]
    seconds: float
    device: str

    @property
    def data_version(self) -> str:
        """Hash of the result and what it was measured on; speed, device and folders don't count."""
        metrics = {name: values.model_dump() for name, values in self.metrics.items()}
        return content_version([self.stage, self.model.version, self.eval_version, self.threshold_kind, metrics])

    @property
    def cosine(self) -> SimilarityMetrics:
        """The metrics that headlines show."""
        return self.metrics["cosine"]

    def to_csv(self) -> str:
        """The reference system's file: its header, and one row with -1 for epoch and steps."""
        return csv_text([csv_row(self.metrics)])

    def to_markdown(self, baseline: "EvaluationReport | None" = None) -> str:
        """A table of all metrics by similarity; with a baseline, the differences to it.

        Raises:
            PipelineError: when the two can't be compared.
        """
        lines = [
            f"**{self.model.name}** on {self.pairs:,} pairs of {self.origin.source}, "
            f"{self.positive_rate:.1%} duplicates. Thresholds are *{self.threshold_kind}*: chosen on these very pairs, "
            "so accuracy and F1 are upper bounds; average precision (AP) needs no threshold.",
            "",
            "| similarity | AP | accuracy | at | F1 | precision | recall | at |",
            "|---|---|---|---|---|---|---|---|",
        ]
        differences = compare(self, baseline) if baseline else {}

        def cell(name: str, metric: str) -> str:
            value = f"{getattr(self.metrics[name], metric):.4f}"
            return f"{value} ({differences[name][metric]:+.4f})" if baseline else value

        for name, values in self.metrics.items():
            lines.append(
                f"| {name} | {cell(name, 'ap')} | {cell(name, 'accuracy')} | {values.accuracy_threshold:.4f} | "
                f"{cell(name, 'f1')} | {cell(name, 'precision')} | {cell(name, 'recall')} | {values.f1_threshold:.4f} |"
            )
        if baseline:
            lines += ["", f"In brackets: the difference to the baseline, {baseline.model.name}."]
        return "\n".join(lines) + "\n"

    def files(self) -> Iterator[tuple[str, str]]:
        """What is stored beside the report's JSON: (file name, text)."""
        yield results_file_name(self.stage), self.to_csv()

    def write_results(self, run_folder: Path) -> None:
        """Put the CSV into a run folder, and beside it a JSON that says which model and pairs it speaks of."""
        path = run_folder / results_file_name(self.stage)
        write_text(path.with_suffix(".json"), json_text(self.model_dump()))
        write_text(path, self.to_csv())


def compare(report: EvaluationReport, baseline: EvaluationReport) -> dict[str, dict[str, float]]:
    """Metric by metric, `report` minus `baseline`, for each similarity; thresholds are left out.

    Raises:
        PipelineError: when they were measured on other pairs or with another kind of threshold.
    """
    for what, mine, other in (
        ("eval data version", report.eval_version, baseline.eval_version),
        ("kind of threshold", report.threshold_kind, baseline.threshold_kind),
    ):
        if mine != other:
            raise PipelineError(
                f"reports can't be compared: the {what} is {mine} for {report.model.name} and {other} for the "
                f"baseline {baseline.model.name}; rematerialise baseline_eval_report"
            )
    return {
        name: {
            metric: getattr(report.metrics[name], metric) - getattr(baseline.metrics[name], metric)
            for metric in _CSV_METRICS
            if not metric.endswith("threshold")
        }
        for name in report.metrics
    }


def csv_row(metrics: Mapping[str, SimilarityMetrics], epoch: float = -1, steps: int = -1) -> list[float]:
    """One row of a results file; -1 for epoch and steps stands for a model outside training."""
    return [
        epoch,
        steps,
        *(getattr(metrics[name], metric) for name in SIMILARITIES for metric in _CSV_METRICS),
    ]


def csv_text(rows: list[list[float]]) -> str:
    """A results file: the header of `REFERENCE_COLUMNS` and the rows, numbers in full precision."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(REFERENCE_COLUMNS)
    writer.writerows(rows)
    return buffer.getvalue()


def read_results(path: Path) -> list[tuple[float, int, dict[str, SimilarityMetrics]]]:
    """Read a results file: (epoch, steps, metrics of each similarity) for each row.

    Raises:
        PipelineError: when the header is not the reference system's.
    """
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if tuple(header) != REFERENCE_COLUMNS:
        raise PipelineError(f"{path} is no results file: its header differs from the {len(REFERENCE_COLUMNS)} columns")
    width = len(_CSV_METRICS)
    return [
        (
            _number(row[0]),
            int(row[1]),
            {
                name: SimilarityMetrics(
                    **dict(zip(_CSV_METRICS, map(float, row[2 + i * width :][:width]), strict=True))
                )
                for i, name in enumerate(SIMILARITIES)
            },
        )
        for row in rows
    ]


def _number(text: str) -> float:
    """An integer where the text is one, so that a file is written back as it was read."""
    number: float = json.loads(text)
    return number
