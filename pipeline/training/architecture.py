"""What the training engine asks of a kind of model. All else is the same for every kind."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from pipeline.core.progress import OnProgress
from pipeline.evaluation.metric_values import SimilarityMetrics
from pipeline.models.decision import Decision
from pipeline.models.info import ModelInfo, ModelProperties
from pipeline.models.precision import Precision
from pipeline.question_pairs.schema import PairTable
from pipeline.training.batches import Collator
from pipeline.training.pairs import TrainingPairs
from pipeline.training.recipe import Recipe

Evaluation = tuple[float, int, dict[str, SimilarityMetrics]]
"""(epoch, step, metrics on the dev split by the name of the score)."""


@dataclass(frozen=True)
class Prepared:
    """The training pairs, ready for a model.

    Attributes:
        collator: makes batches of them.
        layout: `packed`, or `padded` with the reason.
        truncated: how many distinct questions, or pairs that are read at once, were cut to the model's limit.
    """

    collator: Collator
    layout: str
    truncated: int


class Architecture(ABC):
    """A kind of model that can be trained.

    Attributes:
        scores: names of the scores of a pair, for each of which `evaluate` has metrics.
        deciding: the one whose average precision decides which checkpoint is the best.
    """

    scores: ClassVar[Sequence[str]]
    deciding: ClassVar[str]

    @abstractmethod
    def load(self, base_model: ModelInfo, device: str, recipe: Recipe) -> Any:
        """The model to train, in fp32.

        Raises:
            PipelineError: when it can't be loaded, or is of a kind that can't be trained so.
        """

    @abstractmethod
    def prepared(self, model: Any, pairs: TrainingPairs, recipe: Recipe) -> AbstractContextManager[Prepared]:
        """Tokenise the pairs. The model takes the batches within the block."""

    @abstractmethod
    def loss(self, model: Any, recipe: Recipe, precision: Precision) -> nn.Module:
        """A module that takes the features and the rest of a batch, and gives the weighted sum of all losses."""

    @abstractmethod
    def evaluate(self, model: Any, dev: PairTable, on_progress: OnProgress) -> dict[str, SimilarityMetrics]:
        """The metrics of each of `scores` on the dev split, in fp32.

        Raises:
            PipelineError: when scores are not finite.
        """

    @abstractmethod
    def reopened(self, checkpoint: Path) -> Any:
        """The model that a checkpoint holds, on the CPU and in fp32."""

    @abstractmethod
    def add_results(self, folder: Path, evaluations: Sequence[Evaluation]) -> None:
        """Put the results of the evaluations, at least one, into the folder of the fine-tuned model."""

    @abstractmethod
    def decide(self, model: Any, version: str, dev: PairTable, on_progress: OnProgress) -> Decision | None:
        """From which score on pairs count as duplicates; None where the kind of model, or the dev split, can't say."""

    @abstractmethod
    def properties(self, base: ModelProperties | None, model: Any) -> ModelProperties | None:
        """How the fine-tuned model makes embeddings, by what is known of its base model; None where it isn't known."""
