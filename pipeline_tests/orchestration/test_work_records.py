"""What a step's work on other machines adds to the metadata of its asset."""

from typing import Any

import dagster as dg
import pytest
from dagster_runs import metadata

from pipeline.compute.base import Usage
from pipeline.core.values import Cost
from pipeline.orchestration.work_records import StepRecords


def used(seconds: float, amount: float | None) -> Usage:
    cost = None if amount is None else Cost(amount=amount, currency="USD", prices_as_of="mid-2026")
    return Usage(gpu="T4", gpu_seconds=seconds, attempts=1, cost=cost)


def shown(*usages: Usage) -> tuple[dict[str, Any], Cost | None]:
    """The metadata of an asset whose step took that, and the cost."""
    costs = []

    @dg.asset
    def made(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        records = StepRecords(context, "modal")
        for usage in usages:
            records.took(usage)
        costs.append(records.cost)
        return dg.MaterializeResult(metadata=records.metadata)

    return metadata(dg.materialize([made]), "made"), costs[0]


def test_a_step_that_waits_for_several_calls_shows_what_they_took_together() -> None:
    found, cost = shown(used(10.0, 0.25), used(20.0, 0.5))
    assert (found["gpu"], found["gpu_seconds"], found["attempts"], found["estimated_cost"]) == ("T4", 30.0, 2, 0.75)
    assert found["estimated_cost_unit"] == "USD, GPU alone, prices of mid-2026"
    assert cost is not None
    assert cost.amount == 0.75


@pytest.mark.parametrize("amounts", [(0.25, None), (None, 0.25)])
def test_a_sum_with_an_unknown_cost_is_unknown(amounts: tuple[float | None, ...]) -> None:
    found, cost = shown(*(used(10.0, amount) for amount in amounts))
    assert found["estimated_cost"] == "unknown: the price table has no T4"
    assert "estimated_cost_unit" not in found
    assert cost is None
