"""Stores the values of assets by version, and reads them: question pairs as Parquet, all else as JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.core.files import replacing, write_bytes, write_text
from pipeline.core.store import Pointer, VersionStore, changed, stored_text, unreadable
from pipeline.core.values import StoredValue
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.quality.production_record import ProductionModel
from pipeline.question_pairs.schema import PairTable
from pipeline.reporting.leaderboard import Leaderboard

if TYPE_CHECKING:
    from pathlib import Path

    from upath import UPath

_KINDS: dict[str, type[StoredValue]] = {
    kind.stored_name: kind for kind in (ModelInfo, FineTunedModel, EvaluationReport, Leaderboard, ProductionModel)
}

REPORT_FILE_NAME = "report.json"
_LEADERBOARD_FILE_NAME = "leaderboard.json"


def write_value(folder: "UPath | Path", value: PairTable | StoredValue) -> str:
    """Write a value below an asset's folder under its version; returns the name of its main file."""
    version = value.data_version
    if isinstance(value, PairTable):
        from pyarrow import parquet

        file = f"{version}.parquet"
        with replacing(folder / file) as path, path.open("wb") as stream:
            parquet.write_table(value.to_arrow(), stream, compression="zstd")
        return file
    if isinstance(value, EvaluationReport):
        # Draws pictures, with libraries that loading the definitions must not import.
        from pipeline.reporting.result_files import report_files

        for name, content in report_files(value):
            write_bytes(folder / version / name, content)
        file = f"{version}/{REPORT_FILE_NAME}"
    elif isinstance(value, Leaderboard):
        write_text(folder / version / "leaderboard.csv", value.to_csv())
        file = f"{version}/{_LEADERBOARD_FILE_NAME}"
    else:
        file = f"{version}.json"
    write_text(folder / file, stored_text(value))
    return file


def store_value(store: VersionStore, asset: str, value: PairTable | StoredValue, run_id: str) -> Pointer:
    """Write a value and make it the asset's current one, and what this run made."""
    pointer = Pointer(version=value.data_version, file=write_value(store.folder(asset), value), run_id=run_id)
    store.point_to(asset, pointer)
    return pointer


def load_value(store: VersionStore, asset: str, run_ids: Sequence[str] = ()) -> Any:
    """Read what one of the runs made of an asset, else its current value: question pairs or a stored value.

    Raises:
        PipelineError: when there is none, or the stored file is gone or not what was written.
    """
    pointer = store.resolve(asset, run_ids)
    path = store.folder(asset) / pointer.file
    if path.suffix == ".parquet":
        return _read_pairs(path, asset, pointer)
    return store.read_any(asset, _KINDS, pointer)


def _read_pairs(path: "UPath | Path", asset: str, pointer: Pointer) -> PairTable:
    from pyarrow import parquet

    try:
        with path.open("rb") as stream:
            table = PairTable.from_arrow(parquet.read_table(stream))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise unreadable(asset, path, error) from error
    if table.data_version != pointer.version:
        raise changed(asset, path)
    return table
