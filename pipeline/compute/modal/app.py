"""The Modal app: what its containers consist of, and the functions that they run.

The functions are thin: they find their inputs in Volumes, call what the local compute calls, and commit. They import
torch themselves, because the client imports this module too and shouldn't need torch. `modal run` and `modal deploy`
start from `pipeline.compute.modal_app`.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import modal
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.compute.modal.code_hashes import app_name, dependencies, deployment_version, sent_files
from pipeline.compute.modal.messages import (
    CheckMessage,
    EmbeddingMessage,
    InspectionMessage,
    MeasuringMessage,
    Outcome,
    TrainingMessage,
)
from pipeline.compute.modal.settings import (
    CPU_CORES,
    HUB_MOUNT,
    HUB_VOLUME,
    INPUTS_MOUNT,
    INPUTS_VOLUME,
    RETRIES,
    RUN_MOUNT,
    ModalSettings,
    uploaded_model,
    volume_location,
)
from pipeline.core.errors import DamagedError, PipelineError, UnavailableError, reason_of
from pipeline.core.files import PROJECT_ROOT
from pipeline.core.locations import remote_location
from pipeline.core.progress import (
    CheckpointSaved,
    LogLine,
    LogLines,
    OnProgress,
    ProgressEvent,
    TrainingAdvanced,
    TrainingStep,
    to_json_line,
)
from pipeline.evaluation.measurement import EvaluationOptions
from pipeline.models.bundled import bundled_folder
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import PairTable
from pipeline.training.checkpoints import checkpoint_steps
from pipeline.training.job import TrainingJob
from pipeline.training.manifest import read_manifest, verify_files
from pipeline.training.reuse import count_attempt, forget_attempts
from pipeline.training.run_folder import RunFolder

_SECONDS_BETWEEN_STEPS = 0.5

Answer = tuple[str, bytes]
"""The JSON of an `Outcome`, and the bytes of what is not in it."""

# --- the containers ---------------------------------------------------------------------------------------------

image = modal.Image.debian_slim(python_version="3.11")
settings = ModalSettings.from_environment()
name = "sentence-transformers-ft"

if modal.is_local():
    name = app_name(deployment_version(), settings)
    image = (
        image.add_local_file(PROJECT_ROOT / "constraints.txt", "/constraints.txt", copy=True)
        .uv_pip_install(*dependencies(), extra_options="--constraint /constraints.txt")
        # Last, and mounted rather than copied, so that changed code doesn't rebuild the image.
        .add_local_python_source("pipeline", ignore=lambda path: "pipeline" / path not in sent_files())
    )

app = modal.App(name, image=image, include_source=False)

inputs = modal.Volume.from_name(INPUTS_VOLUME, create_if_missing=True, version=2)
hub_cache = modal.Volume.from_name(HUB_VOLUME, create_if_missing=True, version=2)

_common: dict[str, Any] = {
    "volumes": {INPUTS_MOUNT: inputs, HUB_MOUNT: hub_cache},
    # Modal's own limit is 5 minutes.
    "timeout": settings.timeout,
    # Containers load this module too, and must define the same objects.
    "env": {"HF_HOME": HUB_MOUNT, "TOKENIZERS_PARALLELISM": "false", **settings.as_environment()},
    # One container for each call, so that no state of one training reaches another.
    "single_use_containers": True,
}
_secrets = [modal.Secret.from_name(settings.hf_secret)] if settings.hf_secret else []
_worker: dict[str, Any] = {
    **_common,
    "gpu": list(settings.gpus) or None,
    "cpu": CPU_CORES,
    "secrets": _secrets,
    # A lost attempt starts again at once, and resumes from the newest checkpoint.
    "retries": modal.Retries(max_retries=RETRIES, initial_delay=0.0),
}

# --- the functions ----------------------------------------------------------------------------------------------


@app.function(**_worker)
def fine_tune(text: str) -> Answer:
    """Train into the run's Volume, given a `TrainingMessage`; the outcome has the result."""
    message = TrainingMessage.from_json(text)
    volume, folder = modal.Volume.from_name(message.volume), RunFolder(Path(RUN_MOUNT))
    report = _reporting(message.for_people, message.volume, volume.commit)

    def work() -> FineTunedModel:
        try:
            count_attempt(folder.path, max(checkpoint_steps(folder.checkpoints), default=0))
        finally:
            volume.commit()
        # Imported after counting, so that an attempt that runs out of memory here counts too.
        from pipeline.training.fine_tune import fine_tune as train

        job = TrainingJob(
            _split(message.train_version),
            _split(message.dev_version),
            _local(message.base_model),
            message.recipe,
            _local(message.teacher) if message.teacher else None,
        )
        result = train(job, folder, report)
        forget_attempts(folder.path)
        volume.commit()
        return result

    return _on_gpu(work, message.needs_gpu, report)


@app.function(**_worker)
def evaluate(text: str) -> Answer:
    """Evaluate a model, given a `MeasuringMessage`; returns the bytes of a `Measurement`."""
    message = MeasuringMessage.from_json(text)
    report = _reporting(message.for_people)

    def work() -> bytes:
        from pipeline.evaluation.measure import measure
        from pipeline.models.loading import load_model, quiet_libraries, resolve_device

        quiet_libraries()
        model = load_model(_local(message.model), resolve_device(message.options.device))
        splits = _split(message.eval_version), _split(message.dev_version)
        return measure(model, *splits, message.options, report, stage=f"evaluating {message.model.name}").to_bytes()

    return _on_gpu(work, message.needs_gpu, report)


@app.function(**_common)
def finished_result(text: str) -> Answer:
    """Hash a finished run's files, given a `CheckMessage`, on a CPU and in another container than the one that wrote
    them; the outcome has the result."""
    message, folder = CheckMessage.from_json(text), RunFolder(Path(RUN_MOUNT))

    def work() -> FineTunedModel | None:
        if message.fingerprint is not None:
            return folder.finished_result(message.fingerprint)
        manifest = read_manifest(folder.path)
        verify_files(folder.path, manifest)
        return manifest.result

    return _answer(*_attempt(work))


@app.function(**_common, secrets=_secrets)
def inspect_model(text: str) -> Answer:
    """Inspect a base model on a CPU, given an `InspectionMessage`; returns the JSON of `ModelProperties`."""
    message = InspectionMessage.from_json(text)

    def work() -> bytes:
        from pipeline.models.inspection import inspect_model

        return inspect_model(_local(message.model)).model_dump_json().encode()

    return _answer(*_attempt(work))


@app.function(**_common)
def embed(text: str) -> Answer:
    """Embed a few questions on a CPU, given an `EmbeddingMessage`; returns little-endian float32."""
    return _embed(text, "cpu")


@app.function(**_worker)
def embed_part(text: str) -> Answer:
    """Embed a part of a corpus on the hardware of trainings; otherwise like `embed`."""
    return _embed(text, "auto")


def _embed(text: str, device: Literal["auto", "cpu"]) -> Answer:
    message = EmbeddingMessage.from_json(text)

    def work() -> bytes:
        from pipeline.models.encoding import embed_questions
        from pipeline.models.loading import load_model, quiet_libraries, resolve_device

        quiet_libraries()
        model = load_model(_local(message.model), resolve_device(device))
        return embed_questions(model, message.questions, EvaluationOptions().token_budget).astype("<f4").tobytes()

    return _answer(*_attempt(work))


# --- attempts and answers ---------------------------------------------------------------------------------------

_Task = Callable[[], FineTunedModel | bytes | None]


def _on_gpu(work: _Task, needs_gpu: bool, report: OnProgress) -> Answer:
    """Attempt work, timed, and refuse it where a GPU was promised and is missing."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    report(LogLine(f"a container works on {'a CPU' if gpu == 'none' else gpu}"))
    if needs_gpu and gpu == "none":
        missing = UnavailableError("the container has no GPU: try again, or change PIPELINE_MODAL_GPU")
        return _answer(Outcome.of_error(missing), b"")
    start = time.monotonic()
    outcome, data = _attempt(work)
    return _answer(outcome.model_copy(update={"gpu": gpu, "seconds": time.monotonic() - start}), data)


def _attempt(work: _Task) -> tuple[Outcome, bytes]:
    """Do the work. Errors that the user can act on are outcomes; any other fails the attempt, and Modal retries it."""
    try:
        produced = work()
    except PipelineError as error:
        return Outcome.of_error(error), b""
    except Exception as error:
        # Raise a built-in type: the client may not have the library that defines the error.
        raise RuntimeError(f"{type(error).__name__}: {reason_of(error)}") from error
    return (Outcome(), produced) if isinstance(produced, bytes) else (Outcome(result=produced), b"")


def _answer(outcome: Outcome, data: bytes) -> Answer:
    return outcome.model_dump_json(), data


# --- progress ---------------------------------------------------------------------------------------------------


def _reporting(for_people: bool, volume: str = "", commit: Callable[[], None] = lambda: None) -> OnProgress:
    """Make a sink that prints events, with no more steps than a log can take, and commits complete checkpoints."""
    for_eyes, last_step = LogLines(_say), 0.0

    def report(event: ProgressEvent) -> None:
        nonlocal last_step
        if isinstance(event, CheckpointSaved):
            commit()
            path = Path(event.path).relative_to(RUN_MOUNT).as_posix()
            event = CheckpointSaved(event.step, f"{volume_location(volume)}/{path}")
        if for_people:
            for_eyes(event)
            return
        if isinstance(event, TrainingStep | TrainingAdvanced) and event.step < event.total_steps:
            if time.monotonic() - last_step < _SECONDS_BETWEEN_STEPS:
                return
            last_step = time.monotonic()
        _say(to_json_line(event))

    return report


def _say(line: str) -> None:
    # Events leave the container through its log.
    print(line, flush=True)  # noqa: T201


# --- inputs -----------------------------------------------------------------------------------------------------


def _split(version: str) -> PairTable:
    """Read a split that the client uploaded, and check its content."""
    path = Path(INPUTS_MOUNT) / "pairs" / f"{version}.parquet"
    with suppress(OSError, ValueError, KeyError, pa.ArrowException, PipelineError):
        if (table := PairTable.from_arrow(pq.read_table(path))).data_version == version:
            return table
    raise DamagedError(
        f"the pairs {version} in the Volume {INPUTS_VOLUME} are damaged: delete that file there",
        volume=INPUTS_VOLUME,
        version=version,
    )


def _local(model: ModelInfo) -> ModelInfo:
    """The model with its location in this container; loading it checks its version."""
    if model.kind == "hub":
        return model
    if model.kind == "bundled":
        location = str(bundled_folder())
    elif place := remote_location(model.location):
        location = os.fspath(RUN_MOUNT / place.path)
    else:
        location = uploaded_model(model.version)
    return model.model_copy(update={"location": location})
