"""Runs the work on Modal: deploys the code if it changed, uploads inputs by content, submits, follows, checks."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import modal
import numpy as np
from modal import exception as modal_errors

from pipeline.compute.base import NO_HOOKS, EarlierCall, RemoteCall, RemoteHooks, RemoteUsage, RunIdentity
from pipeline.compute.interrupts import interrupts_held
from pipeline.compute.local import LocalCompute
from pipeline.compute.modal import app as modal_app
from pipeline.compute.modal.calls import LogSpan, cancel, follow, is_running
from pipeline.compute.modal.errors import one_line_modal_errors
from pipeline.compute.modal.jobs import EmbeddingJob, EvaluationJob, Outcome, SealJob, TrainingJob
from pipeline.compute.modal.prices import PriceTable, require_same_memory, which_gpu
from pipeline.compute.modal.settings import HUB_MOUNT, INPUTS_MOUNT, RETRIES, RUN_MOUNT
from pipeline.compute.modal.volumes import (
    create_run_volume,
    download_run,
    upload_folder,
    upload_model,
    upload_pairs,
    volume_exists,
)
from pipeline.core.errors import PipelineError
from pipeline.core.progress import LogLine, OnProgress, ignore
from pipeline.core.references import Cost, FineTunedModel, ModelReference, in_volume, volume_location
from pipeline.core.storage import content_version
from pipeline.evaluation.measurement import Measurement
from pipeline.evaluation.measuring import EvaluationOptions
from pipeline.evaluation.report import EvaluationReport
from pipeline.question_pairs.schema import PairTable
from pipeline.reporting.results import publish_results
from pipeline.training.recipe import Recipe

ModalFunction = modal.Function[..., Any, Any]


def deployed(function: str) -> ModalFunction:
    """A function of the app with this very code, deployed first where it isn't yet."""
    name = modal_app.name
    try:
        return modal.Function.from_name(name, function).hydrate()
    except modal_errors.NotFoundError:
        modal_app.app.deploy(name=name)
        return modal.Function.from_name(name, function).hydrate()


@dataclass(frozen=True)
class ModalCompute:
    """Trains and evaluates in Modal containers.

    Attributes:
        runs_folder: where a run's model is brought, when someone asks for it.
        function: finds a function of the app by name.
        for_people: containers print progress for people who read their logs, not for this class to follow.
    """

    runs_folder: Path
    function: Callable[[str], ModalFunction] = deployed
    for_people: bool = False

    def fine_tune(
        self,
        train: PairTable,
        dev: PairTable,
        base_model: ModelReference,
        recipe: Recipe,
        run: RunIdentity,
        on_progress: OnProgress = ignore,
        hooks: RemoteHooks = NO_HOOKS,
    ) -> FineTunedModel:
        """See `Compute.fine_tune`. A recorded call that does the same is taken up, or its result stands."""
        training = recipe.fingerprint(train.data_version, dev.data_version, base_model.version)
        if recipe.token_budget is None:
            require_same_memory(modal_app.settings.gpus, PriceTable.load())
        with one_line_modal_errors("fine-tuning on Modal"):
            volume, result = self._trained(train, dev, base_model, recipe, run, on_progress, hooks, training)
            if hooks.download_model:
                downloaded = download_run(volume, result, training, self.runs_folder)
                on_progress(LogLine(f"the model is at {downloaded.model.location}"))
        return result.at(volume_location(volume)).model_copy(update={"base_model": base_model})

    def evaluate(
        self,
        model: ModelReference,
        eval_split: PairTable,
        dev_split: PairTable,
        options: EvaluationOptions,
        on_progress: OnProgress = ignore,
        hooks: RemoteHooks = NO_HOOKS,
    ) -> Measurement:
        """See `Compute.evaluate`."""
        with one_line_modal_errors(f"evaluating {model.name} on Modal"):
            upload_pairs(eval_split, dev_split)
            job = EvaluationJob(
                model=_for_containers(model),
                eval_version=eval_split.data_version,
                dev_version=dev_split.data_version,
                options=options,
                needs_gpu=bool(modal_app.settings.gpus),
                for_people=self.for_people,
            )
            function = self._function("evaluate", _volume_of(model.location))
            start = partial(_submitted, function, job.model_dump_json(), "", "", hooks)
            _, data = _result_of(start, on_progress, hooks, most_containers=RETRIES + 1)
        return Measurement.from_bytes(data)

    def publish(self, model: FineTunedModel, baseline: EvaluationReport, post_train: EvaluationReport) -> None:
        """See `Compute.publish`."""
        volume = _volume_of(model.run_folder)
        if not volume:
            publish_results(model, baseline, post_train)
            return
        with tempfile.TemporaryDirectory(prefix="pipeline-results-") as folder:
            (Path(folder) / model.model.name).mkdir()
            publish_results(model.at(folder), baseline, post_train)
            with one_line_modal_errors(f"publishing results to the Volume {volume}"):
                upload_folder(volume, Path(folder))

    def verify(self, model: FineTunedModel) -> None:
        """See `Compute.verify`; a container that wrote none of the files hashes them."""
        volume = _volume_of(model.run_folder)
        if not volume:
            LocalCompute(self.runs_folder).verify(model)
            return
        recipe = Recipe.model_validate(model.recipe)
        training = recipe.fingerprint(model.train_version, model.dev_version, model.base_model.version)
        with one_line_modal_errors(f"verifying {model.model.name} on Modal"):
            sealed = self._sealed(volume, training)
        if sealed is None or sealed.model.version != model.model.version:
            raise PipelineError(
                f"the Volume {volume} doesn't hold the model version {model.model.version}: its manifest is missing "
                "or another's; rematerialise fine_tuned_model"
            )

    def embed(self, model: ModelReference, questions: list[str]) -> np.ndarray:
        """See `Compute.embed`."""
        with one_line_modal_errors(f"embedding with {model.name} on Modal"):
            job = EmbeddingJob(model=_for_containers(model), questions=questions)
            function = self._function("embed", _volume_of(model.location))
            start = partial(function.spawn, job.model_dump_json())
            _, data = _result_of(start, ignore, NO_HOOKS, most_containers=RETRIES + 1)
        return np.frombuffer(data, dtype="<f4").reshape(len(questions), -1)

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

    def _trained(
        self,
        train: PairTable,
        dev: PairTable,
        base_model: ModelReference,
        recipe: Recipe,
        run: RunIdentity,
        on_progress: OnProgress,
        hooks: RemoteHooks,
        training: str,
    ) -> tuple[str, FineTunedModel]:
        """The Volume of a finished training, and the result that is sealed in it."""
        # Not the settings: another time limit or GPU goes on with what was begun.
        fingerprint = content_version([training, modal_app.code])
        earlier = hooks.find_call(fingerprint)
        if earlier and earlier.is_used and hooks.train_anew:
            earlier = None
        volume = earlier.call.volume if earlier and volume_exists(earlier.call.volume) else ""
        call = modal.FunctionCall.from_id(earlier.call.call_id) if earlier and volume else None
        if earlier and call and is_running(call):
            on_progress(LogLine(f"taking up the call {earlier.call.call_id}, which does the same and still runs"))
            start = partial(_taken_up, call, earlier.call, hooks)
        elif earlier and volume and (result := self._sealed(volume, training)):
            on_progress(LogLine(_why_it_stands(earlier)))
            hooks.on_submitted(earlier.call)
            return volume, result
        else:
            upload_pairs(train, dev)
            volume = volume or create_run_volume(run.unix_time)
            job = TrainingJob(
                volume=volume,
                train_version=train.data_version,
                dev_version=dev.data_version,
                base_model=_for_containers(base_model),
                recipe=recipe,
                needs_gpu=bool(modal_app.settings.gpus),
                for_people=self.for_people,
            )
            function = self._function("fine_tune", volume)
            start = partial(_submitted, function, job.model_dump_json(), volume, fingerprint, hooks)
        outcome, _ = _result_of(start, on_progress, hooks)
        sealed = self._sealed(volume, training)
        if sealed is None or outcome.result is None or sealed.model.version != outcome.result.model.version:
            raise PipelineError(
                f"the Volume {volume} doesn't hold the model that was trained in it: its manifest is missing or "
                "another's; start a new run"
            )
        return volume, sealed

    def _sealed(self, volume: str, training: str) -> FineTunedModel | None:
        """The result in a Volume, each file hashed by a container that didn't write it; None without a manifest."""
        job = SealJob(fingerprint=training)
        start = partial(self._function("sealed_result", volume).spawn, job.model_dump_json())
        try:
            return _result_of(start, ignore, NO_HOOKS, most_containers=RETRIES + 1)[0].result
        except PipelineError as error:
            raise PipelineError(f"the Volume {volume} can't be trusted: {error}") from error


def _submitted(
    function: ModalFunction, job: str, volume: str, fingerprint: str, hooks: RemoteHooks
) -> modal.FunctionCall[Any]:
    """Hand a job over, and have it recorded; what can't be recorded is cancelled, as nobody would find it again."""
    call = function.spawn(job)
    try:
        hooks.on_submitted(
            RemoteCall(
                call_id=call.object_id,
                app=modal_app.name,
                volume=volume,
                fingerprint=fingerprint,
                url=call.get_dashboard_url(),
            )
        )
    except BaseException:
        cancel(call.object_id)
        raise
    return call


def _taken_up(call: modal.FunctionCall[Any], recorded: RemoteCall, hooks: RemoteHooks) -> modal.FunctionCall[Any]:
    """A running call, recorded for this run too."""
    hooks.on_submitted(recorded)
    return call


def _result_of(
    start: Callable[[], modal.FunctionCall[Any]],
    on_progress: OnProgress,
    hooks: RemoteHooks,
    most_containers: int | None = None,
) -> tuple[Outcome, bytes]:
    """Start a call, and wait for what a container gives back; an interrupt finds no call that nobody would end.

    Raises:
        PipelineError: when that is an error, or Modal says what went wrong.
    """
    with interrupts_held():
        call = start()
        with one_line_modal_errors("working on Modal", call.object_id):
            (text, data), span = follow(call, on_progress, hooks.is_cancelled, most_containers)
    outcome = Outcome.model_validate_json(text)
    hooks.on_usage(_usage(outcome, span))
    if outcome.error:
        raise PipelineError(outcome.error)
    return outcome, data


def _usage(outcome: Outcome, span: LogSpan) -> RemoteUsage:
    prices = PriceTable.load()
    gpu = which_gpu(modal_app.settings.gpus, outcome.gpu)
    # Of earlier attempts only their logs are left; the last one is timed.
    seconds = max(span.seconds, outcome.seconds) if gpu != "none" else 0.0
    amount = prices.cost(gpu, seconds)
    return RemoteUsage(
        gpu=gpu,
        gpu_seconds=seconds,
        attempts=max(1, span.containers),
        cost=None if amount is None else Cost(amount=amount, currency=prices.currency, prices_as_of=prices.as_of),
    )


def _for_containers(model: ModelReference) -> ModelReference:
    """The reference to send: a model of this machine is uploaded by content first."""
    if model.kind in ("folder", "fine_tuned") and not in_volume(model.location):
        upload_model(model)
    return model


def _volume_of(location: str) -> str | None:
    """The Volume of a location; None for one that is in none."""
    found = in_volume(location)
    return found[0] if found else None


def _why_it_stands(earlier: EarlierCall) -> str:
    what = f"the call {earlier.call.call_id} trained with the same recipe, data, base model and code"
    if not earlier.is_used:
        return f"{what}, and nobody had taken its result: taken now"
    return f"nothing to train: {what}, so its result stands; set fine_tuned_model.train_anew: true to train once more"
