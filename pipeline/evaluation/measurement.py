"""Settings and results of a measurement, as plain values that can be sent to another machine and back."""

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from pydantic import Field

from pipeline.core.errors import DamagedError, reason_of
from pipeline.core.values import FrozenModel
from pipeline.models.options import TOKEN_BUDGET, Device, PrecisionChoice

SIMILARITIES = ("cosine", "manhattan", "euclidean", "dot")
"""In the order of the reference system's CSV."""

LOWER_IS_BETTER = ("manhattan", "euclidean")
"""Distances: a pair counts as a duplicate at or below the threshold."""


class EvaluationOptions(FrozenModel):
    """How a model is measured for a report."""

    device: Device = Field(default="auto", description="Where to embed: `auto` takes a GPU where there is one.")
    precision: PrecisionChoice = Field(
        default="auto",
        description="Precision of the embedding: `auto` takes bf16 (autocast) where it is faster. Scores are always "
        "fp32.",
    )
    token_budget: int = Field(
        default=TOKEN_BUDGET,
        ge=64,
        le=1_048_576,
        description="Maximum tokens of a forward pass. Changes only the speed.",
    )
    task_questions: int = Field(
        default=10_000,
        ge=0,
        le=100_000,
        description="Maximum number of questions for duplicate mining and retrieval, taken from the first eval pairs; "
        "0 leaves both out. The work grows with the square.",
    )


class SimilarityMetrics(FrozenModel):
    """The metrics of one similarity at its best thresholds.

    Thresholds are in the unit of the similarity; everything else is between 0 and 1. Precision and recall are at the
    threshold of the best F1. `ap` is average precision, which needs no threshold.
    """

    accuracy: float
    accuracy_threshold: float
    f1: float
    precision: float
    recall: float
    f1_threshold: float
    ap: float


class ThresholdMetrics(FrozenModel):
    """The metrics of one similarity at thresholds that were chosen before, and those that need no threshold.

    Attributes:
        ap: average precision.
        roc_auc: area under the ROC curve.
        accuracy: at `accuracy_threshold`.
        f1, precision, recall, mcc: at `f1_threshold`; `mcc` is Matthews' correlation coefficient, between -1 and 1.
    """

    ap: float
    roc_auc: float
    accuracy: float
    accuracy_threshold: float
    f1: float
    precision: float
    recall: float
    mcc: float
    f1_threshold: float


class ResampledTasks(FrozenModel):
    """The metrics of `TaskMetrics` in every replicate of a bootstrap, from which intervals are computed.

    Attributes:
        draws: hash of the draws. Two models are compared replicate by replicate only if it is the same for both.
        figures: for each name of a metric, base64 of little-endian float32 of shape (replicates,).
    """

    draws: str
    figures: dict[str, str]

    @classmethod
    def of(cls, draws: str, figures: Mapping[str, np.ndarray]) -> Self:
        """Pack arrays of shape (replicates,)."""
        packed = {name: base64.b64encode(values.astype("<f4").tobytes()).decode() for name, values in figures.items()}
        return cls(draws=draws, figures=packed)

    def figure(self, name: str) -> np.ndarray:
        """One metric in every replicate: float32 of shape (replicates,)."""
        return np.frombuffer(base64.b64decode(self.figures[name]), dtype="<f4")


class TaskMetrics(FrozenModel):
    """Duplicate mining and retrieval, the two other tasks of sentence-transformers' Quora examples, on eval questions.

    Attributes:
        questions: number of distinct texts that are searched.
        duplicate_pairs: pairs of them that are duplicates by their labels, or by a chain of labels.
        mining_ap: average precision of the most similar pairs, as `ParaphraseMiningEvaluator` defines it.
        mining_f1, mining_precision, mining_recall: at the threshold with the best F1.
        mining_threshold: that threshold, a cosine.
        queries: number of questions that have a duplicate among the others.
        mrr_at_10, ndcg_at_10, recall_at_1, recall_at_10, recall_at_100: as in `InformationRetrievalEvaluator`.
        resampled: for intervals; None if an earlier release measured these.
    """

    questions: int
    duplicate_pairs: int
    mining_ap: float
    mining_f1: float
    mining_precision: float
    mining_recall: float
    mining_threshold: float
    queries: int
    mrr_at_10: float
    ndcg_at_10: float
    recall_at_1: float
    recall_at_10: float
    recall_at_100: float
    resampled: ResampledTasks | None = None


@dataclass(frozen=True)
class Measurement:
    """What a model was measured to do on the eval and dev splits. A report is made from it without the model.

    Attributes:
        eval_scores: for each of `SIMILARITIES`, float32 of shape (eval pairs,), in the order of the eval split.
        dev_scores: the same for the dev split; of shape (0,) if that is empty.
        tasks: duplicate mining and retrieval; None if they were left out, or no eval question has a duplicate.
        seconds: wall-clock time of embedding and scoring.
        questions: number of distinct texts that were embedded.
        device: the device, such as `cpu (2 threads)`.
        precision: of the embedding, `fp32` or `bf16` (autocast). Scores are always fp32.
    """

    eval_scores: dict[str, np.ndarray]
    dev_scores: dict[str, np.ndarray]
    tasks: TaskMetrics | None
    seconds: float
    questions: int
    device: str
    precision: str

    def to_bytes(self) -> bytes:
        """A NumPy archive without pickled objects."""
        header = {
            "tasks": self.tasks.model_dump() if self.tasks else None,
            "seconds": self.seconds,
            "questions": self.questions,
            "device": self.device,
            "precision": self.precision,
        }
        arrays: dict[str, Any] = {
            f"{split}_{name}": scores[name].astype("<f4")
            for split, scores in (("eval", self.eval_scores), ("dev", self.dev_scores))
            for name in SIMILARITIES
        }
        buffer = io.BytesIO()
        np.savez(buffer, header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8), **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Measurement":
        """The reverse of `to_bytes`.

        Raises:
            DamagedError: when `to_bytes` did not write these bytes.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                header = json.loads(archive["header"].tobytes())
                scores = {
                    split: {name: archive[f"{split}_{name}"] for name in SIMILARITIES} for split in ("eval", "dev")
                }
            tasks = header.pop("tasks")
            return cls(scores["eval"], scores["dev"], TaskMetrics(**tasks) if tasks else None, **header)
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise DamagedError(
                f"a measurement of {len(data):,} bytes can't be read ({reason_of(error)}): evaluate again",
                bytes=len(data),
            ) from error
