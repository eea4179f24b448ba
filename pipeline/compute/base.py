"""The interface between the assets and the machine that fine-tunes and evaluates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.core.progress import OnProgress
from pipeline.core.references import Cost, FineTunedModel, ModelReference
from pipeline.evaluation.measurement import Measurement
from pipeline.evaluation.measuring import EvaluationOptions
from pipeline.evaluation.report import EvaluationReport
from pipeline.question_pairs.schema import PairTable
from pipeline.training.recipe import Recipe


@dataclass(frozen=True)
class RunIdentity:
    """What names a training run's folder.

    Attributes:
        owner: the same for all tries of a run, so that a retry finds its own folder and resumes.
        unix_time: creation time of the first try, in seconds.
    """

    owner: str
    unix_time: int


class RemoteCall(BaseModel):
    """Work that was handed to another machine, as it is recorded before anyone waits for it.

    Attributes:
        call_id: what the other side calls it.
        app: the deployed code that does it.
        volume: where its files lie; empty for work that leaves none.
        fingerprint: hash of all that decides the result, the code included.
        url: a page that shows it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    call_id: str
    app: str
    volume: str
    fingerprint: str
    url: str


@dataclass(frozen=True)
class EarlierCall:
    """A recorded call with the fingerprint that is asked for.

    Attributes:
        is_used: a materialised value was made from its result.
    """

    call: RemoteCall
    is_used: bool


@dataclass(frozen=True)
class RemoteUsage:
    """What remote work took.

    Attributes:
        gpu: type of the GPU; `none` on CPUs.
        gpu_seconds: over all attempts, as their logs span them.
        attempts: containers that worked on it.
        cost: None where the price table has no such GPU.
    """

    gpu: str
    gpu_seconds: float
    attempts: int
    cost: Cost | None


@dataclass(frozen=True)
class RemoteHooks:
    """How the caller keeps track of work that outlives it. Work on this machine needs none of it.

    Attributes:
        on_submitted: told of a call before it is waited for.
        find_call: the newest recorded call with a fingerprint.
        is_cancelled: asked when waiting is interrupted: whether the work is to end too, or is to be found again later.
        on_usage: told what the work took.
        train_anew: don't take a result that was used already.
        download_model: bring the fine-tuned model to this machine.
    """

    on_submitted: Callable[[RemoteCall], None] = lambda call: None
    find_call: Callable[[str], EarlierCall | None] = lambda fingerprint: None
    is_cancelled: Callable[[], bool] = lambda: True
    on_usage: Callable[[RemoteUsage], None] = lambda usage: None
    train_anew: bool = False
    download_model: bool = False


NO_HOOKS = RemoteHooks()
"""For callers that keep no records: an interrupt ends the work too."""


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
        hooks: RemoteHooks = NO_HOOKS,
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
        hooks: RemoteHooks = NO_HOOKS,
    ) -> Measurement:
        """Measure a model on both splits; the report is made from that without the model.

        Raises:
            PipelineError: when it can't be done.
        """
        ...

    def publish(self, model: FineTunedModel, baseline: EvaluationReport, post_train: EvaluationReport) -> None:
        """Put both result files and the completed model card into the run folder.

        Raises:
            PipelineError: when it can't be done.
        """
        ...

    def verify(self, model: FineTunedModel) -> None:
        """Hash every file of the model and hold it against its manifest.

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
