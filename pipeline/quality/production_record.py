"""The record of which model is in production: what it holds, and how it is read, with its history."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from pipeline.core.errors import PipelineError
from pipeline.core.files import content_version
from pipeline.core.store import Pointer, VersionStore
from pipeline.core.values import StoredValue
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel


class ProductionModel(StoredValue):
    """The model in production, and how it came there. The chain of `previous` is the history.

    Attributes:
        report: the measurement that it was accepted on.
        run_id: the run that trained it.
        promoted_at: ISO 8601, UTC.
        is_rollback: chosen by hand, whatever its figures.
        previous: data version of the record that this one replaced; None for the first.
    """

    stored_name: ClassVar[str] = "ProductionModel"

    model: FineTunedModel
    report: EvaluationReport
    run_id: str
    promoted_at: str
    is_rollback: bool
    previous: str | None

    @property
    def data_version(self) -> str:
        """Hash of what is in production, and since when."""
        return content_version(
            [self.model.data_version, self.report.data_version, self.run_id, self.promoted_at, self.previous]
        )


@dataclass(frozen=True)
class UnreadableRecord:
    """A record that is there and can't be read. It stops nothing: a model can be promoted over it, or rolled back to.

    Attributes:
        version: its data version; None where even the pointer to it can't be read.
        reason: why, in one line.
    """

    version: str | None
    reason: str

    @property
    def said(self) -> str:
        """For a finding."""
        return f"the record of the model in production can't be read ({self.reason})"


InProduction = ProductionModel | UnreadableRecord | None
"""What is in production; None before the first promotion."""


def current_production(store: VersionStore, asset: str) -> InProduction:
    """What is in production now, by the records that `asset` keeps."""
    if not store.has(asset):
        return None
    try:
        pointer = store.resolve(asset)
    except PipelineError as error:
        return UnreadableRecord(None, error.message)
    return _read(store, asset, pointer.version, pointer)


def earlier_production(
    store: VersionStore, asset: str, record: ProductionModel
) -> Iterator[ProductionModel | UnreadableRecord]:
    """The records before this one, newest first, up to the first one that can't be read."""
    previous = record.previous
    while previous:
        found = _read(store, asset, previous, Pointer(version=previous, file=f"{previous}.json", run_id=""))
        yield found
        previous = found.previous if isinstance(found, ProductionModel) else None


def _read(store: VersionStore, asset: str, version: str, pointer: Pointer) -> ProductionModel | UnreadableRecord:
    try:
        return store.read(asset, ProductionModel, pointer)
    except PipelineError as error:
        return UnreadableRecord(version, error.message)
