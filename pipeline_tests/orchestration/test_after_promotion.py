"""A promotion launches what has to follow it, where that is switched on."""

import dagster as dg
import pytest

from pipeline.definitions import defs
from pipeline.orchestration.assets.exporting import export_after_promotion
from pipeline.orchestration.assets.mining import mine_after_promotion
from pipeline.orchestration.steps import PRODUCTION


@pytest.mark.parametrize(("sensor", "job"), [(mine_after_promotion, "mine"), (export_after_promotion, "export")])
@pytest.mark.parametrize(("decision", "runs"), [("promoted", 1), ("rolled back", 1), ("confirmed", 0)])
def test_a_promotion_launches_one_run_unless_it_confirms_what_is_there(
    sensor: dg.SensorDefinition, job: str, decision: str, runs: int
) -> None:
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    assert sensor.job_name == job

    @dg.asset(name=PRODUCTION)
    def promoted() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"decision": decision, "model_version": "m2"})

    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([promoted], instance=instance)
        context = dg.build_sensor_context(instance, repository_def=defs.get_repository_def())
        tick = sensor.evaluate_tick(context)
    assert len(tick.run_requests or []) == runs
    if runs:
        assert tick.run_requests is not None
        assert tick.run_requests[0].tags["model_version"] == "m2"
