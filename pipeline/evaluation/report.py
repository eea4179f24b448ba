"""An evaluation as a value: what it holds, and fair comparison."""

import base64
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import AwareDatetime, Field

from pipeline.core.errors import PipelineError
from pipeline.core.files import content_version
from pipeline.core.values import FrozenModel, Interval, StoredValue, Upgrade
from pipeline.evaluation.measurement import TaskMetrics
from pipeline.evaluation.metric_values import SimilarityMetrics, ThresholdMetrics
from pipeline.evaluation.results_csv import Stage
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import DataOrigin

COMPARED = ("ap", "roc_auc", "accuracy", "f1", "precision", "recall", "mcc")
"""The metrics of which two reports are subtracted."""

ThresholdKind = Literal["dev", "oracle"]
THRESHOLDS: dict[ThresholdKind, str] = {
    "dev": "Thresholds were chosen on the dev split.",
    "oracle": "Thresholds are oracle: chosen on these very pairs, as there is no dev split, so accuracy and F1 are "
    "upper bounds.",
}


class ReliabilityBin(FrozenModel):
    """Pairs of like probability.

    Attributes:
        pairs: how many.
        probability: their mean probability.
        observed: the share of duplicates among them.
    """

    pairs: int
    probability: float
    observed: float


class Calibration(FrozenModel):
    """Platt's calibration: probability = 1 / (1 + exp(-(`slope` × cosine + `intercept`))).

    J. Platt, "Probabilistic outputs for support vector machines", 1999, by scikit-learn's logistic regression without a
    penalty. Fitted on the dev split, judged on the eval split.

    Attributes:
        fitted_on: pairs of the dev split.
        brier: mean squared difference of probability and label; 0 is best.
        expected_calibration_error: mean gap of probability and share of duplicates over 15 bins of equally many pairs.
        bins: those bins, of ascending probability.
    """

    slope: float
    intercept: float
    fitted_on: int
    brier: float
    expected_calibration_error: float
    bins: list[ReliabilityBin]


SEEN = "questions seen in training"
"""Name of the slices that explain the gap between the split strategies."""


class Slice(FrozenModel):
    """Eval pairs that have something in common.

    Attributes:
        name: what they are sorted by, such as `length`.
        value: which of its values they have.
        pairs: how many.
        positive_rate: share of duplicates among them: average precision can't be compared without it.
        ap: cosine average precision; None where all pairs are of one class.
    """

    name: str
    value: str
    pairs: int
    positive_rate: float
    ap: Interval | None


class Mistake(FrozenModel):
    """A pair that the model and the label see differently; some are wrong labels.

    Attributes:
        score: cosine.
    """

    pair_id: int
    question1: str
    question2: str
    is_duplicate: bool
    score: float


_VERSIONED_ORACLE = ("accuracy", "accuracy_threshold", "f1", "precision", "recall", "f1_threshold", "ap")
_VERSIONED_OPERATING = ("roc_auc", "mcc", *_VERSIONED_ORACLE)
_VERSIONED_INTERVAL = ("estimate", "low", "high")
"""Fields that make the version of a report. They stay these: a metric that is added must not give every stored report
another version, as it couldn't be read any more."""


def _versioned(parts: Mapping[str, FrozenModel], fields: tuple[str, ...]) -> dict[str, dict[str, float]]:
    return {name: {field: getattr(part, field) for field in fields} for name, part in parts.items()}


class EvaluationReport(StoredValue):
    """How one model does on one split.

    Attributes:
        stage: `pre_train` for a base model, `post_train` for a fine-tuned one.
        model: the model that was evaluated.
        eval_version: data version of the eval split.
        dev_version: data version of the dev split, which thresholds come from.
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
        task_intervals: of the figures of `tasks`, by their names; empty where an earlier release measured them.
        task_gains: of the same, this report minus the baseline on the same draws; empty in a baseline's own report, and
            where the two can't be compared draw by draw.
        mistakes: the non-duplicates with the highest and the duplicates with the lowest cosine.
        cosine_scores: of each eval pair: base64 of little-endian float32.
        labels: of the same pairs: base64 of one bit each, as `numpy.packbits` packs them.
        seconds: wall-clock time of embedding and scoring.
        questions: distinct questions embedded in that time.
        device: what it ran on.
        precision: of the embedding, `fp32` or `bf16`.
        evaluated_at: when the report was made, in UTC.
        training: how the model was made; None for a base model.
        baseline: the report that `gains` refers to, whole, so that before and after can be drawn from one file; None in
            a baseline's own report.
    """

    stored_name: ClassVar[str] = "EvaluationReport"
    schema_number: ClassVar[int] = 2
    upgrades: ClassVar[Mapping[int, Upgrade]] = {
        1: lambda fields: {
            **fields,
            "tasks": fields["tasks"] and {**fields["tasks"], "resampled": None},
            "task_intervals": {},
            "task_gains": {},
        }
    }

    stage: Stage
    model: ModelInfo
    eval_version: str
    dev_version: str
    train_version: str
    origin: DataOrigin
    pairs: int
    positive_rate: float
    threshold_kind: ThresholdKind
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
    labels: str
    seconds: float
    questions: int
    device: str
    precision: str
    evaluated_at: AwareDatetime
    task_intervals: dict[str, Interval] = Field(default_factory=dict)
    task_gains: dict[str, Interval] = Field(default_factory=dict)
    training: FineTunedModel | None = None
    baseline: "EvaluationReport | None" = None

    @property
    def data_version(self) -> str:
        """Hash of the result and what it was measured on; speed, device and folders don't count."""
        values = {
            "oracle": _versioned(self.oracle, _VERSIONED_ORACLE),
            "operating": _versioned(self.operating, _VERSIONED_OPERATING),
            "gains": _versioned(self.gains, _VERSIONED_INTERVAL),
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
    def baseline_tasks(self) -> TaskMetrics | None:
        """Duplicate mining and retrieval of the baseline; None where it did them on other questions, or not at all."""
        before = self.baseline.tasks if self.baseline else None
        if before is None or self.tasks is None:
            return None
        of_both = [(tasks.questions, tasks.duplicate_pairs, tasks.queries) for tasks in (before, self.tasks)]
        return before if of_both[0] == of_both[1] else None

    @property
    def scores(self) -> np.ndarray:
        """Cosine of each eval pair: float32 of shape (pairs,)."""
        return np.frombuffer(base64.b64decode(self.cosine_scores), dtype="<f4")

    @property
    def is_duplicate(self) -> np.ndarray:
        """Label of each eval pair: bool of shape (pairs,)."""
        packed = np.frombuffer(base64.b64decode(self.labels), dtype=np.uint8)
        return np.unpackbits(packed, count=self.pairs).astype(bool)

    @property
    def unseen(self) -> Slice | None:
        """The pairs of which training has seen neither question; None where there are none."""
        return next((part for part in self.slices if part.name == SEEN and part.value == "none"), None)


def require_comparable(report: EvaluationReport, baseline: EvaluationReport) -> None:
    """Refuse to compare what was measured on other pairs or with another kind of threshold.

    Raises:
        PipelineError: naming both.
    """
    for what, mine, other in (
        ("eval data version", report.eval_version, baseline.eval_version),
        ("kind of threshold", report.threshold_kind, baseline.threshold_kind),
    ):
        if mine != other:
            raise PipelineError(
                f"reports can't be compared: the {what} is {mine} for {report.model.name} and {other} for the "
                f"baseline {baseline.model.name}",
                make_again="baseline report",
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
