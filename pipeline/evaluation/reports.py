"""An evaluation as a value: its JSON, Markdown for the UI and the model card, and fair comparison."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.errors import PipelineError
from pipeline.evaluation.calibration import CALIBRATION_FILE_NAME, Calibration
from pipeline.evaluation.measurement import TaskMetrics
from pipeline.evaluation.metrics import SimilarityMetrics, ThresholdMetrics
from pipeline.evaluation.results_csv import Stage, csv_row, csv_text, results_file_name
from pipeline.evaluation.slices import SEEN, Slice
from pipeline.references import DataOrigin, Interval, ModelReference, Reference
from pipeline.storage import content_version, json_text, write_text

COMPARED = ("ap", "roc_auc", "accuracy", "f1", "precision", "recall", "mcc")
"""The metrics of which two reports are subtracted."""

_TASKS = {
    "mining_ap": "duplicate mining, AP",
    "mining_f1": "duplicate mining, best F1",
    "mrr_at_10": "retrieval, MRR@10",
    "ndcg_at_10": "retrieval, nDCG@10",
    "recall_at_1": "retrieval, recall@1",
    "recall_at_10": "retrieval, recall@10",
    "recall_at_100": "retrieval, recall@100",
}
THRESHOLDS = {
    "dev": "Thresholds were chosen on `dev_split`.",
    "oracle": "Thresholds are oracle: chosen on these very pairs, as there is no dev split, so accuracy and F1 are "
    "upper bounds.",
}


class Mistake(BaseModel):
    """A pair that the model and the label see differently; some are wrong labels.

    Attributes:
        score: cosine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pair_id: int
    question1: str
    question2: str
    is_duplicate: bool
    score: float


class EvaluationReport(Reference):
    """How one model does on one split.

    Attributes:
        stage: `pre_train` for a base model, `post_train` for a fine-tuned one.
        model: the model that was evaluated.
        eval_version: data version of the eval split.
        train_version: data version of the training split, which slices refer to.
        origin: where the eval rows came from.
        pairs: number of eval pairs.
        positive_rate: share of duplicates: average precision depends on it.
        threshold_kind: `dev`: chosen on the dev split; `oracle`: the best on these very pairs, which flatters.
        oracle: for each similarity, at the best thresholds for these very pairs: what the reference's CSV holds.
        operating: for each similarity, at the thresholds of `threshold_kind`.
        intervals: of cosine's `ap`, `accuracy` and `f1` in `operating`.
        gains: of the same, this report minus the baseline, pair by pair; empty in a baseline's own report.
        calibration: of cosine; None without a dev split.
        slices: cosine average precision of parts of the pairs.
        graph_only_ap: average precision of a classifier that sees who was paired with whom, but no text; None when it
            couldn't learn.
        tasks: duplicate mining and retrieval.
        mistakes: the non-duplicates with the highest and the duplicates with the lowest cosine.
        cosine_scores: of each eval pair: base64 of little-endian float32. Another report is compared with it.
        seconds: wall-clock time of embedding and scoring.
        questions: distinct questions embedded in that time.
        device: what it ran on.
        precision: of the embedding, `fp32` or `bf16`.
    """

    stage: Stage
    model: ModelReference
    eval_version: str
    train_version: str
    origin: DataOrigin
    pairs: int
    positive_rate: float
    threshold_kind: Literal["dev", "oracle"]
    oracle: dict[str, SimilarityMetrics]
    operating: dict[str, ThresholdMetrics]
    intervals: dict[str, Interval]
    gains: dict[str, Interval]
    calibration: Calibration | None
    slices: list[Slice]
    graph_only_ap: float | None
    tasks: TaskMetrics | None
    mistakes: list[Mistake]
    cosine_scores: str
    seconds: float
    questions: int
    device: str
    precision: str

    @property
    def data_version(self) -> str:
        """Hash of the result and what it was measured on; speed, device and folders don't count."""
        values = {
            name: {key: metrics.model_dump() for key, metrics in part.items()}
            for name, part in (("oracle", self.oracle), ("operating", self.operating), ("gains", self.gains))
        }
        return content_version(
            [self.stage, self.model.version, self.eval_version, self.train_version, self.threshold_kind, values]
        )

    @property
    def cosine(self) -> ThresholdMetrics:
        """The metrics that headlines show."""
        return self.operating["cosine"]

    @property
    def ap_gain(self) -> Interval | None:
        """How much more cosine average precision than the baseline; None in a baseline's own report."""
        return self.gains.get("ap")

    @property
    def scores(self) -> np.ndarray:
        """Cosine of each eval pair: float32 of shape (pairs,)."""
        return np.frombuffer(base64.b64decode(self.cosine_scores), dtype="<f4")

    @property
    def unseen(self) -> Slice | None:
        """The pairs of which training has seen neither question; None where there are none."""
        return next((part for part in self.slices if part.name == SEEN and part.value == "none"), None)

    def to_csv(self) -> str:
        """The reference system's file: its header, and one row with -1 for epoch and steps; oracle thresholds."""
        return csv_text([csv_row(self.oracle)])

    def heading(self) -> str:
        """What was measured on what, in one paragraph of Markdown."""
        origin = f"{self.pairs:,} pairs of {self.origin.source}{' (synthetic)' if self.origin.synthetic else ''}"
        return f"**{self.model.name}** on {origin}, {self.positive_rate:.1%} duplicates."

    def to_markdown(self, baseline: "EvaluationReport | None" = None) -> str:
        """The report as tables; with a baseline, the differences to it.

        Raises:
            PipelineError: when the two can't be compared.
        """
        differences = compare(self, baseline) if baseline else {}

        def cell(name: str, metric: str) -> str:
            value = f"{getattr(self.operating[name], metric):.4f}"
            return f"{value} ({differences[name][metric]:+.4f})" if baseline else value

        lines = [self.heading() + " " + THRESHOLDS[self.threshold_kind], "", *self._headline(), ""]
        lines += [f"| similarity | {' | '.join(COMPARED)} |", "|---" * (len(COMPARED) + 1) + "|"]
        for name in self.operating:
            lines.append(f"| {name} | {' | '.join(cell(name, metric) for metric in COMPARED)} |")
        if baseline:
            lines += ["", f"In brackets: the difference to the baseline, {baseline.model.name}."]
        lines += ["", *self._calibration(), "", *self._slices(baseline), "", *self._tasks(baseline)]
        return "\n".join(lines) + "\n"

    def _headline(self) -> Iterator[str]:
        yield "| cosine | value (95 % interval) | gain over the baseline |"
        yield "|---|---|---|"
        for metric, value in self.intervals.items():
            gain = self.gains[metric].signed if metric in self.gains else ""
            yield f"| {metric} | {value} | {gain} |"

    def _calibration(self) -> Iterator[str]:
        if self.calibration is None:
            yield "No calibrated probability: it is fitted on a dev split, and there is none."
        else:
            yield (
                f"Calibrated probability (Platt, fitted on {self.calibration.fitted_on:,} dev pairs): Brier score "
                f"{self.calibration.brier:.4f}, expected calibration error "
                f"{self.calibration.expected_calibration_error:.4f}."
            )

    def _slices(self, baseline: "EvaluationReport | None") -> Iterator[str]:
        before = {(part.name, part.value): part.ap for part in baseline.slices} if baseline else {}
        yield f"| slice | | pairs | duplicates | AP (95 % interval) |{' baseline AP |' if baseline else ''}"
        yield "|---" * (6 if baseline else 5) + "|"
        for part in self.slices:
            ap = str(part.ap) if part.ap else "one class only"
            row = f"| {part.name} | {part.value} | {part.pairs:,} | {part.positive_rate:.1%} | {ap} |"
            if baseline:
                other = before.get((part.name, part.value))
                row += f" {other.estimate:.4f} |" if other else " |"
            yield row
        if self.graph_only_ap is not None:
            yield ""
            yield (
                f"A classifier that sees only how often questions occur and with whom, but no text, gets an AP of "
                f"{self.graph_only_ap:.4f}: that much is in the way the pairs were collected."
            )

    def _tasks(self, baseline: "EvaluationReport | None") -> Iterator[str]:
        if self.tasks is None:
            yield "Duplicate mining and retrieval were not measured."
            return
        before = baseline.tasks if baseline else None
        yield f"| among {self.tasks.questions:,} eval questions | value |{' baseline |' if before else ''}"
        yield "|---" * (3 if before else 2) + "|"
        for key, label in _TASKS.items():
            other = f" {getattr(before, key):.4f} |" if before else ""
            yield f"| {label} | {getattr(self.tasks, key):.4f} |{other}"

    def files(self) -> Iterator[tuple[str, str]]:
        """What is stored beside the report's JSON: (file name, text)."""
        yield results_file_name(self.stage), self.to_csv()

    def write_results(self, run_folder: Path) -> None:
        """Put the CSV into a run folder, and beside it the report without its scores; and the calibration."""
        path = run_folder / results_file_name(self.stage)
        write_text(path.with_suffix(".json"), json_text(self.model_dump(exclude={"cosine_scores", "mistakes"})))
        write_text(path, self.to_csv())
        if self.stage == "post_train" and self.calibration:
            write_text(
                run_folder / CALIBRATION_FILE_NAME,
                json_text({"model": self.model.version, **self.calibration.model_dump(exclude={"bins"})}),
            )


def require_comparable(report: EvaluationReport, baseline: EvaluationReport) -> None:
    """Refuse to compare what was measured on other pairs or with another kind of threshold.

    Raises:
        PipelineError: naming both and the asset to rematerialise.
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


def compare(report: EvaluationReport, baseline: EvaluationReport) -> dict[str, dict[str, float]]:
    """Metric by metric of `COMPARED`, `report` minus `baseline`, for each similarity.

    Raises:
        PipelineError: when they were measured on other pairs or with another kind of threshold.
    """
    require_comparable(report, baseline)
    return {
        name: {metric: getattr(report.operating[name], metric) - getattr(other, metric) for metric in COMPARED}
        for name, other in baseline.operating.items()
    }
