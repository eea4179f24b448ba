"""The record of which model is in production: what it holds, and how it is read, with its history."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from pipeline.core.errors import PipelineError
from pipeline.core.files import content_version
from pipeline.core.store import Pointer, VersionStore
from pipeline.core.values import StoredValue, Upgrade
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel


class ProductionModel(StoredValue):
    """The model in production, and how it got there. The chain of `previous` is the history.

    Attributes:
        report: the measurement that it was accepted on.
        run_id: the run that trained it.
        promoted_at: ISO 8601, UTC.
        is_rollback: chosen by hand, whatever its figures.
        previous: data version of the record that this one replaced; None for the first record.
        previous_sha256: of the bytes of that record's file; None where it isn't known.
    """

    stored_name: ClassVar[str] = "ProductionModel"
    schema_number: ClassVar[int] = 2
    upgrades: ClassVar[Mapping[int, Upgrade]] = {1: lambda fields: {**fields, "previous_sha256": None}}

    model: FineTunedModel
    report: EvaluationReport
    run_id: str
    promoted_at: str
    is_rollback: bool
    previous: str | None
    previous_sha256: str | None = None

    @property
    def data_version(self) -> str:
        """Hash of what is in production, and since when."""
        return content_version(
            [self.model.data_version, self.report.data_version, self.run_id, self.promoted_at, self.previous]
        )


@dataclass(frozen=True)
class UnreadableRecord:
    """A record that exists and can't be read. It stops nothing: a model can be promoted over it, or rolled back to.

    Attributes:
        version: its data version; None if the pointer to it can't be read and the records don't tell.
        reason: why, in one line.
    """

    version: str | None
    reason: str

    @property
    def message(self) -> str:
        """The reason in a sentence."""
        return f"the record of the model in production can't be read ({self.reason})"


InProduction = ProductionModel | UnreadableRecord | None
"""What is in production; None before the first promotion."""


def current_production(store: VersionStore, asset: str) -> InProduction:
    """What is in production now, by the records that `asset` keeps."""
    try:
        if not store.has(asset):
            return None
        pointer = store.resolve(asset)
    except PipelineError as error:
        return UnreadableRecord(_newest_record(store, asset), error.message)
    return _read(store, asset, pointer.version, pointer)


def earlier_production(
    store: VersionStore, asset: str, record: ProductionModel
) -> Iterator[ProductionModel | UnreadableRecord]:
    """The records before this one, newest first, up to the first one that can't be read."""
    found: ProductionModel | UnreadableRecord = record
    while isinstance(found, ProductionModel) and found.previous:
        found = _earlier(store, asset, found.previous, found.previous_sha256)
        yield found


def _earlier(store: VersionStore, asset: str, version: str, sha256: str | None) -> ProductionModel | UnreadableRecord:
    """A record of the history. Where its file's name was taken by damaged bytes, it has another one."""
    names = [f"{version}.json", *sorted(path.name for path in store.folder(asset).glob(f"{version}-*.json"))]
    pointers = [Pointer(version=version, file=name, run_id="", sha256=sha256) for name in names]
    records = [_read(store, asset, version, pointer) for pointer in pointers]
    return next((record for record in records if isinstance(record, ProductionModel)), records[0])


def _newest_record(store: VersionStore, asset: str) -> str | None:
    """The version of the record that no other one has replaced; None where that isn't one record.

    The history goes on from it where the pointer to the current record is lost.
    """
    versions, replaced = set(), set()
    for path in store.folder(asset).glob("*.json"):
        version = path.name.partition(".")[0].partition("-")[0]
        found = _read(store, asset, version, Pointer(version=version, file=path.name, run_id=""))
        if isinstance(found, ProductionModel):
            versions.add(version)
            replaced.add(found.previous)
    newest = versions - replaced
    return newest.pop() if len(newest) == 1 else None


def _read(store: VersionStore, asset: str, version: str, pointer: Pointer) -> ProductionModel | UnreadableRecord:
    try:
        return store.read(asset, ProductionModel, pointer)
    except PipelineError as error:
        return UnreadableRecord(version, error.message)
