"""The interface of a compute backend: what trains and evaluates models, here or on another machine.

A backend is one module or folder with a `Compute`, its kinds of `Work`, and a `Backend` that describes it.
`pipeline.compute.choice` finds it by its name, and `pipeline.compute.driver` drives it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import numpy as np

from pipeline.core.progress import Advanced, OnProgress
from pipeline.core.values import Cost, Stored
from pipeline.evaluation.measurement import EvaluationOptions, Measurement
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo, ModelProperties
from pipeline.question_pairs.schema import PairTable
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.vectors.options import PART_SIZE

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class MeasuringJob:
    """A model to evaluate on one split. Thresholds are chosen on the other, which may be empty."""

    model: ModelInfo
    eval_split: PairTable
    dev_split: PairTable
    options: EvaluationOptions


class WorkRecord(Stored):
    """Identifies submitted work, so that a later run can find it. Recorded before the caller waits for the work.

    Attributes:
        call_id: the backend's id of the work.
        app: the backend's name of the code that does it.
        place: where its files are, such as a Volume; empty for work that leaves none.
        fingerprint: hash of everything that decides the result; empty for work that is never re-attached.
        url: a page that shows it; empty where there is none.
    """

    call_id: str
    app: str = ""
    place: str = ""
    fingerprint: str = ""
    url: str = ""


@dataclass(frozen=True)
class EarlierWork:
    """Recorded work with the requested fingerprint.

    Attributes:
        is_used: whether a stored value was made from its result.
    """

    record: WorkRecord
    is_used: bool


@dataclass(frozen=True)
class Usage:
    """The resources that work used.

    Attributes:
        gpu: type of the GPU; `none` on CPUs.
        gpu_seconds: summed over all attempts.
        attempts: how often the work was started.
        cost: None where it costs nothing, or the price is unknown.
    """

    gpu: str
    gpu_seconds: float
    attempts: int
    cost: Cost | None


class Work(ABC, Generic[ResultT]):
    """Work that was submitted, or found again.

    Attributes:
        record: identifies the work for later runs; None for work that ends with its caller.
        remark: one line on why nothing new was started; empty where something was.
    """

    record: WorkRecord | None = None
    remark: str = ""

    @abstractmethod
    def follow(self, on_progress: OnProgress) -> Usage | None:
        """Wait until the work has ended, and pass on its progress.

        An interrupt (Ctrl-C, or a termination that raises in this thread) is raised unchanged. The driver decides
        whether the work should end then, and calls `cancel`.

        Returns:
            What it used; None where nothing was done, or it is unknown.

        Raises:
            PipelineError: when it failed or can't be reached.
        """

    @abstractmethod
    def cancel(self) -> None:
        """End the work, wherever it runs."""

    @abstractmethod
    def collect(self) -> ResultT:
        """Return the result, verified.

        Raises:
            PipelineError: when there is none, or it is damaged.
        """


class Compute(ABC):
    """Trains, evaluates and runs models.

    Attributes:
        kind: its name, as in `PIPELINE_COMPUTE`.
        part_size: questions of a corpus to embed at once. An interrupt loses at most one part of the work.
    """

    kind: ClassVar[str]
    part_size: ClassVar[int] = PART_SIZE

    # --- long work ---

    def work_fingerprint(self, job: TrainingJob) -> str:
        """Hash under which a training is recorded and found; empty where trainings end with their callers."""
        return ""

    def find_training(self, job: TrainingJob, earlier: EarlierWork) -> Work[FineTunedModel] | None:
        """Return recorded work that does this job, if it is still running or has a usable result.

        Otherwise return None: `start_training` then starts or resumes the training.

        Raises:
            PipelineError: when the backend can't be reached.
        """
        return None

    @abstractmethod
    def start_training(
        self, job: TrainingJob, run: RunIdentity, earlier: WorkRecord | None = None
    ) -> Work[FineTunedModel]:
        """Submit a training.

        The driver holds interrupts back meanwhile, so that no started work stays unrecorded. Wrap slow preparation,
        such as uploads, in `interrupts_let_through`.

        Args:
            run: names the run folder.
            earlier: a record of the same training; if its files still exist, resume from its checkpoints.

        Raises:
            PipelineError: when it can't be started, before anything costs money.
        """

    @abstractmethod
    def start_measuring(self, job: MeasuringJob) -> Work[Measurement]:
        """Submit an evaluation. The report is built from its result, without the model.

        Raises:
            PipelineError: when it can't be started.
        """

    # --- models ---

    def inspect(self, model: ModelInfo) -> ModelProperties:
        """Inspect a base model before it is trained or evaluated: by default in this process.

        This needs memory for two copies of the model, and imports torch.

        Raises:
            PipelineError: when the model can't be used; it names the file.
        """
        from pipeline.models.inspection import inspect_model

        return inspect_model(model)

    @abstractmethod
    def add_files(self, model: FineTunedModel, files: Mapping[str, bytes], replace: bool = True) -> None:
        """Write files into the model's run folder, each atomically.

        Args:
            files: content by path below the run folder.
            replace: whether to replace existing files.

        Raises:
            PipelineError: when the folder can't be reached.
        """

    @abstractmethod
    def verify(self, model: FineTunedModel) -> None:
        """Hash every file of the model and compare it with the manifest.

        Raises:
            PipelineError: when the training isn't finished, the manifest is another model's, or a file differs.
        """

    @abstractmethod
    def download(self, model: FineTunedModel) -> FineTunedModel:
        """Download the model to this machine and verify it; return it with its paths there.

        Raises:
            PipelineError: when it can't be downloaded, or a file differs from the manifest.
        """

    @abstractmethod
    def embed(self, model: ModelInfo, questions: list[str]) -> np.ndarray:
        """Embed a few questions in fp32: float32 of shape (len(questions), dimensions).

        Raises:
            PipelineError: when the model can't be loaded.
        """

    def embed_parts(
        self, model: ModelInfo, parts: Sequence[list[str]], on_progress: OnProgress
    ) -> Iterator[np.ndarray]:
        """Yield the embeddings of many questions part by part, in order and in fp32, as `embed` computes them.

        A backend may work on several parts in parallel. This default embeds them one by one.

        Raises:
            PipelineError: when the model can't be loaded.
        """
        for part in parts:
            yield self.embed(model, part)
            on_progress(Advanced("embedding questions", len(part), len(part)))


# --- how a backend describes itself -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Variable:
    """An environment variable.

    Attributes:
        default: what applies when it is not set, in words.
        meaning: half a sentence.
    """

    name: str
    default: str
    meaning: str


@dataclass(frozen=True)
class TrainingFiles:
    """The files of one training, as a backend stores them.

    Attributes:
        name: `sentence-transformers-ft-<UNIX_TIMESTAMP>`.
        created: when the training began, in UTC.
        touched: when a file was last written, in UTC; `created` where that is unknown.
        is_finished: whether there is a manifest; a function, because it may take a request.
        size: bytes of all files; None where unknown.
        checkpoints: bytes of the checkpoints among them; 0 where they can't be deleted separately.
    """

    name: str
    created: datetime
    touched: datetime
    is_finished: Callable[[], bool]
    size: int | None = None
    checkpoints: int = 0


@dataclass(frozen=True)
class Pruning:
    """How the files of old trainings are found and deleted. The rules of retention decide which ones.

    Attributes:
        job, op, schedule: names in Dagster. Don't change them: schedules that users have switched on depend on them.
        what: what is deleted, such as "Volumes of old training runs on Modal".
        trainings: lists every training, given this machine's runs folder, in any order.
        delete: deletes one training, given that folder and the training's name.
        delete_checkpoints: deletes the checkpoints of one; None where they can't be deleted separately.
    """

    job: str
    op: str
    schedule: str
    what: str
    trainings: Callable[[Path], list[TrainingFiles]]
    delete: Callable[[Path, str], None]
    delete_checkpoints: Callable[[Path, str], None] | None = None


@dataclass(frozen=True)
class Backend:
    """Describes a compute backend without importing the libraries that it needs.

    Attributes:
        kind: its name, as in `PIPELINE_COMPUTE`. Run tags and metadata of its work begin with it.
        title: its name for people.
        create: makes the compute, given this machine's runs folder, and imports what it needs.
        check: raises `PipelineError` for invalid settings, without importing what the compute needs.
        variables: the environment variables that it reads.
        asset_kinds: Dagster's `kinds` of the assets that it computes.
        scheme: of locations `<scheme>://<container>/<path>` where it stores models; None for paths on this machine.
        place_name: its word for where the files of a training are, such as `volume`.
        cancel: cancels recorded work by its call id; None where work ends with its caller.
        pruning: how old training runs are deleted; None where nothing is stored.
        preload: slow modules to import once, before the steps that train or evaluate are forked.
    """

    kind: str
    title: str
    create: Callable[[Path], Compute]
    check: Callable[[], object] = lambda: None
    variables: tuple[Variable, ...] = ()
    asset_kinds: frozenset[str] = frozenset()
    scheme: str | None = None
    place_name: str = "place"
    cancel: Callable[[str], None] | None = None
    pruning: Pruning | None = None
    preload: tuple[str, ...] = ()
