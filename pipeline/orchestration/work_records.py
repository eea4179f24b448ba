"""Records in Dagster the work that a step has handed to a compute, finds it again, and says when it is to end.

A run's tags outlive its worker, and a re-execution inherits them. So work is recorded there before anyone waits for
it, and is taken up again by whatever run asks for the same result.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from pipeline.compute.base import Backend, EarlierWork, Usage, WorkRecord
from pipeline.compute.choice import backend
from pipeline.compute.driver import Caller
from pipeline.core.values import Cost

PROCESS_TAG = "command_line/process"
"""Tag of a run that a command line does itself: the process that does it."""

_LOOKED_AT = 100
"""Materialisations among which used work is sought."""


class StepRecords(Caller):
    """The work of one step.

    Attributes:
        metadata: what the step's work adds to the metadata of its asset.
        cost: of all work that was waited for; None where none was, or a price isn't known.
    """

    def __init__(
        self, context: dg.AssetExecutionContext | dg.OpExecutionContext, kind: str, asset: dg.AssetKey | None = None
    ) -> None:
        """For the step of this context, whose work is done by a compute of this kind.

        Args:
            asset: that the step makes; None for that of the step itself, which an op has not.
        """
        self.metadata: dict[str, Any] = {}
        self.cost: Cost | None = None
        self._took_nothing = True
        self._without_price = ""
        self._context = context
        self._asset = asset or context.asset_key
        self._place = backend(kind)

    def record(self, work: WorkRecord) -> None:
        """Note work in the run's tags, and in the asset's events."""
        kind, place_name = self._place.kind, self._place.place_name
        self._context.instance.add_run_tags(
            self._context.run.run_id, _tags(self._place, self._prefix(work.fingerprint), work)
        )
        self.metadata |= {
            _call_key(self._place): work.call_id,
            f"{kind}_app": work.app,
            **({f"{kind}_call_page": dg.MetadataValue.url(work.url)} if work.url else {}),
            **({f"{kind}_{place_name}": work.place} if work.place else {}),
        }
        self._context.log.info(f"{self._place.title} call {work.call_id} of the app {work.app}: {work.url}")
        self._context.log_event(dg.AssetObservation(self._asset, metadata=self.metadata))

    def earlier(self, fingerprint: str) -> EarlierWork | None:
        """The newest work with this fingerprint that any run of this asset has recorded."""
        prefix = self._prefix(fingerprint)
        runs = self._context.instance.get_runs(
            filters=dg.RunsFilter(tags={f"{prefix}.fingerprint": fingerprint}), limit=1
        )
        for run in runs:
            record = WorkRecord(
                **{field: run.tags.get(f"{prefix}.{tag}", "") for field, tag in _fields(self._place).items()}
            )
            return EarlierWork(record, self._is_used(record))
        return None

    def wants_an_end(self) -> bool:
        """Whether the run is being terminated, or belongs to a command line: there Ctrl-C means stop, and stop paying.

        A server that goes down interrupts its runs too; those are re-executed, and find their work again. A run that a
        server launched has a `remote_job_origin`. So has a run of `python -m pipeline`, which has a process too. A run
        of Dagster's own command line has neither.
        """
        instance = self._context.instance
        run = instance.get_run_by_id(self._context.run.run_id)
        if run is None or run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED):
            return True
        return run.remote_job_origin is None or process_of(instance, run) is not None

    def took(self, usage: Usage) -> None:
        """Add what work took to the asset's metadata: the sum where a step has several pieces of work done."""
        self.cost = usage.cost if self._took_nothing else _sum(self.cost, usage.cost)
        self._took_nothing = False
        for key, amount in (("gpu_seconds", usage.gpu_seconds), ("attempts", usage.attempts)):
            self.metadata[key] = self.metadata.get(key, 0) + amount
        self.metadata["gpu"] = usage.gpu
        if usage.cost is None:
            self._without_price = usage.gpu
        if self.cost is None:
            self.metadata["estimated_cost"] = f"unknown: the price table has no {self._without_price}"
            self.metadata.pop("estimated_cost_unit", None)
        else:
            self.metadata |= {
                "estimated_cost": self.cost.amount,
                "estimated_cost_unit": f"{self.cost.currency}, GPU alone, prices of {self.cost.prices_as_of}",
            }

    def _prefix(self, fingerprint: str) -> str:
        """The prefix of the tags of one piece of work; each has its own."""
        asset = f"{self._place.kind}/{self._asset.to_python_identifier()}"
        return f"{asset}.{fingerprint}" if fingerprint else asset

    def _is_used(self, work: WorkRecord) -> bool:
        key = _call_key(self._place)
        records = self._context.instance.fetch_materializations(self._asset, limit=_LOOKED_AT).records
        metadata = [record.asset_materialization.metadata for record in records if record.asset_materialization]
        return any(key in values and values[key].value == work.call_id for values in metadata)


def _sum(cost: Cost | None, more: Cost | None) -> Cost | None:
    """Both costs, which are of one price table; None where one of them isn't known."""
    return cost.model_copy(update={"amount": cost.amount + more.amount}) if cost and more else None


def process_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """The process of a command line that does a run itself; None for other runs, which may have inherited its tag."""
    parent = instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
    process = run.tags.get(PROCESS_TAG)
    return None if parent and process == parent.tags.get(PROCESS_TAG) else process


def recorded_calls(place: Backend, tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(tag, call id) of the work that a run's tags record for one compute."""
    for tag, value in tags.items():
        if tag.startswith(f"{place.kind}/") and tag.endswith(".call_id"):
            yield tag, value


def _fields(place: Backend) -> dict[str, str]:
    """The fields of a record, and what the tag of each ends in."""
    return {field: place.place_name if field == "place" else field for field in WorkRecord.model_fields}


def _tags(place: Backend, prefix: str, work: WorkRecord) -> dict[str, str]:
    fields = {tag: getattr(work, field) for field, tag in _fields(place).items()}
    return {f"{prefix}.{tag}": value for tag, value in fields.items() if value}


def _call_key(place: Backend) -> str:
    """Metadata of a materialisation: the call that its value came from."""
    return f"{place.kind}_call"
