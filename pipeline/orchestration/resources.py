"""What assets ask Dagster for: a store that keeps values by version, and a place to compute."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import pyarrow.parquet as pq
from upath import UPath

from pipeline.compute.base import Compute
from pipeline.compute.local import LocalCompute
from pipeline.compute.modal.settings import ModalSettings
from pipeline.core.errors import PipelineError
from pipeline.core.references import FineTunedModel, ModelReference, Reference
from pipeline.core.storage import (
    Pointer,
    VersionStore,
    default_home,
    default_runs_folder,
    json_text,
    local_folder,
    replacing,
    write_bytes,
    write_text,
)
from pipeline.evaluation.report import EvaluationReport
from pipeline.quality.promotion import ProductionModel
from pipeline.question_pairs.schema import PairTable
from pipeline.reporting.leaderboard import Leaderboard

_REFERENCES: dict[str, type[Reference]] = {
    cls.__name__: cls for cls in (ModelReference, FineTunedModel, EvaluationReport, Leaderboard, ProductionModel)
}
ReferenceT = TypeVar("ReferenceT", bound=Reference)

REPORT_FILE_NAME = "report.json"
_OTHER_REPORTS = "model_leaderboard/reports"
_REPORT_FOLDERS = ("baseline_eval_report", "post_train_eval_report", _OTHER_REPORTS)


class VersionedIOManager(dg.ConfigurableIOManager):
    """Keeps question pairs as Parquet and references as JSON, by data version, below `PIPELINE_HOME`."""

    home: str

    def handle_output(self, context: dg.OutputContext, obj: PairTable | Reference) -> None:
        """Write the value under its version, then point this run and the asset's current version to it."""
        asset = context.asset_key.to_user_string()
        store = VersionStore(self.home)
        file = write_value(store.folder(asset), obj)
        store.point_to(asset, Pointer(obj.data_version, file, context.run_id))
        context.add_output_metadata({"dagster/uri": str(store.folder(asset) / file)})

    def load_input(self, context: dg.InputContext) -> PairTable | Reference:
        """Read what this run made, or the run that it re-executes; else what is current."""
        run_id = context.step_context.run_id
        runs = [run_id]
        if (run := context.instance.get_run_by_id(run_id)) is not None:
            runs += [other for other in (run.parent_run_id, run.root_run_id) if other]
        try:
            return load_value(VersionStore(self.home), context.asset_key.to_user_string(), runs)
        except PipelineError as error:
            raise dg.Failure(str(error), allow_retries=False) from error


def write_value(folder: UPath | Path, value: PairTable | Reference) -> str:
    """Write a value below an asset's folder under its version; returns the name of its main file."""
    version = value.data_version
    if isinstance(value, PairTable):
        file = f"{version}.parquet"
        with replacing(folder / file) as path, path.open("wb") as stream:
            pq.write_table(value.to_arrow(), stream, compression="zstd")
        return file
    text = json_text({"type": type(value).__name__, "value": value.model_dump(mode="json")})
    if isinstance(value, EvaluationReport):
        # Draws pictures, with libraries that loading the definitions must not import.
        from pipeline.reporting.rendering import report_files

        for name, content in report_files(value):
            write_bytes(folder / version / name, content)
        file = f"{version}/{REPORT_FILE_NAME}"
    elif isinstance(value, Leaderboard):
        write_text(folder / version / "leaderboard.csv", value.to_frame().to_csv(index=False))
        file = f"{version}/leaderboard.json"
    else:
        file = f"{version}.json"
    write_text(folder / file, text)
    return file


def load_value(store: VersionStore, asset: str, run_ids: Sequence[str] = ()) -> PairTable | Reference:
    """Read what one of the runs made of an asset, else its current value.

    Raises:
        PipelineError: when nothing has been materialised, or the stored file is gone or not what was written.
    """
    return _read(store, asset, store.resolve(asset, run_ids))


def load_from_run(store: VersionStore, asset: str, run_id: str, kind: type[ReferenceT]) -> ReferenceT:
    """Read what this very run made of an asset; the head of the run's id is enough.

    Raises:
        PipelineError: when it made none, or the stored file is gone or not what was written.
    """
    return _as(kind, _read(store, asset, store.of_run(asset, run_id)), asset)


def load_version(store: VersionStore, asset: str, version: str, kind: type[ReferenceT]) -> ReferenceT:
    """Read one version of an asset that is stored as a single JSON file, whichever run made it.

    Raises:
        PipelineError: when it isn't there, or isn't what was written.
    """
    return _as(kind, _read(store, asset, Pointer(version, f"{version}.json", run_id="")), asset)


def current_production(store: VersionStore) -> ProductionModel | None:
    """What is in production; None before the first promotion.

    Raises:
        PipelineError: when its record is gone or not what was written.
    """
    if not store.has("production_model"):
        return None
    return _as(ProductionModel, load_value(store, "production_model"), "production_model")


def _as(kind: type[ReferenceT], value: PairTable | Reference, asset: str) -> ReferenceT:
    if not isinstance(value, kind):
        raise TypeError(f"{asset} is stored as {type(value).__name__}, not {kind.__name__}")
    return value


def _read(store: VersionStore, asset: str, pointer: Pointer) -> PairTable | Reference:
    path = store.folder(asset) / pointer.file
    value: PairTable | Reference
    try:
        if path.suffix == ".parquet":
            with path.open("rb") as stream:
                value = PairTable.from_arrow(pq.read_table(stream))
        else:
            stored = json.loads(path.read_text(encoding="utf-8"))
            value = _REFERENCES[stored["type"]].model_validate(stored["value"])
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PipelineError(f"{asset}: can't read {path} ({reason}): rematerialise {asset}") from error
    if value.data_version != pointer.version:
        raise PipelineError(f"{asset}: the content of {path} has changed since it was written: rematerialise {asset}")
    return value


class ReportHistory(dg.ConfigurableResource[Any]):
    """All evaluation reports that were ever stored, whatever run made them."""

    home: str

    def reports(self) -> tuple[list[EvaluationReport], int]:
        """Every stored report that is what was written, and how many aren't: those that older code wrote, too."""
        store, found, unreadable = VersionStore(self.home), [], 0
        for asset in _REPORT_FOLDERS:
            paths: Iterable[UPath | Path] = store.folder(asset).glob(f"*/{REPORT_FILE_NAME}")
            for version in (path.parent.name for path in paths):
                pointer = Pointer(version, f"{version}/{REPORT_FILE_NAME}", run_id="")
                try:
                    found.append(_as(EvaluationReport, _read(store, asset, pointer), asset))
                except PipelineError:
                    unreadable += 1
        return found, unreadable

    def add(self, report: EvaluationReport) -> None:
        """Store a report that no asset stands for."""
        write_value(VersionStore(self.home).folder(_OTHER_REPORTS), report)


class StoreResource(dg.ConfigurableResource[VersionStore]):
    """The store itself, for assets that look at what earlier runs made.

    Attributes:
        home: `PIPELINE_HOME`, as of the I/O manager.
    """

    home: str

    def create_resource(self, context: dg.InitResourceContext) -> VersionStore:
        """Dagster's hook: the object that assets get."""
        return VersionStore(self.home)


class ComputeResource(dg.ConfigurableResource[Compute]):
    """Where models are trained and evaluated.

    Attributes:
        kind: `local`, this machine, or `modal`.
        runs_folder: where run folders are made, or models brought to from Modal; it must be on a local disk.
    """

    kind: str
    runs_folder: str

    def create_resource(self, context: dg.InitResourceContext) -> Compute:
        """Dagster's hook: the object that assets get."""
        return create_compute(self.kind, self.runs_folder)


def _local(runs_folder: Path) -> Compute:
    return LocalCompute(runs_folder)


def _modal(runs_folder: Path) -> Compute:
    # Imports modal, which the definitions must not.
    from pipeline.compute.modal.client import ModalCompute

    return ModalCompute(runs_folder)


_COMPUTES: dict[str, Callable[[Path], Compute]] = {"local": _local, "modal": _modal}


def compute_kind() -> str:
    """Where models are trained and evaluated: `PIPELINE_COMPUTE`, else `local`."""
    return os.environ.get("PIPELINE_COMPUTE") or "local"


def check_compute(kind: str, runs_folder: str) -> Path:
    """Check a choice of compute without loading what it needs; returns the folder.

    Raises:
        PipelineError: for a kind that there isn't, a folder that isn't on a local disk, or a setting of Modal's that
            makes no sense.
    """
    if kind not in _COMPUTES:
        raise PipelineError(
            f"PIPELINE_COMPUTE is {kind!r}, but there is only: {', '.join(_COMPUTES)}; unset it to compute here"
        )
    if kind == "modal":
        ModalSettings.from_environment()
    return local_folder(runs_folder)


def create_compute(kind: str, runs_folder: str) -> Compute:
    """The compute of that kind; see `check_compute`."""
    return _COMPUTES[kind](check_compute(kind, runs_folder))


def default_resources() -> dict[str, Any]:
    """The resources as environment variables choose them: they say *where*, config says *what*.

    Raises:
        PipelineError: when they choose what there isn't, so that it shows when the definitions are loaded.
    """
    kind, runs_folder = compute_kind(), default_runs_folder()
    check_compute(kind, runs_folder)
    return {
        "io_manager": VersionedIOManager(home=default_home()),
        "report_history": ReportHistory(home=default_home()),
        "store": StoreResource(home=default_home()),
        "compute": ComputeResource(kind=kind, runs_folder=runs_folder),
    }
