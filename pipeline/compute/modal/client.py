"""The client of the Modal app: deploys changed code, uploads inputs by content, submits work, and verifies results."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import modal
import numpy as np
from modal import exception as modal_errors

from pipeline.compute.base import Compute, EarlierWork, MeasuringJob, Work, WorkRecord
from pipeline.compute.driver import interrupts_let_through
from pipeline.compute.modal import app as modal_app
from pipeline.compute.modal.calls import Call, ModalFunction, is_running, record_of, run_in_parallel, run_short
from pipeline.compute.modal.code_hashes import training_version
from pipeline.compute.modal.errors import one_line_modal_errors
from pipeline.compute.modal.messages import (
    CheckMessage,
    EmbeddingMessage,
    InspectionMessage,
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
)
from pipeline.compute.modal.volumes import (
    create_run_volume,
    download_run,
    upload_files,
    upload_model,
    upload_tables,
    volume_exists,
)
from pipeline.core.errors import DamagedError, MismatchError, PipelineError
from pipeline.core.files import add_to_folder, content_version
from pipeline.core.locations import remote_location
from pipeline.core.progress import Advanced, OnProgress
from pipeline.evaluation.measurement import Measurement
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo, ModelProperties
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.manifest import verify_model

_PARTS_AT_ONCE = 16
"""The number of containers that embed in parallel."""


def deployed(function: str) -> ModalFunction:
    """Return a function of the app with exactly this code, deploying it first if needed."""
    name = modal_app.name
    try:
        return modal.Function.from_name(name, function).hydrate()
    except modal_errors.NotFoundError:
        modal_app.app.deploy(name=name)
        return modal.Function.from_name(name, function).hydrate()


def of_this_app(function: str) -> ModalFunction:
    """Return a function of the app that `modal run` has started, which ends with it."""
    found: ModalFunction = getattr(modal_app, function)
    return found


@dataclass(frozen=True)
class ModalCompute(Compute):
    """Trains and evaluates in Modal containers.

    Attributes:
        runs_folder: where models are downloaded to.
        function: finds a function of the app by name.
        for_people: whether containers print progress for people who read their logs, rather than for this class.
    """

    kind: ClassVar[str] = KIND
    # Large enough to be worth starting a container.
    part_size: ClassVar[int] = 32_768

    runs_folder: Path
    function: Callable[[str], ModalFunction] = deployed
    for_people: bool = False

    # --- long work ---

    def work_fingerprint(self, job: TrainingJob) -> str:
        """See `Compute.work_fingerprint`. Settings don't count, so that another GPU resumes the same training."""
        return content_version([job.fingerprint, training_version()])

    def find_training(self, job: TrainingJob, earlier: EarlierWork) -> Work[FineTunedModel] | None:
        """See `Compute.find_training`."""
        record = earlier.record
        with one_line_modal_errors("looking for a training on Modal"):
            if not volume_exists(record.place):
                return None
            call = modal.FunctionCall.from_id(record.call_id)
            if is_running(call):
                remark = f"re-attaching to the call {record.call_id}, which does the same and is still running"
                return Call(record, call, partial(self._trained, job, record.place), remark)
            try:
                result = self._finished(record.place, job.fingerprint)
            except PipelineError:
                # Damaged files don't prevent a new start; the container that resumes there reports them.
                return None
            if result is None:
                return None
        return _Finished(record, _located(record.place, result, job), _why_reused(earlier))

    def start_training(
        self, job: TrainingJob, run: RunIdentity, earlier: WorkRecord | None = None
    ) -> Work[FineTunedModel]:
        """See `Compute.start_training`. An interrupt takes effect at once until the job is submitted."""
        if job.recipe.token_budget is None:
            require_same_memory(modal_app.settings.gpus, PriceTable.load())
        with one_line_modal_errors("fine-tuning on Modal"):
            with interrupts_let_through():
                # Upload in one call, because each call lists the whole Volume.
                upload_tables(job.train, job.dev)
                base_model = _for_containers(job.base_model)
                teacher = _for_containers(job.teacher) if job.teacher else None
                resumes = earlier is not None and volume_exists(earlier.place)
                volume = earlier.place if earlier and resumes else create_run_volume(run.unix_time)
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
        return Call(record_of(call, volume, fingerprint), call, partial(self._trained, job, volume))

    def start_measuring(self, job: MeasuringJob) -> Work[Measurement]:
        """See `Compute.start_measuring`. An evaluation ends with its caller; it is recorded so it can be cancelled."""
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
        return Call(record_of(call), call, lambda _, data: Measurement.from_bytes(data), max_containers=RETRIES + 1)

    # --- models ---

    def inspect(self, model: ModelInfo) -> ModelProperties:
        """See `Compute.inspect`; in a container, because the model may not fit this machine."""
        with one_line_modal_errors(f"inspecting {model.name} on Modal"):
            message = InspectionMessage(model=_for_containers(model))
            try:
                _, data = run_short(self._function("inspect_model", None), message.model_dump_json())
            except PipelineError as error:
                # Name the folder as it is called on this machine.
                line = error.message.replace(uploaded_model(model.version), model.location)
                raise type(error)(line, None, **error.values) from error
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
            raise MismatchError(
                f"the Volume {volume} doesn't contain the model version {model.model.version}: its manifest belongs to "
                "another model",
                make_again="model",
                volume=volume,
                version=model.model.version,
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
            _, data = run_short(self._function("embed", _volume_of(model.location)), message.model_dump_json())
        return np.frombuffer(data, dtype="<f4").reshape(len(questions), -1)

    def embed_parts(
        self, model: ModelInfo, parts: Sequence[list[str]], on_progress: OnProgress
    ) -> Iterator[np.ndarray]:
        """See `Compute.embed_parts`; one container for each part, several in parallel."""
        if not parts:
            return
        with one_line_modal_errors(f"embedding with {model.name} on Modal"):
            sent, function = _for_containers(model), self._function("embed_part", _volume_of(model.location))
            messages = (EmbeddingMessage(model=sent, questions=texts).model_dump_json() for texts in parts)
            for part, data in zip(parts, run_in_parallel(function, messages, _PARTS_AT_ONCE), strict=True):
                on_progress(Advanced("embedding questions", len(part), len(part)))
                yield np.frombuffer(data, dtype="<f4").reshape(len(part), -1)

    def _function(self, name: str, run_volume: str | None) -> ModalFunction:
        """A function of the app, with a run's Volume mounted in addition to the shared ones."""
        # These replace the app's own mounts, so list all of them.
        mounted: dict[str | PurePosixPath, modal.Volume | modal.CloudBucketMount] = {
            INPUTS_MOUNT: modal_app.inputs,
            HUB_MOUNT: modal_app.hub_cache,
        }
        if run_volume:
            mounted[RUN_MOUNT] = modal.Volume.from_name(run_volume)
        return self.function(name).with_options(volumes=mounted)

    def _finished(self, volume: str, fingerprint: str | None) -> FineTunedModel | None:
        """The result in a Volume, with its files hashed by another container than the one that wrote them; None
        without a manifest."""
        function, message = self._function("finished_result", volume), CheckMessage(fingerprint=fingerprint)
        try:
            return run_short(function, message.model_dump_json())[0].result
        except PipelineError as error:
            raise type(error)(f"the Volume {volume} can't be used: {error.message}", volume=volume) from error

    def _trained(self, job: TrainingJob, volume: str, outcome: Outcome, data: bytes) -> FineTunedModel:
        """The result of a training that has just ended, verified."""
        with one_line_modal_errors("verifying a training on Modal"):
            finished = self._finished(volume, job.fingerprint)
        if finished is None or outcome.result is None or finished.model.version != outcome.result.model.version:
            raise DamagedError(
                f"the Volume {volume} doesn't contain the model that was trained in it: its manifest is missing or "
                "another model's; start a new run",
                volume=volume,
            )
        return _located(volume, finished, job)


class _Finished(Work[FineTunedModel]):
    """A training whose result is reused."""

    def __init__(self, record: WorkRecord, result: FineTunedModel, remark: str) -> None:
        self.record, self.remark, self._result = record, remark, result

    def follow(self, on_progress: OnProgress) -> None:
        """Return at once."""

    def cancel(self) -> None:
        """Do nothing."""

    def collect(self) -> FineTunedModel:
        return self._result


def _located(volume: str, result: FineTunedModel, job: TrainingJob) -> FineTunedModel:
    """A result with its locations as this machine names them."""
    # Pairs are uploaded by content, so the origin in the container may be that of an earlier upload.
    here: dict[str, Any] = {"base_model": job.base_model, "origin": job.train.origin}
    return result.at(volume_location(volume)).model_copy(update=here)


def _for_containers(model: ModelInfo) -> ModelInfo:
    """The model to send; one from this machine is uploaded by content first."""
    if model.kind in ("folder", "fine_tuned") and not remote_location(model.location):
        upload_model(model)
    return model


def _volume_of(location: str) -> str | None:
    """The Volume of a location; None for a local path."""
    place = remote_location(location)
    return place.container if place else None


def _why_reused(earlier: EarlierWork) -> str:
    what = f"the call {earlier.record.call_id} trained with the same recipe, data, base model and code"
    if not earlier.is_used:
        return f"{what}, and its result was not used yet: using it"
    return f"nothing to train: {what}, so its result is reused; set train_anew: true to train again"
