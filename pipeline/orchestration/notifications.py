"""Sensors that send messages about what is otherwise found in the UI: failed runs, and models that were refused.

PIPELINE_NOTIFY says who is told. Without it the sensors are off.
"""

import time
from collections.abc import Callable

import dagster as dg

from pipeline.orchestration.automation import retrain
from pipeline.orchestration.failures import step_failure
from pipeline.orchestration.steps import PRODUCTION
from pipeline.settings import environment

_CHECKED_EVERY = 30
"""Seconds."""

_OLDEST = 24 * 3600
"""Seconds. A sensor that was off continues where it stopped, but doesn't report runs that ended long ago."""

_STARTED_BY = {
    "dagster/schedule_name": "the schedule {}",
    "dagster/sensor_name": "the sensor {}",
}
"""Tags of runs that no person started, and what a message says of them."""

_WILL_BE_RETRIED = "dagster/will_retry"
_NEWEST_OBSERVATIONS = 20

_STATUS = dg.DefaultSensorStatus.RUNNING if environment.recipient() else dg.DefaultSensorStatus.STOPPED
_WHICH = (
    "It covers runs that a schedule or a sensor has started, and all runs of `retrain`. It is on where PIPELINE_NOTIFY "
    "is set, else off."
)


@dg.run_failure_sensor(
    name="tell_of_failed_runs",
    minimum_interval_seconds=_CHECKED_EVERY,
    default_status=_STATUS,
    description=f"Sends a message when a run has failed. {_WHICH}",
)
def tell_of_failed_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Tell which run failed, and the message of its first failed step, or how the run itself ended."""
    run = context.dagster_run
    if run.tags.get(_WILL_BE_RETRIED) == "true":
        return dg.SkipReason(f"run {run.run_id} will be tried again; only a last try that fails is told")

    def why() -> str:
        failed = context.get_step_failure_events()
        return step_failure(failed[0]) if failed else context.failure_event.message or "no reason was recorded"

    return _tell(context, "failed", why)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    name="tell_of_refused_models",
    minimum_interval_seconds=_CHECKED_EVERY,
    default_status=_STATUS,
    description=f"Sends a message when a model was refused and the one before stays in production. {_WHICH}",
)
def tell_of_refused_models(context: dg.RunStatusSensorContext) -> dg.SkipReason | None:
    """Say why a run that succeeded refused its model."""
    run = context.dagster_run
    filtered = dg.AssetRecordsFilter(asset_key=dg.AssetKey(PRODUCTION))
    found = context.instance.fetch_observations(filtered, limit=_NEWEST_OBSERVATIONS).records
    # Calls to other machines leave observations too.
    observed = [record.asset_observation for record in found if record.run_id == run.run_id]
    reasons = [event.metadata["reason"].value for event in observed if event and "reason" in event.metadata]
    if not reasons:
        return dg.SkipReason(f"run {run.run_id} has refused no model")
    return _tell(context, "refused the new model", lambda: f"{PRODUCTION}: {reasons[0]}")


def _tell(context: dg.RunStatusSensorContext, what: str, why: Callable[[], str]) -> dg.SkipReason | None:
    """Send a message if the run is one to tell of. If it can't be sent, log that in one line."""
    from pipeline.core.notices import Notice, NotSentError, send

    run = context.dagster_run
    if (recipient := environment.recipient()) is None:
        return dg.SkipReason("PIPELINE_NOTIFY is not set")
    started_by = next((phrase.format(run.tags[tag]) for tag, phrase in _STARTED_BY.items() if tag in run.tags), None)
    if started_by is None and run.job_name != retrain.name:
        return dg.SkipReason(f"run {run.run_id} of {run.job_name} was started by hand")
    record = context.instance.get_run_record_by_id(run.run_id)
    if record and record.end_time and time.time() - record.end_time > _OLDEST:
        return dg.SkipReason(f"run {run.run_id} ended more than a day ago")
    job = "A run of single assets" if run.job_name.startswith("__") else f"The job {run.job_name}"
    message = f"{job} {what}" + (f". It was started by {started_by}." if started_by else ".")
    try:
        send(recipient, Notice(f"{job} {what}", message, why(), environment.run_page(run.run_id)))
    except NotSentError as error:
        context.log.warning(f"no message was sent about run {run.run_id}, which {what}: {error}")
    return None


SENSORS = [tell_of_failed_runs, tell_of_refused_models]
