"""Modal Volumes: one for each training run, and one for inputs that are uploaded once by content."""

import io
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import modal
import pyarrow.parquet as pq
from modal import exception as modal_errors

from pipeline.compute.modal.settings import INPUTS_VOLUME
from pipeline.core.errors import PipelineError
from pipeline.core.references import FineTunedModel, ModelReference
from pipeline.models.embedding_models import model_folder_version
from pipeline.question_pairs.schema import PairTable
from pipeline.training.run_folder import STEM, RunFolder

_VERSION = 2
RUN_VOLUME = re.compile(rf"{re.escape(STEM)}-\d+")
"""Names of the Volumes of training runs, and of nothing else."""


def create_run_volume(unix_time: int) -> str:
    """Make the Volume of a new training run; its name counts up while others hold the number."""
    while True:
        name = f"{STEM}-{unix_time}"
        try:
            modal.Volume.objects.create(name, version=_VERSION)
        except modal_errors.AlreadyExistsError:
            unix_time += 1
        else:
            return name


def volume_exists(name: str) -> bool:
    """Whether there is a Volume of that name."""
    try:
        modal.Volume.from_name(name).hydrate()
    except modal_errors.NotFoundError:
        return False
    return True


# --- inputs -----------------------------------------------------------------------------------------------------


def upload_pairs(*tables: PairTable) -> None:
    """Put splits where containers find them by data version."""
    _upload_missing({f"pairs/{table.data_version}.parquet": table for table in tables})


def upload_model(model: ModelReference) -> None:
    """Put a model folder of this machine where containers find it by version.

    Raises:
        PipelineError: when the folder is gone or has changed.
    """
    folder = Path(model.location)
    if not folder.is_dir() or model_folder_version(folder) != model.version:
        raise PipelineError(f"the model folder {folder} is gone or has changed: rematerialise the asset that names it")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    _upload_missing({f"models/{model.version}/{path.relative_to(folder).as_posix()}": path for path in files})


def _upload_missing(files: Mapping[str, Path | PairTable]) -> None:
    """Upload what isn't there under its name, which says the content."""
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


def upload_folder(volume: str, folder: Path) -> None:
    """Put all files of a folder into a Volume's root, replacing those of the same names."""
    with modal.Volume.from_name(volume).batch_upload(force=True) as batch:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                batch.put_file(path, path.relative_to(folder).as_posix())


def download_run(volume: str, result: FineTunedModel, fingerprint: str, parent: Path) -> FineTunedModel:
    """Bring a finished run's model and manifest to `<parent>/<volume>`, and check them against the seal.

    Returns:
        The result, with its places on this machine.

    Raises:
        PipelineError: when a file is not the one that was sealed, or would come to lie outside the folder.
    """
    target = parent / volume
    if target.is_dir() and (found := RunFolder(target).sealed_result(fingerprint)):
        return found
    parent.mkdir(parents=True, exist_ok=True)
    source = modal.Volume.from_name(volume)
    with tempfile.TemporaryDirectory(prefix=f".{volume}-", dir=parent) as staged:
        root = Path(staged) / volume
        names = [entry.path for entry in source.listdir(result.model.name, recursive=True) if entry.type.name == "FILE"]
        for name in [*names, "manifest.json"]:
            path = inside(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                source.read_file_into_fileobj(name, file)
        if RunFolder(root).sealed_result(fingerprint) is None:
            raise PipelineError(f"the Volume {volume} holds no finished training: materialise fine_tuned_model again")
        shutil.rmtree(target, ignore_errors=True)
        root.rename(target)
    return result.at(str(target))


def inside(root: Path, name: str) -> Path:
    """Where a file of a Volume belongs below `root`.

    Raises:
        PipelineError: for a name that climbs out.
    """
    path = PurePosixPath(name.lstrip("/"))
    if ".." in path.parts or not path.parts:
        raise PipelineError(
            f"the Volume names a file {name!r}, which would lie outside {root}: nothing was written there"
        )
    return root / path
