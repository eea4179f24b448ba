"""Runs the work on Modal: deploys the code if it changed, uploads inputs by content, submits, follows, checks."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Generic, TypeVar

import modal
import numpy as np
from modal import exception as modal_errors

from pipeline.compute.base import Compute, EarlierWork, MeasuringJob, Usage, Work, WorkRecord
from pipeline.compute.driver import interrupts_held, interrupts_let_through
from pipeline.compute.modal import app as modal_app
from pipeline.compute.modal.calls import LogSpan, cancel, follow, is_running, one_line_modal_errors
from pipeline.compute.modal.code_hashes import training_version
from pipeline.compute.modal.messages import (
    CheckMessage,
    EmbeddingMessage,
    LookMessage,
    MeasuringMessage,
    Outcome,
    TrainingMessage,
)
from pipeline.compute.modal.settings import (
    HUB_MOUNT,
    INPUTS_MOUNT,
    KIND,
    RETRIES,
    RUN_MOUNT,
    PriceTable,
    require_same_memory,
    uploaded_model,
    volume_location,
    which_gpu,
)
from pipeline.compute.modal.volumes import (
    create_run_volume,
    download_run,
    upload_files,
    upload_model,
    upload_tables,
    volume_exists,
)
from pipeline.core.errors import PipelineError
from pipeline.core.files import add_to_folder, content_version
from pipeline.core.locations import remote_location
from pipeline.core.progress import Advanced, OnProgress, ignore
from pipeline.core.values import Cost
from pipeline.evaluation.measurement import Measurement
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo, ModelProperties
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.manifest import verify_model

ModalFunction = modal.Function[..., Any, Any]
ResultT = TypeVar("ResultT")

_PARTS_AT_ONCE = 16
"""Containers that embed parts side by side."""


def deployed(function: str) -> ModalFunction:
    """A function of the app with this very code, deployed first where it isn't yet."""
    name = modal_app.name
    try:
        return modal.Function.from_name(name, function).hydrate()
    except modal_errors.NotFoundError:
        modal_app.app.deploy(name=name)
        return modal.Function.from_name(name, function).hydrate()


def of_this_app(function: str) -> ModalFunction:
    """A function of the app that `modal run` has started, and that ends with it."""
    found: ModalFunction = getattr(modal_app, function)
    return found


@dataclass(frozen=True)
class ModalCompute(Compute):
    """Trains and measures in Modal containers.

    Attributes:
        runs_folder: where a run's model is brought, when someone asks for it.
        function: finds a function of the app by name.
        for_people: containers print progress for people who read their logs, not for this class to follow.
    """

    kind: ClassVar[str] = KIND
    # Worth a container's start.
    part_size: ClassVar[int] = 32_768

    runs_folder: Path
    function: Callable[[str], ModalFunction] = deployed
    for_people: bool = False

    # --- long work ---

    def work_fingerprint(self, job: TrainingJob) -> str:
        """See `Compute.work_fingerprint`. Settings are no part of it: with another GPU the same training is resumed."""
        return content_version([job.fingerprint, training_version()])

    def find_training(self, job: TrainingJob, earlier: EarlierWork) -> Work[FineTunedModel] | None:
        """See `Compute.find_training`."""
        record = earlier.record
        with one_line_modal_errors("looking for a training on Modal"):
            if not volume_exists(record.place):
                return None
            call = modal.FunctionCall.from_id(record.call_id)
            if is_running(call):
                remark = f"taking up the call {record.call_id}, which does the same and still runs"
                return _Training(self, job, record, call, remark)
            try:
                result = self._finished(record.place, job.fingerprint)
            except PipelineError:
                # What is damaged there doesn't stop what replaces it: the container that goes on there says why.
                return None
            if result is None:
                return None
        return _Finished(record, self._placed(record.place, result, job), _why_it_stands(earlier))

    def start_training(
        self, job: TrainingJob, run: RunIdentity, earlier: WorkRecord | None = None
    ) -> Work[FineTunedModel]:
        """See `Compute.start_training`. An interrupt takes effect at once until the job is handed over."""
        if job.recipe.token_budget is None:
            require_same_memory(modal_app.settings.gpus, PriceTable.load())
        with one_line_modal_errors("fine-tuning on Modal"):
            with interrupts_let_through():
                # In one call: each looks at all that lies there.
                upload_tables(job.train, job.dev)
                base_model = _for_containers(job.base_model)
                teacher = _for_containers(job.teacher) if job.teacher else None
                goes_on = earlier is not None and volume_exists(earlier.place)
                volume = earlier.place if earlier and goes_on else create_run_volume(run.unix_time)
                message = TrainingMessage(
                    volume=volume,
                    train_version=job.train.data_version,
                    dev_version=job.dev.data_version,
                    base_model=base_model,
                    teacher=teacher,
                    recipe=job.recipe,
                    needs_gpu=bool(modal_app.settings.gpus),
                    for_people=self.for_people,
                )
                fingerprint = self.work_fingerprint(job)
                function = self._function("fine_tune", volume)
            call = function.spawn(message.model_dump_json())
        return _Training(self, job, _record(call, volume, fingerprint), call)

    def start_measuring(self, job: MeasuringJob) -> Work[Measurement]:
        """See `Compute.start_measuring`. A measurement ends with its caller; it is recorded so that it can be ended."""
        with one_line_modal_errors(f"evaluating {job.model.name} on Modal"):
            with interrupts_let_through():
                upload_tables(job.eval_split, job.dev_split)
                message = MeasuringMessage(
                    model=_for_containers(job.model),
                    eval_version=job.eval_split.data_version,
                    dev_version=job.dev_split.data_version,
                    options=job.options,
                    needs_gpu=bool(modal_app.settings.gpus),
                    for_people=self.for_people,
                )
                function = self._function("evaluate", _volume_of(job.model.location))
            call = function.spawn(message.model_dump_json())
        return _Measuring(_record(call), call)

    # --- models ---

    def inspect(self, model: ModelInfo) -> ModelProperties:
        """See `Compute.inspect`; in a container, as the model may not fit this machine."""
        with one_line_modal_errors(f"looking at {model.name} on Modal"):
            message = LookMessage(model=_for_containers(model))
            try:
                _, data = _short_call(self._function("look_at", None), message.model_dump_json())
            except PipelineError as error:
                # The container knows the folder by its own name.
                raise PipelineError(str(error).replace(uploaded_model(model.version), model.location)) from error
        return ModelProperties.from_stored_json(data)

    def add_files(self, model: FineTunedModel, files: Mapping[str, bytes], replace: bool = True) -> None:
        """See `Compute.add_files`."""
        volume = _volume_of(model.run_folder)
        if not volume:
            add_to_folder(Path(model.run_folder), files, replace)
            return
        with one_line_modal_errors(f"writing files into the Volume {volume}"):
            upload_files(volume, files, replace)

    def verify(self, model: FineTunedModel) -> None:
        """See `Compute.verify`; a container that wrote none of the files hashes them."""
        volume = _volume_of(model.run_folder)
        if not volume:
            verify_model(Path(model.run_folder), model.model.version)
            return
        with one_line_modal_errors(f"verifying {model.model.name} on Modal"):
            finished = self._finished(volume, None)
        if finished is None or finished.model.version != model.model.version:
            raise PipelineError(
                f"the Volume {volume} doesn't hold the model version {model.model.version}: its manifest is of another "
                "model",
                make_again="model",
            )

    def download(self, model: FineTunedModel) -> FineTunedModel:
        """See `Compute.download`."""
        volume = _volume_of(model.run_folder)
        if not volume:
            self.verify(model)
            return model
        with one_line_modal_errors(f"downloading {model.model.name}"):
            return download_run(volume, model, self.runs_folder)

    def embed(self, model: ModelInfo, questions: list[str]) -> np.ndarray:
        """See `Compute.embed`."""
        with one_line_modal_errors(f"embedding with {model.name} on Modal"):
            message = EmbeddingMessage(model=_for_containers(model), questions=questions)
            _, data = _short_call(self._function("embed", _volume_of(model.location)), message.model_dump_json())
        return np.frombuffer(data, dtype="<f4").reshape(len(questions), -1)

    def embed_parts(
        self, model: ModelInfo, parts: Sequence[list[str]], on_progress: OnProgress
    ) -> Iterator[np.ndarray]:
        """See `Compute.embed_parts`: in a container for each part, so many at once."""
        if not parts:
            return
        with one_line_modal_errors(f"embedding with {model.name} on Modal"):
            sent, function = _for_containers(model), self._function("embed_part", _volume_of(model.location))
            messages = (EmbeddingMessage(model=sent, questions=texts).model_dump_json() for texts in parts)
            for part, data in zip(parts, _side_by_side(function, messages, _PARTS_AT_ONCE), strict=True):
                on_progress(Advanced("embedding questions", len(part), len(part)))
                yield np.frombuffer(data, dtype="<f4").reshape(len(part), -1)

    def _function(self, name: str, run_volume: str | None) -> ModalFunction:
        """A function of the app that sees a run's Volume beside the shared ones."""
        # These replace the app's own, so they are all named.
        mounted: dict[str | PurePosixPath, modal.Volume | modal.CloudBucketMount] = {
            INPUTS_MOUNT: modal_app.inputs,
            HUB_MOUNT: modal_app.hub_cache,
        }
        if run_volume:
            mounted[RUN_MOUNT] = modal.Volume.from_name(run_volume)
        return self.function(name).with_options(volumes=mounted)

    def _finished(self, volume: str, training: str | None) -> FineTunedModel | None:
        """The result in a Volume, each file hashed by a container that didn't write it; None without a manifest."""
        function, message = self._function("finished_result", volume), CheckMessage(fingerprint=training)
        try:
            return _short_call(function, message.model_dump_json())[0].result
        except PipelineError as error:
            raise PipelineError(f"the Volume {volume} can't be trusted: {error}") from error

    @staticmethod
    def _placed(volume: str, result: FineTunedModel, job: TrainingJob) -> FineTunedModel:
        """A result with its places as they are seen from here."""
        # The pairs are uploaded once by content, so theirs may be the origin of an earlier upload.
        here = {"base_model": job.base_model, "origin": job.train.origin}
        return result.at(volume_location(volume)).model_copy(update=here)


class _Call(Work[ResultT], Generic[ResultT]):
    """A call on Modal that is followed to its end."""

    def __init__(
        self, record: WorkRecord, call: modal.FunctionCall[Any], remark: str = "", most_containers: int | None = None
    ) -> None:
        self.record = record
        self.remark = remark
        self._call = call
        self._most_containers = most_containers
        self._outcome = Outcome()
        self._data = b""

    def follow(self, on_progress: OnProgress) -> Usage:
        with one_line_modal_errors("working on Modal", self._call.object_id):
            (text, self._data), span = follow(self._call, on_progress, self._most_containers)
        self._outcome = Outcome.from_stored_json(text)
        return _usage(self._outcome, span)

    def cancel(self) -> None:
        cancel(self._call.object_id)

    def outcome(self) -> tuple[Outcome, bytes]:
        """What the container gave back.

        Raises:
            PipelineError: when that is an error.
        """
        if self._outcome.error:
            raise PipelineError(self._outcome.error)
        return self._outcome, self._data


class _Training(_Call[FineTunedModel]):
    def __init__(
        self,
        compute: ModalCompute,
        job: TrainingJob,
        record: WorkRecord,
        call: modal.FunctionCall[Any],
        remark: str = "",
    ) -> None:
        super().__init__(record, call, remark)
        self._compute, self._job, self._volume = compute, job, record.place

    def collect(self) -> FineTunedModel:
        outcome, _ = self.outcome()
        with one_line_modal_errors("checking what was trained on Modal"):
            finished = self._compute._finished(self._volume, self._job.fingerprint)
        if finished is None or outcome.result is None or finished.model.version != outcome.result.model.version:
            raise PipelineError(
                f"the Volume {self._volume} doesn't hold the model that was trained in it: its manifest is missing or "
                "another's; start a new run"
            )
        return self._compute._placed(self._volume, finished, self._job)


class _Finished(Work[FineTunedModel]):
    """A training whose result stands."""

    def __init__(self, record: WorkRecord, result: FineTunedModel, remark: str) -> None:
        self.record, self.remark, self._result = record, remark, result

    def follow(self, on_progress: OnProgress) -> None:
        """Wait for nothing."""

    def cancel(self) -> None:
        """Nothing is left to end."""

    def collect(self) -> FineTunedModel:
        return self._result


class _Measuring(_Call[Measurement]):
    def __init__(self, record: WorkRecord, call: modal.FunctionCall[Any]) -> None:
        super().__init__(record, call, most_containers=RETRIES + 1)

    def collect(self) -> Measurement:
        return Measurement.from_bytes(self.outcome()[1])


class _Short(_Call[tuple[Outcome, bytes]]):
    def collect(self) -> tuple[Outcome, bytes]:
        return self.outcome()


def _side_by_side(function: ModalFunction, messages: Iterable[str], at_once: int) -> Iterator[bytes]:
    """Make calls, so many at once, and yield in order what they give."""
    waiting: deque[_Short] = deque()
    left = iter(messages)
    try:
        while True:
            waiting.extend(_submitted(function, message) for message in islice(left, at_once - len(waiting)))
            if not waiting:
                return
            call = waiting[0]
            call.follow(ignore)
            data = call.collect()[1]
            waiting.popleft()
            yield data
    finally:
        # After an error or an interrupt nobody takes their results.
        for call in waiting:
            call.cancel()


def _submitted(function: ModalFunction, message: str) -> _Short:
    with interrupts_held():
        call = function.spawn(message)
        return _Short(_record(call), call, most_containers=RETRIES + 1)


def _short_call(function: ModalFunction, message: str) -> tuple[Outcome, bytes]:
    """Make a call that takes a moment, and end it on an interrupt."""
    with interrupts_held():
        call = function.spawn(message)
        work = _Short(_record(call), call, most_containers=RETRIES + 1)
        try:
            work.follow(ignore)
        except BaseException as error:
            if not isinstance(error, Exception):
                work.cancel()
            raise
    return work.collect()


def _record(call: modal.FunctionCall[Any], volume: str = "", fingerprint: str = "") -> WorkRecord:
    return WorkRecord(
        call_id=call.object_id,
        app=modal_app.name,
        place=volume,
        fingerprint=fingerprint,
        url=call.get_dashboard_url(),
    )


def _usage(outcome: Outcome, span: LogSpan) -> Usage:
    prices = PriceTable.load()
    gpu = which_gpu(modal_app.settings.gpus, outcome.gpu)
    # Of earlier attempts only their logs are left; the last one is timed.
    seconds = max(span.seconds, outcome.seconds) if gpu != "none" else 0.0
    amount = prices.cost(gpu, seconds)
    return Usage(
        gpu=gpu,
        gpu_seconds=seconds,
        attempts=max(1, span.containers),
        cost=None if amount is None else Cost(amount=amount, currency=prices.currency, prices_as_of=prices.as_of),
    )


def _for_containers(model: ModelInfo) -> ModelInfo:
    """The model to send: one of this machine is uploaded by content first."""
    if model.kind in ("folder", "fine_tuned") and not remote_location(model.location):
        upload_model(model)
    return model


def _volume_of(location: str) -> str | None:
    """The Volume of a location; None for one that is in none."""
    place = remote_location(location)
    return place.container if place else None


def _why_it_stands(earlier: EarlierWork) -> str:
    what = f"the call {earlier.record.call_id} trained with the same recipe, data, base model and code"
    if not earlier.is_used:
        return f"{what}, and nobody had taken its result: taken now"
    return f"nothing to train: {what}, so its result stands; set train_anew: true to train once more"
