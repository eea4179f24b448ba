"""Sensors, jobs and schedules that clean up: end the calls of cancelled runs, delete old trainings and values."""

import dagster as dg
from pydantic import Field

from pipeline.compute.base import Backend, Pruning
from pipeline.compute.choice import backends
from pipeline.core.store import VersionStore
from pipeline.orchestration.failures import one_line_failures
from pipeline.orchestration.retention import items
from pipeline.orchestration.step_config import StepConfig, run_config
from pipeline.orchestration.work_records import recorded_calls
from pipeline.quality.options import RetentionRules
from pipeline.settings import environment

_UNFINISHED = [
    status
    for status in dg.DagsterRunStatus
    if status not in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
]

_CALLS_ENDED_EVERY = 300
"""Seconds. This sensor is on wherever the daemon runs, and the daemon logs two lines at each tick, even if there is
nothing to do. A worker that is still alive ends its calls at once; those of a lost worker go on for this long."""


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=_CALLS_ENDED_EVERY,
    description="Ends the calls of a cancelled run on other machines. Its worker does so itself, if it is still there.",
)
def end_calls_of_cancelled_runs(context: dg.RunStatusSensorContext) -> None:
    """Cancel every call that the run's tags record, unless another run has taken it up."""
    run = context.dagster_run
    for place in backends():
        if not place.cancel:
            continue
        for tag, call_id in recorded_calls(place, run.tags):
            others = context.instance.get_runs(filters=dg.RunsFilter(tags={tag: call_id}, statuses=_UNFINISHED))
            if others:
                context.log.info(f"the {place.title} call {call_id} goes on: run {others[0].run_id} waits for it")
                continue
            place.cancel(call_id)
            context.log.info(f"the {place.title} call {call_id} of the cancelled run {run.run_id} was ended")


class PruneConfig(RetentionRules, StepConfig):
    """Which old trainings and values go."""

    dry_run: bool = Field(default=True, description="List what would be deleted, and delete nothing.")


def _pruning(place: Backend, pruning: Pruning) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """The job that prunes a place, and its schedule."""

    @dg.op(
        name=pruning.op,
        description=f"Delete {pruning.what}: all but what is in production or its history, the first models on the "
        "leaderboard, what is current, in training, or among the newest.",
    )
    def prune(context: dg.OpExecutionContext, config: PruneConfig) -> None:
        with one_line_failures():
            found = list(items(VersionStore(environment.home()), [place], environment.runs_folder, config))
            for item in found:
                if item.delete is None:
                    context.log.info(f"stays: {item}")
                elif config.dry_run:
                    context.log.info(f"would be deleted (set dry_run: false): {item}")
                else:
                    item.delete()
                    context.log.info(f"was deleted: {item}")
        doomed = [item for item in found if not item.stays]
        context.add_output_metadata(
            {
                "dry_run": config.dry_run,
                "looked_at": len(found),
                "bytes": sum(item.size or 0 for item in doomed),
                "deleted" if not config.dry_run else "to_delete": [f"{item.what} {item.name}" for item in doomed],
            }
        )

    @dg.job(
        name=pruning.job,
        description=f"Deletes {pruning.what}, by rule. A dry run unless `dry_run` is set to false.",
        config=run_config({pruning.op: PruneConfig()}),
    )
    def job() -> None:
        prune()

    schedule = dg.ScheduleDefinition(
        name=pruning.schedule,
        target=job,
        # An hour after the weekly retraining has begun, nothing of which it touches.
        cron_schedule="0 4 * * 0",
        execution_timezone="UTC",
        run_config=run_config({pruning.op: PruneConfig(dry_run=False)}),
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Deletes {pruning.what} every Sunday at 4:00 UTC. Off until someone switches it on.",
    )
    return job, schedule


_PRUNED = [_pruning(place, place.pruning) for place in backends() if place.pruning]

JOBS = [job for job, _ in _PRUNED]
SCHEDULES = [schedule for _, schedule in _PRUNED]
SENSORS = [end_calls_of_cancelled_runs]
