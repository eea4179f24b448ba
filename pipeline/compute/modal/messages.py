"""The messages to containers and their answers: JSON and bytes, never pickled objects of this project."""

from collections.abc import Mapping
from typing import ClassVar, Self

from pipeline.core import errors
from pipeline.core.errors import PipelineError, UnavailableError
from pipeline.core.values import FROM_STORE, FrozenModel, Stored, Upgrade
from pipeline.evaluation.measurement import EvaluationOptions
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.training.recipe import Recipe


class _Message(FrozenModel):
    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse a message, upgrading the stored values in it."""
        return cls.model_validate_json(text, context=FROM_STORE)


class TrainingMessage(_Message):
    """Asks for a training.

    Attributes:
        volume: the run's Volume, whose root is the run folder.
        train_version, dev_version: data versions of splits in the Volume of inputs.
        teacher: the model that the recipe names as its teacher, if any.
        needs_gpu: whether to refuse to work on a CPU.
        for_people: print progress for people who read the log, instead of events for a client that follows it.
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
    """Asks for an evaluation; see `TrainingMessage`."""

    model: ModelInfo
    eval_version: str
    dev_version: str
    options: EvaluationOptions
    needs_gpu: bool
    for_people: bool


class CheckMessage(_Message):
    """Asks to hash a finished run's files and compare them with its manifest.

    Attributes:
        fingerprint: of the expected training; None to accept any.
    """

    fingerprint: str | None


class InspectionMessage(_Message):
    """Asks to inspect a base model on a CPU."""

    model: ModelInfo


class EmbeddingMessage(_Message):
    """Asks to embed questions in fp32."""

    model: ModelInfo
    questions: list[str]


class Outcome(Stored):
    """The answer of a container, which an earlier release may have written.

    Attributes:
        error: one line that the user can act on; None on success. Such an error is not retried.
        error_kind: name of its class; empty if unknown.
        result: of a training; None elsewhere, and for an unfinished run.
        gpu: CUDA's name of the GPU; `none` on CPUs.
        seconds: duration of the last attempt.
    """

    schema_number: ClassVar[int] = 2
    upgrades: ClassVar[Mapping[int, Upgrade]] = {1: lambda fields: {**fields, "error_kind": ""}}

    error: str | None = None
    error_kind: str = ""
    result: FineTunedModel | None = None
    gpu: str = "none"
    seconds: float = 0.0

    @classmethod
    def of_error(cls, error: PipelineError) -> Self:
        """The outcome of an attempt that raised an error."""
        kind = next(each for each in type(error).__mro__ if each.__module__ == errors.__name__)
        return cls(error=str(error), error_kind=kind.__name__)

    def require_success(self, call_id: str) -> None:
        """Raise the container's error, if there is one."""
        if self.error:
            kind: type[PipelineError] = getattr(errors, self.error_kind, UnavailableError)
            raise kind(self.error, call=call_id)
