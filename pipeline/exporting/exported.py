"""An export in the store: its value, and its files on this machine. Imports neither torch nor transformers."""

import shutil
import uuid
from pathlib import Path
from typing import ClassVar

from pipeline.core.errors import DamagedError, MismatchError, PipelineError, reason_of
from pipeline.core.files import flush_files, flush_folder, replacing
from pipeline.core.store import VersionStore
from pipeline.core.values import StoredValue
from pipeline.exporting.parity import Parity
from pipeline.exporting.record import AGAIN, RECORD_FILE, ExportRecord, read_record, require_intact
from pipeline.models.info import ModelInfo

_CACHE = Path("~/.cache/quora-finetuning-pipeline/exports")


class ExportedModel(StoredValue):
    """An exported model, with its files below the same home.

    Attributes:
        record: its `export.json`.
        model: the exported model.
        parity: the comparison with the model.
        eval_version: data version of the pairs of that comparison.
        folder: path of its files below the home.
    """

    stored_name: ClassVar[str] = "ExportedModel"

    record: ExportRecord
    model: ModelInfo
    parity: Parity
    eval_version: str
    folder: str

    @property
    def data_version(self) -> str:
        """Hash of the export's files and settings."""
        return self.record.identity


def store_files(store: VersionStore, place: str, folder: Path, record: ExportRecord) -> None:
    """Copy the files of an export below a store's home, `export.json` last.

    Args:
        place: path below the home; it contains the export's identity, so concurrent writers write the same bytes.
        folder: the source.
    """
    for name in (*record.files, RECORD_FILE):
        with (
            (folder / name).open("rb") as source,
            replacing(store.root / place / name) as temporary,
            temporary.open("wb") as target,
        ):
            shutil.copyfileobj(source, target)


def export_folder(store: VersionStore, value: ExportedModel, cache: Path = _CACHE) -> Path:
    """Return the folder of an export on this machine, after verifying its files.

    Args:
        cache: for copies of files from a remote store.

    Raises:
        PipelineError: when a file is missing or damaged.
    """
    place = store.root / value.folder
    if isinstance(place, Path):
        _require(place, value)
        return place
    cache = cache.expanduser()
    folder = cache / value.record.identity
    if folder.is_dir():
        try:
            _require(folder, value)
        except PipelineError:
            # It is a copy, so copy it again below.
            shutil.rmtree(folder)
        else:
            return folder
    staging = cache / f".{folder.name}.{uuid.uuid4().hex}.tmp"
    staging.mkdir(parents=True)
    try:
        for name in (*value.record.files, RECORD_FILE):
            try:
                with (place / name).open("rb") as source, (staging / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
            except FileNotFoundError as error:
                raise DamagedError(
                    f"the export lacks {place / name} ({reason_of(error)}): {AGAIN}", path=place / name
                ) from error
        _require(staging, value)
        flush_files(staging)
        try:
            staging.rename(folder)
        except OSError:
            # Another process has copied it in the meantime.
            _require(folder, value)
        flush_folder(cache)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder


def _require(folder: Path, value: ExportedModel) -> None:
    record = read_record(folder)
    if record != value.record:
        raise MismatchError(
            f"{folder / RECORD_FILE} belongs to another export ({record.identity}): {AGAIN}",
            folder=folder,
            identity=record.identity,
        )
    require_intact(folder, record)
