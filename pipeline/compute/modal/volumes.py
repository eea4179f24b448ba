"""Modal Volumes: one for each training run, and one for inputs, which are uploaded once by content."""

import io
import re
import shutil
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath

import modal
import pyarrow.parquet as pq
from modal import exception as modal_errors

from pipeline.compute.base import TrainingFiles
from pipeline.compute.modal.errors import one_line_modal_errors
from pipeline.compute.modal.settings import INPUTS_VOLUME
from pipeline.core.errors import DamagedError
from pipeline.models.base_model import model_folder_version
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import PairTable
from pipeline.training.manifest import MANIFEST_NAME, verify_model
from pipeline.training.run_folder import STEM

_VERSION = 2
RUN_VOLUME = re.compile(rf"{re.escape(STEM)}-\d+")
"""Names of the Volumes of training runs."""


def create_run_volume(unix_time: int) -> str:
    """Create the Volume of a new training run, named by the time or the next free second."""
    while True:
        name = f"{STEM}-{unix_time}"
        try:
            modal.Volume.objects.create(name, version=_VERSION)
        except modal_errors.AlreadyExistsError:
            unix_time += 1
        else:
            return name


def volume_exists(name: str) -> bool:
    """Whether a Volume of that name exists."""
    try:
        modal.Volume.from_name(name).hydrate()
    except modal_errors.NotFoundError:
        return False
    return True


# --- inputs -----------------------------------------------------------------------------------------------------


def upload_tables(*tables: PairTable) -> None:
    """Upload splits to where containers find them by data version."""
    _upload_missing({f"pairs/{table.data_version}.parquet": table for table in tables})


def upload_model(model: ModelInfo) -> None:
    """Upload a model folder of this machine to where containers find it by version.

    Raises:
        DamagedError: when the folder is missing or has changed.
    """
    folder = Path(model.location)
    if not folder.is_dir() or model_folder_version(folder) != model.version:
        raise DamagedError(
            f"the model folder {folder} is missing or has changed",
            make_again="model" if model.kind == "fine_tuned" else "base model",
            folder=folder,
        )
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    _upload_missing({f"models/{model.version}/{path.relative_to(folder).as_posix()}": path for path in files})


def _upload_missing(files: Mapping[str, Path | PairTable]) -> None:
    """Upload the files that don't exist yet; their names identify their content."""
    volume = modal.Volume.from_name(INPUTS_VOLUME, create_if_missing=True, version=_VERSION)
    there = {entry.path.lstrip("/") for entry in volume.listdir("/", recursive=True)}
    missing = {path: content for path, content in files.items() if path not in there}
    if missing:
        with volume.batch_upload(force=True) as batch:
            for path, content in missing.items():
                batch.put_file(content if isinstance(content, Path) else _parquet(content), path)


def _parquet(table: PairTable) -> io.BytesIO:
    buffer = io.BytesIO()
    pq.write_table(table.to_arrow(), buffer, compression="zstd")
    buffer.seek(0)
    return buffer


# --- a run's folder ---------------------------------------------------------------------------------------------


def upload_files(volume: str, files: Mapping[str, bytes], replace: bool) -> None:
    """Write files into a Volume, by their paths from its root; existing ones only with `replace`."""
    there = modal.Volume.from_name(volume)
    kept = set() if replace else {entry.path.lstrip("/") for entry in there.listdir("/", recursive=True)}
    with there.batch_upload(force=True) as batch:
        for name, content in sorted(files.items()):
            if name not in kept:
                batch.put_file(io.BytesIO(content), name)


def download_run(volume: str, result: FineTunedModel, parent: Path) -> FineTunedModel:
    """Download a finished run's model and manifest to `<parent>/<volume>`, and verify them.

    Returns:
        The result, with its paths on this machine.

    Raises:
        PipelineError: when a file differs from the manifest, or would be outside the folder.
    """
    target, version = parent / volume, result.model.version
    if (target / MANIFEST_NAME).is_file():
        verify_model(target, version)
        return result.at(str(target))
    parent.mkdir(parents=True, exist_ok=True)
    source = modal.Volume.from_name(volume)
    with tempfile.TemporaryDirectory(prefix=f".{volume}-", dir=parent) as staged:
        root = Path(staged) / volume
        names = [entry.path for entry in source.listdir(result.model.name, recursive=True) if entry.type.name == "FILE"]
        for name in [*names, MANIFEST_NAME]:
            path = inside(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                source.read_file_into_fileobj(name, file)
        verify_model(root, version)
        shutil.rmtree(target, ignore_errors=True)
        root.rename(target)
    return result.at(str(target))


def inside(root: Path, name: str) -> Path:
    """Return the path of a Volume's file below `root`.

    Raises:
        DamagedError: for a name that leads outside.
    """
    path = PurePosixPath(name.lstrip("/"))
    if ".." in path.parts or not path.parts:
        raise DamagedError(
            f"the Volume has a file {name!r}, which would be outside {root}: nothing was written there", file=name
        )
    return root / path


# --- pruning ----------------------------------------------------------------------------------------------------


def trainings(runs_folder: Path) -> list[TrainingFiles]:
    """List the Volume of every training run."""
    with one_line_modal_errors("listing Volumes on Modal"):
        found = [volume for volume in modal.Volume.objects.list() if volume.name and RUN_VOLUME.fullmatch(volume.name)]
        return [
            TrainingFiles(volume.name or "", created, created, partial(_is_finished, volume.name or ""))
            for volume in found
            for created in [volume.info().created_at]
        ]


def _is_finished(name: str) -> bool:
    with one_line_modal_errors(f"listing the Volume {name}"):
        return any(entry.path.lstrip("/") == "manifest.json" for entry in modal.Volume.from_name(name).listdir("/"))


def delete(runs_folder: Path, name: str) -> None:
    """Delete a training run's Volume for good.

    Raises:
        ValueError: when the Volume isn't a training run's.
    """
    if not RUN_VOLUME.fullmatch(name):
        raise ValueError(f"{name!r} is not the Volume of a training run")
    with one_line_modal_errors(f"deleting the Volume {name}"):
        modal.Volume.objects.delete(name)
