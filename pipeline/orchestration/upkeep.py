"""What Dagster does for work that nobody waits for: ends calls of cancelled runs, deletes old training runs."""

import re

import dagster as dg
from pydantic import Field

from pipeline.compute.backend import Backend, Pruning
from pipeline.compute.choice import backends
from pipeline.core.store import VersionStore, unreadable
from pipeline.orchestration.failures import one_line_failures
from pipeline.orchestration.work_records import recorded_calls
from pipeline.settings import environment

_NAMES_ONLY = {"model_leaderboard"}
"""Assets that compare models: being named there keeps no training run."""

_UNFINISHED = [
    status
    for status in dg.DagsterRunStatus
    if status not in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
]


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
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


class PruneConfig(dg.Config):
    """Which training runs go."""

    dry_run: bool = Field(default=True, description="Say what would be deleted, and delete nothing.")
    keep: int = Field(default=10, ge=0, le=10_000, description="So many of the newest stay in any case.")


def live_containers(store: VersionStore, scheme: str) -> set[str]:
    """The containers of a scheme that the current values of assets point to.

    Raises:
        PipelineError: when a value can't be found: what it points to must not be deleted.
    """
    in_container = re.compile(rf"{re.escape(scheme)}://([\w.-]+)")
    found: set[str] = set()
    for asset in store.assets():
        path = store.folder(asset) / store.resolve(asset).file
        if asset not in _NAMES_ONLY and path.suffix == ".json":
            try:
                found |= set(in_container.findall(path.read_text(encoding="utf-8")))
            except (OSError, ValueError) as error:
                raise unreadable(asset, path, error) from error
    return found


def _pruning(place: Backend, pruning: Pruning) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """The job that prunes a place, and its schedule."""

    @dg.op(
        name=pruning.op,
        description=f"Delete {pruning.what}: all but the newest, those in training, and those of current assets.",
    )
    def prune(context: dg.OpExecutionContext, config: PruneConfig) -> None:
        with one_line_failures():
            live = live_containers(VersionStore(environment.home()), place.scheme or place.kind)
            decisions = pruning.decide(live, config.keep)
            for decision in decisions:
                if decision.kept_because:
                    context.log.info(f"{decision.name} stays: {decision.kept_because}")
                elif config.dry_run:
                    context.log.info(f"{decision.name} would be deleted: set dry_run: false")
                else:
                    pruning.delete(decision.name)
                    context.log.info(f"{decision.name} was deleted")
        doomed = [decision.name for decision in decisions if not decision.kept_because]
        context.add_output_metadata(
            {
                "dry_run": config.dry_run,
                f"{place.place_name}s": len(decisions),
                "deleted" if not config.dry_run else "to_delete": doomed,
            }
        )

    @dg.job(
        name=pruning.job,
        description=f"Deletes {pruning.what}, which cost money. A dry run unless it is told `dry_run: false`.",
    )
    def job() -> None:
        prune()

    schedule = dg.ScheduleDefinition(
        name=pruning.schedule,
        target=job,
        # An hour after the weekly retraining has begun, nothing of which it touches.
        cron_schedule="0 4 * * 0",
        execution_timezone="UTC",
        run_config={"ops": {pruning.op: {"config": {"dry_run": False}}}},
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Deletes {pruning.what} every Sunday at 4:00 UTC. Off until someone switches it on.",
    )
    return job, schedule


_PRUNED = [_pruning(place, place.pruning) for place in backends() if place.pruning]

JOBS = [job for job, _ in _PRUNED]
SCHEDULES = [schedule for _, schedule in _PRUNED]
SENSORS = [end_calls_of_cancelled_runs]
