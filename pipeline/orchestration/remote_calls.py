"""Keeps track of calls on other machines in Dagster: records them in run tags, finds them again, says when to end them.

A run's tags outlive its worker, and a re-execution inherits them. So a call is recorded there before anyone waits for
it, and is taken up again by whatever run asks for the same result.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from pipeline.compute.base import EarlierCall, RemoteCall, RemoteHooks, RemoteUsage
from pipeline.core.references import Cost

_PREFIX = "modal/"
_CALL_ID = "modal_call"
"""Metadata of a materialisation: the call that its value came from."""

_SERVED = ".dagster/grpc_info"
"""Tag of a run that a server launched; a command line's has none."""

_LOOKED_AT = 100
"""Materialisations among which a used call is sought."""


class CallRecords:
    """The calls of one step.

    Attributes:
        metadata: what the step's calls add to the metadata of its asset.
        cost: of the last call that was waited for; None where none was, or no price is known.
    """

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        """For the step of this context, of one asset."""
        self.metadata: dict[str, Any] = {}
        self.cost: Cost | None = None
        self._context = context
        self._asset = context.asset_key

    def hooks(self, train_anew: bool = False, download_model: bool = False) -> RemoteHooks:
        """What the compute tells and asks."""
        return RemoteHooks(
            on_submitted=self._record,
            find_call=self._find,
            is_cancelled=self._is_cancelled,
            on_usage=self._take_usage,
            train_anew=train_anew,
            download_model=download_model,
        )

    def _record(self, call: RemoteCall) -> None:
        self._context.instance.add_run_tags(
            self._context.run_id, {_tag(self._asset, name): value for name, value in call.model_dump().items() if value}
        )
        self.metadata |= {
            _CALL_ID: call.call_id,
            "modal_app": call.app,
            "modal_call_page": dg.MetadataValue.url(call.url),
            **({"modal_volume": call.volume} if call.volume else {}),
        }
        self._context.log.info(f"Modal call {call.call_id} of the app {call.app}: {call.url}")
        self._context.log_event(dg.AssetObservation(self._asset, metadata=self.metadata))

    def _find(self, fingerprint: str) -> EarlierCall | None:
        runs = self._context.instance.get_runs(
            filters=dg.RunsFilter(tags={_tag(self._asset, "fingerprint"): fingerprint}), limit=1
        )
        for run in runs:
            call = RemoteCall.model_validate(
                {name: run.tags.get(_tag(self._asset, name), "") for name in RemoteCall.model_fields}
            )
            return EarlierCall(call, self._is_used(call))
        return None

    def _is_used(self, call: RemoteCall) -> bool:
        records = self._context.instance.fetch_materializations(self._asset, limit=_LOOKED_AT).records
        metadata = [record.asset_materialization.metadata for record in records if record.asset_materialization]
        return any(_CALL_ID in values and values[_CALL_ID].value == call.call_id for values in metadata)

    def _is_cancelled(self) -> bool:
        """Whether the run is being terminated, or belongs to a command line: there Ctrl-C means stop, and stop paying.

        A server that goes down interrupts its runs too; those are re-executed, and find their calls again.
        """
        run = self._context.instance.get_run_by_id(self._context.run_id)
        return (
            run is None
            or run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
            or _SERVED not in run.tags
        )

    def _take_usage(self, usage: RemoteUsage) -> None:
        self.metadata |= {"gpu": usage.gpu, "gpu_seconds": usage.gpu_seconds, "attempts": usage.attempts}
        self.cost = usage.cost
        if usage.cost is None:
            self.metadata["estimated_cost"] = f"unknown: the price table has no {usage.gpu}"
        else:
            self.metadata |= {
                "estimated_cost": usage.cost.amount,
                "estimated_cost_unit": f"{usage.cost.currency}, GPU alone, prices of {usage.cost.prices_as_of}",
            }


def _tag(asset: dg.AssetKey, name: str) -> str:
    return f"{_PREFIX}{asset.to_python_identifier()}.{name}"


def recorded_calls(tags: Mapping[str, str]) -> dict[str, str]:
    """The ids of the calls that a run's tags record, by tag."""
    return {key: value for key, value in tags.items() if key.startswith(_PREFIX) and key.endswith(".call_id")}
