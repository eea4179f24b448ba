"""The interface between the assets and the machine that fine-tunes and evaluates."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipeline.evaluation.evaluate import EvaluationOptions
from pipeline.evaluation.measurement import Measurement
from pipeline.finetuning.recipe import Recipe
from pipeline.progress import OnProgress
from pipeline.question_pairs.schema import PairTable
from pipeline.references import FineTunedModel, ModelReference


@dataclass(frozen=True)
class RunIdentity:
    """What names a training run's folder.

    Attributes:
        owner: the same for all tries of a run, so that a retry finds its own folder and resumes.
        unix_time: creation time of the first try, in seconds.
    """

    owner: str
    unix_time: int


class Compute(Protocol):
    """Fine-tunes and evaluates models."""

    def fine_tune(
        self,
        train: PairTable,
        dev: PairTable,
        base_model: ModelReference,
        recipe: Recipe,
        run: RunIdentity,
        on_progress: OnProgress,
    ) -> FineTunedModel:
        """Train, and leave a sealed run folder.

        Raises:
            PipelineError: when it can't be done.
        """
        ...

    def evaluate(
        self,
        model: ModelReference,
        eval_split: PairTable,
        dev_split: PairTable,
        options: EvaluationOptions,
        on_progress: OnProgress,
    ) -> Measurement:
        """Measure a model on both splits; the report is made from that without the model.

        Raises:
            PipelineError: when it can't be done.
        """
        ...

    def verify(self, model: FineTunedModel) -> int:
        """Hash every file of the model and hold it against its manifest; returns how many there are.

        Raises:
            PipelineError: when the run folder isn't sealed, is another model's, or a file is not the one sealed.
        """
        ...

    def embed(self, model: ModelReference, questions: list[str]) -> np.ndarray:
        """Embed a few questions in fp32: float32 of shape (len(questions), dimensions).

        Raises:
            PipelineError: when the model can't be loaded.
        """
        ...
