"""The interface between whoever wants a model trained or measured and the place where that is done.

A new place is one folder: a `Compute`, its kinds of `Work`, and a `Backend` (`pipeline.compute.base`) that says what
it is called. `pipeline.compute.driver` uses it: it hands work over, records it, follows it, ends it when the caller is
interrupted, and collects the result.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Generic, TypeAlias, TypeVar

import numpy as np

from pipeline.core.progress import Advanced, OnProgress
from pipeline.core.values import Cost, Stored
from pipeline.evaluation.measurement import Measurement
from pipeline.evaluation.options import EvaluationOptions
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo, ModelProperties
from pipeline.question_pairs.schema import PairTable
from pipeline.sharding.job import Joined, JoinJob
from pipeline.training.job import RunIdentity, TrainingJob

ResultT = TypeVar("ResultT")

PairTexts: TypeAlias = tuple[list[str], list[str]]
"""The first and the second questions of some pairs, as many of each."""


@dataclass(frozen=True)
class MeasuringJob:
    """A model to measure on two splits, whose second chooses thresholds and may be empty."""

    model: ModelInfo
    eval_split: PairTable
    dev_split: PairTable
    options: EvaluationOptions


class WorkRecord(Stored):
    """What a lost caller needs to find its work again. It is recorded before anyone waits for the work.

    Attributes:
        call_id: what the place calls the work.
        app: the code that does it, as the place calls it.
        place: where its files lie; empty for work that leaves none.
        fingerprint: hash of all that decides the result; empty for work that is never taken up again.
        url: a page that shows it; empty where there is none.
    """

    call_id: str
    app: str = ""
    place: str = ""
    fingerprint: str = ""
    url: str = ""


@dataclass(frozen=True)
class EarlierWork:
    """Recorded work with the fingerprint that is asked for.

    Attributes:
        is_used: a stored value was made from its result.
    """

    record: WorkRecord
    is_used: bool


@dataclass(frozen=True)
class Usage:
    """What work took.

    Attributes:
        gpu: type of the GPU; `none` on CPUs.
        gpu_seconds: over all attempts.
        attempts: how often it was begun.
        cost: None where nobody bills it, or no price is known.
    """

    gpu: str
    gpu_seconds: float
    attempts: int
    cost: Cost | None


class Work(ABC, Generic[ResultT]):
    """Work that was handed over, or found again.

    Attributes:
        record: identifies the work, so that a later run can find it; None for work that ends with its caller.
        remark: one line on why nothing new was begun; empty where something was.
    """

    record: WorkRecord | None = None
    remark: str = ""

    @abstractmethod
    def follow(self, on_progress: OnProgress) -> Usage | None:
        """Wait until the work has ended, and pass on its progress.

        An interrupt (Ctrl-C, or a termination that raises in this thread) comes through as it is. The caller decides
        whether the work is to end then, and calls `cancel`.

        Returns:
            What it took; None where nothing was done, or it isn't known.

        Raises:
            PipelineError: when it failed or can't be reached.
        """

    @abstractmethod
    def cancel(self) -> None:
        """End the work, wherever it is."""

    @abstractmethod
    def collect(self) -> ResultT:
        """The result, checked against what was promised.

        Raises:
            PipelineError: when there is none, or it can't be trusted.
        """


class Compute(ABC):
    """A place that trains and measures models.

    Attributes:
        kind: its name, as `PIPELINE_COMPUTE` has it.
        part_size: questions that it embeds at once of a corpus; what is lost when that is interrupted.
    """

    kind: ClassVar[str]
    part_size: ClassVar[int] = 4_096

    # --- long work ---

    def work_fingerprint(self, job: TrainingJob) -> str:
        """Hash under which a training is found again; empty where trainings end with their callers."""
        return ""

    def find_training(self, job: TrainingJob, earlier: EarlierWork) -> Work[FineTunedModel] | None:
        """Return recorded work that does this job: it is still running, or has a result that can be used.

        None where neither is so: `start_training` then starts the training, or resumes it.

        Raises:
            PipelineError: when the place can't be asked.
        """
        return None

    @abstractmethod
    def start_training(
        self, job: TrainingJob, run: RunIdentity, earlier: WorkRecord | None = None
    ) -> Work[FineTunedModel]:
        """Hand a training over.

        Interrupts are held back by the caller, so that work which has begun is recorded. What takes long before that,
        such as an upload, stands in `interrupts_let_through`.

        Args:
            run: names the run folder.
            earlier: a record of the same training; where its files still exist, it resumes from their checkpoints.

        Raises:
            PipelineError: when it can't be done, before anything is paid.
        """

    @abstractmethod
    def start_measuring(self, job: MeasuringJob) -> Work[Measurement]:
        """Hand a measurement over; the report is made from its result without the model.

        Raises:
            PipelineError: when it can't be done.
        """

    # --- models ---

    def look_at(self, model: ModelInfo) -> ModelProperties:
        """Look at a base model before it is trained or measured; here unless the place has a better way.

        It takes the memory of two copies of the model, and imports torch.

        Raises:
            PipelineError: when it can't be used; it names the file.
        """
        from pipeline.models.look import look_at

        return look_at(model)

    @abstractmethod
    def add_files(self, model: FineTunedModel, files: Mapping[str, bytes], replace: bool = True) -> None:
        """Put files into the model's run folder, each whole.

        Args:
            files: content by path below the run folder.
            replace: replace files of the same names; else leave them as they are.

        Raises:
            PipelineError: when the folder can't be reached.
        """

    @abstractmethod
    def verify(self, model: FineTunedModel) -> None:
        """Hash every file of the model and hold it against its manifest.

        Raises:
            PipelineError: when the training isn't finished, the manifest is of another model, or a file isn't the one
                that the manifest names.
        """

    @abstractmethod
    def download(self, model: FineTunedModel) -> FineTunedModel:
        """Bring the model to this machine, checked against its manifest; returns it with its places there.

        Raises:
            PipelineError: when it can't be brought, or a file isn't the one that the manifest names.
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
        """Yield the embeddings of many questions part by part, in order and in fp32, each as `embed` gives them.

        A place that can work on several parts at once does so. This default embeds one after the other.

        Raises:
            PipelineError: when the model can't be loaded.
        """
        for part in parts:
            yield self.embed(model, part)
            on_progress(Advanced("embedding questions", len(part), len(part)))

    def score_pairs(
        self, model: ModelInfo, parts: Sequence[PairTexts], on_progress: OnProgress, both_ways: bool = False
    ) -> Iterator[np.ndarray]:
        """Yield a cross-encoder's logits of many pairs part by part, in order and in fp32: each of shape (pairs,).

        A place that can work on several parts at once does so. This default scores one after the other in this process.

        Args:
            parts: none of them empty.
            both_ways: score each pair in both orders of its questions, and give the mean of the logits.

        Raises:
            PipelineError: when the model can't be loaded or is no cross-encoder.
        """
        if not parts:
            return
        from pipeline.models.cross_encoder import load_cross_encoder
        from pipeline.models.loading import quiet_libraries, resolve_device
        from pipeline.models.pair_scoring import score_pairs, score_pairs_both_ways

        quiet_libraries()
        loaded, budget = load_cross_encoder(model, resolve_device("auto")), EvaluationOptions().token_budget
        score = score_pairs_both_ways if both_ways else score_pairs
        for first, second in parts:
            yield score(loaded, first, second, budget, on_progress)

    # --- shards ---

    def join_shards(self, jobs: Sequence[JoinJob], on_progress: OnProgress) -> Iterator[Joined]:
        """Yield what each join found, in order. The parts that the jobs name lie where this process can read them.

        A place that can work on several at once does so. This default joins one after the other in this process.

        Raises:
            PipelineError: when a join finds more pairs than it may.
        """
        from pipeline.sharding.join import join_shards

        for job in jobs:
            yield join_shards(job)


# --- what a compute says of itself -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variable:
    """An environment variable.

    Attributes:
        default: what holds where it is not set, in words.
        meaning: in half a sentence.
    """

    name: str
    default: str
    meaning: str


@dataclass(frozen=True)
class TrainingFiles:
    """The files of one training, as a place keeps them.

    Attributes:
        name: `sentence-transformers-ft-<UNIX_TIMESTAMP>`.
        created: when the training began, in UTC.
        touched: when something was last written, in UTC; where the place doesn't say, when it began.
        is_finished: asks whether there is a manifest, which may take a request.
        size: bytes of all files; None where the place doesn't say.
        checkpoints: bytes of the checkpoints among them; 0 where they can't be deleted alone.
    """

    name: str
    created: datetime
    touched: datetime
    is_finished: Callable[[], bool]
    size: int | None = None
    checkpoints: int = 0


@dataclass(frozen=True)
class Pruning:
    """How the files of old trainings are found and deleted. Which of them may go is no matter of the place.

    Attributes:
        job, op, schedule: names in Dagster. They stay: schedules that people have switched on go by them.
        what: what is deleted, such as "Volumes of old training runs on Modal".
        trainings: every training that there is, by the folder for runs on this machine, in any order.
        delete: deletes one training, by that folder and the training's name.
        delete_checkpoints: deletes the checkpoints of one; None where they go with the rest only.
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
    """A place to compute, without the libraries that it needs.

    Attributes:
        kind: its name, as `PIPELINE_COMPUTE` has it. Run tags and metadata of its work begin with it.
        title: what people call it.
        create: makes the compute; imports what it needs. Takes the folder for runs on this machine.
        check: raises `PipelineError` for settings that make no sense, without importing what the compute needs.
        variables: the environment variables that it reads.
        asset_kinds: shown on the assets that it makes, as Dagster's `kinds`.
        scheme: of locations `<scheme>://<container>/<path>` where it keeps models; None where they lie on this machine.
        place_name: what it calls the place where a training's files lie, such as `volume`.
        cancel: ends recorded work, by its call id, when nobody waits for it any more; None where work ends with its
            caller.
        pruning: how old training runs are deleted; None where nothing is kept.
        preload: modules that a step imports here to train or evaluate, and that take seconds.
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
