"""What travels to a container and back: JSON and bytes, never pickled objects of this project."""

from typing import Self

from pipeline.core.values import FROM_STORE, FrozenModel, Stored
from pipeline.evaluation.options import EvaluationOptions
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.training.recipe import Recipe


class _Message(FrozenModel):
    @classmethod
    def from_json(cls, text: str) -> Self:
        """The message that was sent, with the stored values in it."""
        return cls.model_validate_json(text, context=FROM_STORE)


class TrainingMessage(_Message):
    """Asks for a training.

    Attributes:
        volume: the run's Volume; its root is the run folder.
        train_version, dev_version: data versions of splits that lie in the inputs' Volume.
        teacher: where the recipe names one.
        needs_gpu: whether to refuse to work on a CPU.
        for_people: print progress for people who read the log; else as events for a client that follows it.
    """

    volume: str
    train_version: str
    dev_version: str
    base_model: ModelInfo
    recipe: Recipe
    needs_gpu: bool
    for_people: bool
    teacher: ModelInfo | None = None


class MeasuringMessage(_Message):
    """Asks for a measurement; see `TrainingMessage`."""

    model: ModelInfo
    eval_version: str
    dev_version: str
    options: EvaluationOptions
    needs_gpu: bool
    for_people: bool


class CheckMessage(_Message):
    """Asks to hash a finished run's files and hold them against its manifest.

    Attributes:
        fingerprint: of the training that the run is expected to hold; None where any will do.
    """

    fingerprint: str | None


class LookMessage(_Message):
    """Asks to look at a base model, on a CPU."""

    model: ModelInfo


class EmbeddingMessage(_Message):
    """Asks to embed questions in fp32."""

    model: ModelInfo
    questions: list[str]


class Outcome(Stored):
    """What a container gives back. An older release's container may have written it.

    Attributes:
        error: one line that the user can act on; None when all went well. Such an error is not retried.
        result: of a training; None elsewhere, and for a run that isn't finished.
        gpu: what CUDA calls the GPU; `none` on CPUs.
        seconds: of the attempt that ended.
    """

    error: str | None = None
    result: FineTunedModel | None = None
    gpu: str = "none"
    seconds: float = 0.0
