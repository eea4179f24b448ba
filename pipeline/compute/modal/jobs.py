"""What travels to a container and back: JSON and bytes, never pickled objects of this project."""

from pydantic import BaseModel, ConfigDict

from pipeline.core.references import FineTunedModel, ModelReference
from pipeline.evaluation.measuring import EvaluationOptions
from pipeline.training.recipe import Recipe


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingJob(_Message):
    """An order to fine-tune.

    Attributes:
        volume: the run's Volume; its root is the run folder.
        train_version, dev_version: data versions of splits that lie in the inputs' Volume.
        needs_gpu: whether to refuse to work on a CPU.
        for_people: print progress for people who read the log; else as events for a client that follows it.
    """

    volume: str
    train_version: str
    dev_version: str
    base_model: ModelReference
    recipe: Recipe
    needs_gpu: bool
    for_people: bool


class EvaluationJob(_Message):
    """An order to measure a model; see `TrainingJob`."""

    model: ModelReference
    eval_version: str
    dev_version: str
    options: EvaluationOptions
    needs_gpu: bool
    for_people: bool


class SealJob(_Message):
    """An order to check a finished run's files against its seal.

    Attributes:
        fingerprint: of the training that the run is expected to hold.
    """

    fingerprint: str


class EmbeddingJob(_Message):
    """An order to embed a few questions, on a CPU and in fp32."""

    model: ModelReference
    questions: list[str]


class Outcome(_Message):
    """What a container gives back.

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
