"""Stores the values of assets by version, and reads them: question pairs as Parquet, all else as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from pipeline.core.errors import PipelineError
from pipeline.core.files import bytes_sha256, free_name, write_bytes
from pipeline.core.locks import locked
from pipeline.core.store import Pointer, VersionStore, changed, register_together, stored_text, unreadable
from pipeline.core.values import StoredValue
from pipeline.duplicates.stored import MinedDuplicates, QuestionEmbeddings, QuestionIndex, QuestionSet
from pipeline.evaluation.report import EvaluationReport
from pipeline.exporting.exported import ExportedModel
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.orchestration.steps import PRODUCTION
from pipeline.quality.production_record import ProductionModel
from pipeline.question_pairs.schema import PairTable
from pipeline.reporting.leaderboard import Leaderboard

if TYPE_CHECKING:
    from pathlib import Path

    from upath import UPath

_KINDS: dict[str, type[StoredValue]] = {
    kind.stored_name: kind
    for kind in (
        ModelInfo,
        FineTunedModel,
        EvaluationReport,
        Leaderboard,
        ProductionModel,
        QuestionSet,
        QuestionEmbeddings,
        MinedDuplicates,
        QuestionIndex,
        ExportedModel,
    )
}

SIDES = ("train_split", "dev_split", "eval_split")
_STORED_BY_STEPS = {*SIDES, PRODUCTION}

register_together("splits", SIDES)

REPORT_FILE_NAME = "report.json"
_MAIN_FILES: dict[type, str] = {EvaluationReport: REPORT_FILE_NAME, Leaderboard: "leaderboard.json"}
"""Values that are stored as a folder, and the file in it that the value is read from."""


class Written(NamedTuple):
    """A file that was written.

    Attributes:
        file: its path below the asset's folder.
    """

    file: str
    sha256: str


def write_value(folder: "UPath | Path", value: PairTable | StoredValue) -> Written:
    """Write a value below an asset's folder under its version."""
    version, side_files = value.data_version, dict(_side_files(value))
    if isinstance(value, PairTable):
        main, content = f"{version}.parquet", _parquet(value)
    else:
        main = f"{version}/{_MAIN_FILES[type(value)]}" if type(value) in _MAIN_FILES else f"{version}.json"
        content = stored_text(value, {name: bytes_sha256(side) for name, side in side_files.items()}).encode()
    with locked(folder):
        # Last, since readers start from it.
        file = free_name(folder, main, content)
        for name, side in side_files.items():
            write_bytes((folder / file).parent / name, side)
        write_bytes(folder / file, content)
    return Written(file, bytes_sha256(content))


def _side_files(value: PairTable | StoredValue) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the files next to the main file of a value, which are for people."""
    if isinstance(value, EvaluationReport):
        # Draws pictures, with libraries that loading the definitions must not import.
        from pipeline.reporting.result_files import report_files

        yield from report_files(value)
    elif isinstance(value, Leaderboard):
        yield "leaderboard.csv", value.to_csv().encode()


def _parquet(table: PairTable) -> bytes:
    from pyarrow import parquet

    stream = pa.BufferOutputStream()
    parquet.write_table(table.to_arrow(), stream, compression="zstd")
    return bytes(stream.getvalue())


def pointer_to(store: VersionStore, asset: str, value: PairTable | StoredValue, run_id: str) -> Pointer:
    """Write a value, and return what points to it; nothing points to it yet."""
    written = write_value(store.folder(asset), value)
    return Pointer(version=value.data_version, file=written.file, run_id=run_id, sha256=written.sha256)


def store_value(store: VersionStore, asset: str, value: PairTable | StoredValue, run_id: str) -> Pointer:
    """Write a value and make it the asset's current one, and what this run made."""
    pointer = pointer_to(store, asset, value, run_id)
    store.point_to(asset, pointer)
    return pointer


def store_together(store: VersionStore, values: Mapping[str, PairTable], run_id: str) -> None:
    """As `store_value`, for all assets of a set: readers find all of them or none, even if this process is killed."""
    pointers = {asset: pointer_to(store, asset, value, run_id) for asset, value in values.items()}
    store.point_to_together(pointers, run_id)


def stored_by_step(store: VersionStore, asset: str, version: str, run_id: str) -> Pointer | None:
    """The pointer of a value that its step has stored itself, because it is published with others or compared with the
    current one first; None for all other values."""
    pointer = store.made_by(asset, run_id) if asset in _STORED_BY_STEPS else None
    return pointer if pointer and pointer.version == version else None


def load_value(store: VersionStore, asset: str, run_ids: Sequence[str] = ()) -> Any:
    """Read what one of the runs made of an asset, else its current value: question pairs or a stored value.

    Raises:
        PipelineError: when there is none, or the stored file is missing or damaged.
    """
    return load_pointed(store, asset, store.resolve(asset, run_ids))


def load_pointed(store: VersionStore, asset: str, pointer: Pointer) -> Any:
    """The value that a pointer names.

    Raises:
        PipelineError: when its file is missing or damaged.
    """
    if pointer.file.endswith(".parquet"):
        return _read_pairs(store, asset, pointer)
    return store.read_any(asset, _KINDS, pointer)


def stored_pairs(store: VersionStore, asset: str, version: str) -> PairTable | None:
    """The pairs of a version, whichever run made them; None if they are not stored, or damaged."""
    folder = store.folder(asset)
    for name in sorted(path.name for path in folder.glob(f"{version}*.parquet")):
        try:
            return _read_pairs(store, asset, Pointer(version=version, file=name, run_id=""))
        except PipelineError:
            continue
    return None


def stored_models(store: VersionStore) -> Iterator[FineTunedModel]:
    """Every fine-tuned model that is stored and can be read, whichever run made it."""
    folder = store.folder("fine_tuned_model")
    for name in sorted(path.name for path in folder.glob("*.json")):
        pointer = Pointer(version=name.partition(".")[0].partition("-")[0], file=name, run_id="")
        with suppress(PipelineError):
            yield store.read("fine_tuned_model", FineTunedModel, pointer)


def _read_pairs(store: VersionStore, asset: str, pointer: Pointer) -> PairTable:
    from pyarrow import parquet

    path, content = store.folder(asset) / pointer.file, store.read_bytes(asset, pointer)
    try:
        table = PairTable.from_arrow(parquet.read_table(pa.BufferReader(content)))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise unreadable(asset, path, error) from error
    if table.data_version != pointer.version:
        raise changed(asset, path)
    return table
