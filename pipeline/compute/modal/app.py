"""The Modal app: what its containers are made of, and what they run.

The functions are thin: they find their inputs in Volumes, call what the local compute calls, and commit. They import
torch and what stands on it, which takes seconds and memory: the machine that orders the work needs none of it.
`pipeline.compute.modal_app` is what `modal run` and `modal deploy` are pointed at.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import modal
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.compute.modal.code_hashes import app_name, dependencies, deployment_version, sent_files
from pipeline.compute.modal.messages import (
    CheckMessage,
    EmbeddingMessage,
    LookMessage,
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
from pipeline.core.checksums import checked_json, read_checked
from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.files import PROJECT_ROOT, write_bytes
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
from pipeline.evaluation.options import EvaluationOptions
from pipeline.models.bundled import bundled_folder
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import PairTable
from pipeline.training.job import TrainingJob
from pipeline.training.manifest import read_manifest, verify_files
from pipeline.training.run_folder import RunFolder

MOST_WITHOUT_PROGRESS = 4
"""Attempts in a row that may end without a new checkpoint."""

# --- what a container is made of --------------------------------------------------------------------------------

image = modal.Image.debian_slim(python_version="3.11")
settings = ModalSettings.from_environment()
name = "sentence-transformers-ft"

if modal.is_local():
    name = app_name(deployment_version(), settings)
    image = (
        image.add_local_file(PROJECT_ROOT / "constraints.txt", "/constraints.txt", copy=True)
        .uv_pip_install(*dependencies(), extra_options="--constraint /constraints.txt")
        # Last, and mounted rather than copied: a change of the code rebuilds nothing.
        .add_local_python_source("pipeline", ignore=lambda path: "pipeline" / path not in sent_files())
    )

app = modal.App(name, image=image, include_source=False)

inputs = modal.Volume.from_name(INPUTS_VOLUME, create_if_missing=True, version=2)
hub_cache = modal.Volume.from_name(HUB_VOLUME, create_if_missing=True, version=2)

_common: dict[str, Any] = {
    "volumes": {INPUTS_MOUNT: inputs, HUB_MOUNT: hub_cache},
    # Modal's own limit is 5 minutes.
    "timeout": settings.timeout,
    # Containers read this file too, and must come to the same objects.
    "env": {"HF_HOME": HUB_MOUNT, "TOKENIZERS_PARALLELISM": "false", **settings.as_environment()},
    # A container for each call: no state of one training reaches another.
    "single_use_containers": True,
}
_secrets = [modal.Secret.from_name(settings.hf_secret)] if settings.hf_secret else []
_worker: dict[str, Any] = {
    **_common,
    "gpu": list(settings.gpus) or None,
    "cpu": CPU_CORES,
    "secrets": _secrets,
    # An attempt that is lost starts again at once, and goes on from the newest checkpoint.
    "retries": modal.Retries(max_retries=RETRIES, initial_delay=0.0),
}

# --- what it runs -----------------------------------------------------------------------------------------------


@app.function(**_worker)
def fine_tune(job_text: str) -> tuple[str, bytes]:
    """Train into the run's Volume, which is mounted for this call; takes a `TrainingMessage`, gives an `Outcome`."""
    job = TrainingMessage.from_json(job_text)
    volume, folder = modal.Volume.from_name(job.volume), RunFolder(Path(RUN_MOUNT))
    report = _reporting(job.for_people, job.volume, volume.commit)

    def work() -> Outcome:
        try:
            count_attempt(folder)
        finally:
            volume.commit()
        # After the attempt is counted: one that runs out of memory here counts too.
        from pipeline.training.fine_tune import fine_tune as train

        splits = _split(job.train_version), _split(job.dev_version)
        teacher = _local(job.teacher) if job.teacher else None
        result = train(TrainingJob(*splits, _local(job.base_model), job.recipe, teacher), folder, report)
        forget_attempts(folder)
        volume.commit()
        return Outcome(result=result)

    return _on_gpu(work, job.needs_gpu, report).model_dump_json(), b""


@app.function(**_worker)
def evaluate(job_text: str) -> tuple[str, bytes]:
    """Measure a model; takes a `MeasuringMessage`, gives an `Outcome` and the bytes of a `Measurement`."""
    job = MeasuringMessage.from_json(job_text)
    report = _reporting(job.for_people)
    measured = []

    def work() -> Outcome:
        from pipeline.evaluation.measure import measure
        from pipeline.models.loading import load_model, quiet_libraries, resolve_device

        quiet_libraries()
        model = load_model(_local(job.model), resolve_device(job.options.device))
        splits = _split(job.eval_version), _split(job.dev_version)
        measured.append(measure(model, *splits, job.options, report, stage=f"evaluating {job.model.name}").to_bytes())
        return Outcome()

    outcome = _on_gpu(work, job.needs_gpu, report)
    return outcome.model_dump_json(), b"".join(measured)


@app.function(**_common)
def finished_result(job_text: str) -> tuple[str, bytes]:
    """Hash a finished run's files, on a CPU and far from the container that wrote them; takes a `CheckMessage`."""
    job, folder = CheckMessage.from_json(job_text), RunFolder(Path(RUN_MOUNT))

    def work() -> Outcome:
        if job.fingerprint is not None:
            return Outcome(result=folder.finished_result(job.fingerprint))
        manifest = read_manifest(folder.path)
        verify_files(folder.path, manifest)
        return Outcome(result=manifest.result)

    return _attempt(work).model_dump_json(), b""


@app.function(**_common, secrets=_secrets)
def look_at(job_text: str) -> tuple[str, bytes]:
    """Look at a base model on a CPU; takes a `LookMessage`, gives an `Outcome` and a `ModelProperties` as JSON."""
    job = LookMessage.from_json(job_text)
    found = []

    def work() -> Outcome:
        from pipeline.models.look import look_at as look

        found.append(look(_local(job.model)).model_dump_json().encode())
        return Outcome()

    return _attempt(work).model_dump_json(), b"".join(found)


@app.function(**_common)
def embed(job_text: str) -> tuple[str, bytes]:
    """Embed a few questions on a CPU; takes an `EmbeddingMessage`, gives an `Outcome` and little-endian float32."""
    job = EmbeddingMessage.from_json(job_text)
    embedded = []

    def work() -> Outcome:
        from pipeline.models.encoding import embed_questions
        from pipeline.models.loading import load_model, quiet_libraries

        quiet_libraries()
        model = load_model(_local(job.model), "cpu")
        embedded.append(embed_questions(model, job.questions, EvaluationOptions().token_budget).astype("<f4").tobytes())
        return Outcome()

    return _attempt(work).model_dump_json(), b"".join(embedded)


@app.function(**_worker)
def embed_part(job_text: str) -> tuple[str, bytes]:
    """Embed a part of a corpus where models are trained; takes and gives what `embed` does."""
    job = EmbeddingMessage.from_json(job_text)
    embedded = []

    def work() -> Outcome:
        from pipeline.models.encoding import embed_questions
        from pipeline.models.loading import load_model, quiet_libraries, resolve_device

        quiet_libraries()
        model = load_model(_local(job.model), resolve_device("auto"))
        vectors = embed_questions(model, job.questions, EvaluationOptions().token_budget)
        embedded.append(vectors.astype("<f4").tobytes())
        return Outcome()

    return _attempt(work).model_dump_json(), b"".join(embedded)


# --- how it works there -----------------------------------------------------------------------------------------


def _on_gpu(work: Callable[[], Outcome], needs_gpu: bool, report: OnProgress) -> Outcome:
    """Do the work where a GPU was promised, if it is there."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    report(LogLine(f"a container works on {'a CPU' if gpu == 'none' else gpu}"))
    if needs_gpu and gpu == "none":
        return Outcome(error="the container was promised a GPU and sees none: try again, or change PIPELINE_MODAL_GPU")
    start = time.monotonic()
    return _attempt(work).model_copy(update={"gpu": gpu, "seconds": time.monotonic() - start})


def _attempt(work: Callable[[], Outcome]) -> Outcome:
    """Do the work. What the user can put right is an outcome; anything else fails the attempt and is tried again."""
    try:
        return work()
    except PipelineError as error:
        return Outcome(error=str(error))
    except Exception as error:
        # Of a type that every client knows: others may not be there to be read.
        raise RuntimeError(f"{type(error).__name__}: {reason_of(error)}") from error


_SECONDS_BETWEEN_STEPS = 0.5


def _reporting(for_people: bool, volume: str = "", commit: Callable[[], None] = lambda: None) -> OnProgress:
    """A sink that prints events, no more steps than a log can take, and makes complete checkpoints durable."""
    for_eyes, last_step = LogLines(_say), 0.0

    def report(event: ProgressEvent) -> None:
        nonlocal last_step
        if isinstance(event, CheckpointSaved):
            commit()
            place = Path(event.path).relative_to(RUN_MOUNT).as_posix()
            event = CheckpointSaved(event.step, f"{volume_location(volume)}/{place}")
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
    # The log is how events leave the container.
    print(line, flush=True)  # noqa: T201


def _split(version: str) -> PairTable:
    """A split that the client uploaded, checked by content."""
    path = Path(INPUTS_MOUNT) / "pairs" / f"{version}.parquet"
    with suppress(OSError, ValueError, KeyError, pa.ArrowException, PipelineError):
        if (table := PairTable.from_arrow(pq.read_table(path))).data_version == version:
            return table
    raise PipelineError(f"the pairs {version} in the Volume {INPUTS_VOLUME} are damaged: delete that file there")


def _local(model: ModelInfo) -> ModelInfo:
    """The same model where this container has it; loading checks its version."""
    if model.kind == "hub":
        return model
    if model.kind == "bundled":
        location = str(bundled_folder())
    elif place := remote_location(model.location):
        location = os.fspath(RUN_MOUNT / place.path)
    else:
        location = uploaded_model(model.version)
    return model.model_copy(update={"location": location})


# --- attempts ---------------------------------------------------------------------------------------------------


def count_attempt(folder: RunFolder) -> None:
    """Note the attempt that begins; the caller makes the note durable.

    Raises:
        PipelineError: when enough attempts got nowhere.
    """
    steps = [int(path.name) for path in folder.checkpoints.glob("*") if path.name.isdecimal()]
    newest, note = max(steps, default=0), _note(folder)
    before = _read(note)
    attempts = before["attempts"] if before["step"] == newest else 0
    if attempts >= MOST_WITHOUT_PROGRESS:
        # Whoever orders the training again has changed something, or wants to try.
        note.unlink()
        raise PipelineError(
            f"{attempts} containers in a row were lost before a new checkpoint, as happens when one is out of memory: "
            "lower token_budget, choose another PIPELINE_MODAL_GPU, or make checkpoints more often "
            "(checkpoint_steps)"
        )
    write_bytes(note, checked_json({"step": newest, "attempts": attempts + 1}))


def forget_attempts(folder: RunFolder) -> None:
    """Leave no note in a finished run's folder."""
    _note(folder).unlink(missing_ok=True)


def _read(note: Path) -> dict[str, int]:
    """The note of the attempt before. One that can't be read counts as none: all it stops is endless attempts."""
    try:
        before = read_checked(note.read_bytes())
        return {"step": int(before["step"]), "attempts": int(before["attempts"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"step": 0, "attempts": 0}


def _note(folder: RunFolder) -> Path:
    return folder.path / ".attempts.json"
