"""Sensors that launch a job when another model was promoted."""

import dagster as dg

from pipeline.orchestration.steps import PRODUCTION


def launched_after_promotion(name: str, job: str, what: str) -> dg.SensorDefinition:
    """A sensor that launches one run for each promotion and each roll-back; it is off until someone switches it on.

    Args:
        what: it does, for the UI, such as `Mines again`.
    """

    @dg.asset_sensor(
        name=name,
        asset_key=dg.AssetKey(PRODUCTION),
        job_name=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"{what} when another model was promoted or rolled back to. Off until someone switches it on.",
    )
    def launched(context: dg.SensorEvaluationContext, event: dg.EventLogEntry) -> dg.RunRequest | dg.SkipReason:
        materialization = event.asset_materialization
        metadata = materialization.metadata if materialization else {}
        decision, version = (metadata[key].value if key in metadata else None for key in ("decision", "model_version"))
        if decision == "confirmed":
            return dg.SkipReason(f"model version {version} was in production already")
        return dg.RunRequest(run_key=context.cursor, tags={"model_version": str(version)})

    return launched
