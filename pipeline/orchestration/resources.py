"""The resources of the assets: the store of values, the reports of earlier runs, and the compute backend."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipeline.compute.base import Compute
from pipeline.compute.choice import backend, create_compute
from pipeline.core.errors import PipelineError
from pipeline.core.files import write_bytes
from pipeline.core.store import Pointer, VersionStore
from pipeline.core.values import StoredValue
from pipeline.evaluation.report import EvaluationReport
from pipeline.orchestration.asset_values import (
    REPORT_FILE_NAME,
    load_value,
    store_value,
    stored_by_step,
    write_value,
)
from pipeline.orchestration.failures import one_line_failures
from pipeline.orchestration.runs import with_ancestors
from pipeline.question_pairs.schema import PairTable
from pipeline.reporting.leaderboard import SUMMARY_FILE_NAME, ReportSummary, SummarisedReport
from pipeline.settings import environment

if TYPE_CHECKING:
    from upath import UPath

_OTHER_REPORTS = "model_leaderboard/reports"
_REPORT_FOLDERS = ("baseline_eval_report", "post_train_eval_report", _OTHER_REPORTS)


class VersionedIOManager(dg.ConfigurableIOManager):
    """Stores the values of assets by data version, below `PIPELINE_HOME`."""

    home: str

    def handle_output(self, context: dg.OutputContext, obj: PairTable | StoredValue) -> None:
        """Write the value under its version, then point this run and the asset's current version to it."""
        asset, store = context.asset_key.to_user_string(), VersionStore(self.home)
        with one_line_failures():
            pointer = stored_by_step(store, asset, obj.data_version, context.run_id) or store_value(
                store, asset, obj, context.run_id
            )
        context.add_output_metadata({"dagster/uri": str(store.folder(asset) / pointer.file)})

    def load_input(self, context: dg.InputContext) -> PairTable | StoredValue:
        """Read what this run made, or a run that it re-executes; otherwise the current value."""
        runs = with_ancestors(context.instance, context.step_context.run_id)
        with one_line_failures():
            value: PairTable | StoredValue = load_value(
                VersionStore(self.home), context.asset_key.to_user_string(), runs
            )
        return value


class ReportHistory(dg.ConfigurableResource[Any]):
    """All evaluation reports that were ever stored, by any run."""

    home: str

    def reports(self) -> tuple[list[SummarisedReport], int]:
        """Every stored report, and how many can't be read. A report of an earlier release gets a summary here."""
        store, found, unreadable = VersionStore(self.home), [], 0
        for asset in _REPORT_FOLDERS:
            for pointer in store.versions(asset, REPORT_FILE_NAME):
                read = partial(store.read, asset, EvaluationReport, pointer)
                summary_file = (store.folder(asset) / pointer.file).parent / SUMMARY_FILE_NAME
                try:
                    summary = _summary(summary_file, pointer) or _summarise(read(), summary_file)
                except PipelineError:
                    unreadable += 1
                else:
                    found.append(SummarisedReport(summary, read))
        return found, unreadable

    def add(self, report: EvaluationReport) -> SummarisedReport:
        """Store a report that is no asset's value."""
        write_value(VersionStore(self.home).folder(_OTHER_REPORTS), report)
        return SummarisedReport.of(report)


def _summary(path: "UPath | Path", pointer: Pointer) -> ReportSummary | None:
    """The summary of a report; None if there is none, it is damaged, or a newer release wrote it."""
    try:
        summary = ReportSummary.from_checked_json(path.read_bytes())
    except (OSError, ValueError, PipelineError):
        return None
    return summary if summary.report_version == pointer.version else None


def _summarise(report: EvaluationReport, path: "UPath | Path") -> ReportSummary:
    summary = ReportSummary.of(report)
    write_bytes(path, summary.to_checked_json())
    return summary


class StoreResource(dg.ConfigurableResource[VersionStore]):
    """The store itself, for assets that read what earlier runs made.

    Attributes:
        home: `PIPELINE_HOME`, as of the I/O manager.
    """

    home: str

    def create_resource(self, context: dg.InitResourceContext) -> VersionStore:
        """Return the object that assets get."""
        return VersionStore(self.home)


class ComputeResource(dg.ConfigurableResource[Compute]):
    """Where models are trained and evaluated.

    Attributes:
        kind: as `PIPELINE_COMPUTE` has it.
        runs_folder: where run folders are made and models are downloaded to. It must be on a local disk.
    """

    kind: str
    runs_folder: str

    def create_resource(self, context: dg.InitResourceContext) -> Compute:
        """Return the object that assets get."""
        return create_compute(self.kind, Path(self.runs_folder))


def default_resources() -> dict[str, Any]:
    """The resources as environment variables choose them: they say *where*, config says *what*.

    Raises:
        PipelineError: when a variable is invalid, so that loading the definitions fails.
    """
    kind, home = environment.compute_kind(), environment.home()
    backend(kind).check()
    return {
        "io_manager": VersionedIOManager(home=home),
        "report_history": ReportHistory(home=home),
        "store": StoreResource(home=home),
        "compute": ComputeResource(kind=kind, runs_folder=str(environment.runs_folder())),
    }
