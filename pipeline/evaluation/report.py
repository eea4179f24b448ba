"""The report of an evaluation as a stored value, and the comparison of two reports."""

import base64
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import AwareDatetime, Field

from pipeline.core.errors import MismatchError
from pipeline.core.files import content_version
from pipeline.core.values import FrozenModel, Interval, StoredValue, Upgrade
from pipeline.evaluation.measurement import SimilarityMetrics, TaskMetrics, ThresholdMetrics
from pipeline.evaluation.results_csv import Stage
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import DataOrigin

COMPARED = ("ap", "roc_auc", "accuracy", "f1", "precision", "recall", "mcc")
"""The metrics whose differences between two reports are shown."""

ThresholdKind = Literal["dev", "oracle"]
THRESHOLDS: dict[ThresholdKind, str] = {
    "dev": "Thresholds were chosen on the dev split.",
    "oracle": "Thresholds are oracle thresholds: they were chosen on these same pairs, because there is no dev split. "
    "So accuracy and F1 are upper bounds.",
}


class ReliabilityBin(FrozenModel):
    """A bin of pairs with similar probabilities.

    Attributes:
        pairs: number of pairs.
        probability: mean of their probabilities.
        observed: share of duplicates among them.
    """

    pairs: int
    probability: float
    observed: float


class Calibration(FrozenModel):
    """Platt scaling of cosine, fitted on the dev split and measured on the eval split.

    probability = 1 / (1 + exp(-(`slope` × cosine + `intercept`)))

    Attributes:
        fitted_on: number of pairs that it was fitted on.
        brier: Brier score, the mean squared difference between probability and label; 0 is best.
        expected_calibration_error: mean difference between probability and share of duplicates, over 15 bins of equal
            size.
        bins: these bins, by ascending probability.
    """

    slope: float
    intercept: float
    fitted_on: int
    brier: float
    expected_calibration_error: float
    bins: list[ReliabilityBin]


SEEN = "questions seen in training"
"""Name of the slices that explain why split strategies give different results."""


class Slice(FrozenModel):
    """Eval pairs that have a property in common.

    Attributes:
        name: the property, such as `numbers`.
        value: its value, such as `different`.
        pairs: number of pairs.
        positive_rate: share of duplicates among them, on which average precision depends.
        ap: cosine average precision; None if all pairs are of one class.
    """

    name: str
    value: str
    pairs: int
    positive_rate: float
    ap: Interval | None


class Mistake(FrozenModel):
    """A pair whose cosine contradicts its label. Sometimes the label is wrong.

    Attributes:
        score: the cosine.
    """

    pair_id: int
    question1: str
    question2: str
    is_duplicate: bool
    score: float


_VERSIONED_ORACLE = ("accuracy", "accuracy_threshold", "f1", "precision", "recall", "f1_threshold", "ap")
_VERSIONED_OPERATING = ("roc_auc", "mcc", *_VERSIONED_ORACLE)
_VERSIONED_INTERVAL = ("estimate", "low", "high")
"""The fields that a report's version is computed from. They must not change: if a new metric changed the version of
every stored report, none of them could be read any more."""


def _versioned(parts: Mapping[str, FrozenModel], fields: tuple[str, ...]) -> dict[str, dict[str, float]]:
    return {name: {field: getattr(part, field) for field in fields} for name, part in parts.items()}


class EvaluationReport(StoredValue):
    """The results of one model on one eval split.

    Attributes:
        stage: `pre_train` for a base model, `post_train` for a fine-tuned one.
        model: the model that was evaluated.
        eval_version: data version of the eval split.
        dev_version: data version of the dev split, on which thresholds are chosen.
        train_version: data version of the training split, which slices refer to.
        origin: where the eval pairs came from.
        pairs: number of eval pairs.
        positive_rate: share of duplicates among them, on which average precision depends.
        threshold_kind: `dev`: thresholds were chosen on the dev split; `oracle`: on the eval pairs themselves, so
            accuracy and F1 are upper bounds.
        oracle: for each similarity, the metrics at the best thresholds for the eval pairs, as in the reference system's
            CSV.
        operating: for each similarity, the metrics at the thresholds of `threshold_kind`.
        intervals: of cosine's `ap`, `accuracy` and `f1` in `operating`.
        gains: this report's `ap`, `accuracy` and `f1` minus the baseline's, with paired intervals; empty in a
            baseline's own report.
        calibration: of cosine; None without a dev split.
        slices: cosine average precision of parts of the pairs.
        graph_only_ap: average precision of a classifier that sees which questions are paired, but no text; None when it
            couldn't be trained.
        tasks: duplicate mining and retrieval.
        task_intervals: of the metrics of `tasks`, by name; empty when an earlier release measured them.
        task_gains: the same metrics minus the baseline's on the same draws; empty in a baseline's own report, and when
            the draws differ.
        mistakes: the non-duplicates with the highest and the duplicates with the lowest cosine.
        cosine_scores: of each eval pair: base64 of little-endian float32.
        labels: of each eval pair: base64 of one bit each, as `numpy.packbits` packs them.
        seconds: wall-clock time of embedding and scoring.
        questions: number of distinct texts that were embedded in that time.
        device: the device that embedded them.
        precision: of the embedding, `fp32` or `bf16`.
        evaluated_at: when the report was made, in UTC.
        training: how the model was trained; None for a base model.
        baseline: the whole report that `gains` refers to, so that one file is enough to show before and after; None in
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
        """Hash of the results and what they were measured on, regardless of speed, device and folders."""
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
        """The metrics of cosine, which headlines show."""
        return self.operating["cosine"]

    @property
    def ap_gain(self) -> Interval | None:
        """The gain in cosine average precision over the baseline; None in a baseline's own report."""
        return self.gains.get("ap")

    @property
    def baseline_tasks(self) -> TaskMetrics | None:
        """Duplicate mining and retrieval of the baseline; None if it did them on other questions, or not at all."""
        before = self.baseline.tasks if self.baseline else None
        if before is None or self.tasks is None:
            return None
        of_both = [(tasks.questions, tasks.duplicate_pairs, tasks.queries) for tasks in (before, self.tasks)]
        return before if of_both[0] == of_both[1] else None

    @property
    def scores(self) -> np.ndarray:
        """The cosine of each eval pair: float32 of shape (pairs,)."""
        return np.frombuffer(base64.b64decode(self.cosine_scores), dtype="<f4")

    @property
    def is_duplicate(self) -> np.ndarray:
        """The label of each eval pair: bool of shape (pairs,)."""
        packed = np.frombuffer(base64.b64decode(self.labels), dtype=np.uint8)
        return np.unpackbits(packed, count=self.pairs).astype(bool)

    @property
    def unseen(self) -> Slice | None:
        """The slice of pairs with two questions that are new to the model; None if there are no such pairs."""
        return next((part for part in self.slices if part.name == SEEN and part.value == "none"), None)


def require_comparable(baseline: EvaluationReport, eval_version: str, threshold_kind: ThresholdKind) -> None:
    """Refuse a baseline report on other pairs or with another kind of threshold.

    Args:
        eval_version: data version of the eval pairs that are compared.
        threshold_kind: their kind of threshold.

    Raises:
        MismatchError: with both values.
    """
    for what, its, current in (
        ("eval data version", baseline.eval_version, eval_version),
        ("kind of threshold", baseline.threshold_kind, threshold_kind),
    ):
        if its != current:
            raise MismatchError(
                f"the baseline report of {baseline.model.name} can't be used: its {what} is {its}, but the current one "
                f"is {current}",
                make_again="baseline report",
                what=what,
                baseline=its,
                current=current,
            )


def compare(report: EvaluationReport, baseline: EvaluationReport) -> dict[str, dict[str, float]]:
    """Return `report` minus `baseline`, for each similarity and each metric of `COMPARED`.

    Raises:
        MismatchError: when they are about different pairs or have different kinds of threshold.
    """
    require_comparable(baseline, report.eval_version, report.threshold_kind)
    return {
        name: {metric: getattr(report.operating[name], metric) - getattr(other, metric) for metric in COMPARED}
        for name, other in baseline.operating.items()
    }
