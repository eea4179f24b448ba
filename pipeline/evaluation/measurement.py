"""What a model's evaluation measures, as plain numbers that travel from the machine that embeds to the report."""

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.values import FrozenModel
from pipeline.evaluation.metric_values import SIMILARITIES


class ResampledTasks(FrozenModel):
    """Figures of `TaskMetrics` in every replicate of a bootstrap: what intervals are made of.

    Attributes:
        draws: version of what was drawn how often. The figures of two models are subtracted where it is the same.
        figures: by their names in `TaskMetrics`, base64 of little-endian float32 of shape (replicates,).
    """

    draws: str
    figures: dict[str, str]

    @classmethod
    def of(cls, draws: str, figures: Mapping[str, np.ndarray]) -> Self:
        """Pack arrays of shape (replicates,)."""
        packed = {name: base64.b64encode(values.astype("<f4").tobytes()).decode() for name, values in figures.items()}
        return cls(draws=draws, figures=packed)

    def figure(self, name: str) -> np.ndarray:
        """One figure in every replicate: float32 of shape (replicates,)."""
        return np.frombuffer(base64.b64decode(self.figures[name]), dtype="<f4")


class TaskMetrics(FrozenModel):
    """The two other tasks of sentence-transformers' Quora examples, on eval questions; all but counts in 0..1.

    Attributes:
        questions: distinct questions among which duplicates are sought.
        duplicate_pairs: pairs of them that the labels say, or imply by a chain, ask the same.
        mining_ap: average precision of the most similar pairs, as `ParaphraseMiningEvaluator` defines it.
        mining_f1, mining_precision, mining_recall: at the threshold with the best F1.
        mining_threshold: that cosine similarity.
        queries: questions that have a duplicate in the corpus of the others.
        mrr_at_10, ndcg_at_10, recall_at_1, recall_at_10, recall_at_100: as `InformationRetrievalEvaluator`.
        resampled: for intervals; None in what earlier releases measured.
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
    """How similar a model finds the pairs of two splits. A report is made from it without the model.

    Attributes:
        eval_scores: for each of `SIMILARITIES`, float32 of shape (eval pairs,), in the order of the eval split.
        dev_scores: the same for the dev split; shape (0,) without one.
        tasks: duplicate mining and retrieval; None where they were left out, or no eval question has a duplicate.
        seconds: wall-clock time of loading, embedding and scoring.
        questions: distinct questions that were embedded.
        device: what it ran on, such as `cpu (2 threads)`.
        precision: `fp32` or `bf16` (autocast); scores are fp32 in any case.
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
            PipelineError: for bytes that it didn't make.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                header = json.loads(archive["header"].tobytes())
                scores = {
                    split: {name: archive[f"{split}_{name}"] for name in SIMILARITIES} for split in ("eval", "dev")
                }
            tasks = header.pop("tasks")
            return cls(scores["eval"], scores["dev"], TaskMetrics(**tasks) if tasks else None, **header)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise PipelineError(
                f"a measurement of {len(data):,} bytes can't be read ({error}): evaluate again"
            ) from error
