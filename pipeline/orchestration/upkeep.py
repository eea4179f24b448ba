"""What Dagster does for work on Modal that nobody waits for: ends calls of cancelled runs, deletes old Volumes."""

import re

import dagster as dg
from pydantic import Field

from pipeline.core.references import VOLUME_SCHEME
from pipeline.core.storage import VersionStore, default_home
from pipeline.orchestration.assets.common import one_line_failures
from pipeline.orchestration.remote_calls import recorded_calls

_NAMES_ONLY = {"model_leaderboard"}
"""Assets that compare models: being named there keeps no Volume."""

_IN_VOLUME = re.compile(rf"{re.escape(VOLUME_SCHEME)}([\w.-]+)")

_UNFINISHED = [
    status
    for status in dg.DagsterRunStatus
    if status not in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
]


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Ends the Modal calls of a cancelled run. Its worker does so itself, if it is still there.",
)
def end_calls_of_cancelled_runs(context: dg.RunStatusSensorContext) -> None:
    """Cancel every call that the run's tags record, unless another run has taken it up."""
    run = context.dagster_run
    for tag, call_id in recorded_calls(run.tags).items():
        others = context.instance.get_runs(filters=dg.RunsFilter(tags={tag: call_id}, statuses=_UNFINISHED))
        if others:
            context.log.info(f"the Modal call {call_id} goes on: run {others[0].run_id} waits for it")
            continue
        # Imports modal, which the definitions must not.
        from pipeline.compute.modal.calls import cancel

        cancel(call_id)
        context.log.info(f"the Modal call {call_id} of the cancelled run {run.run_id} was ended")


class PruneConfig(dg.Config):
    """Which Volumes go."""

    dry_run: bool = Field(default=True, description="Say what would be deleted, and delete nothing.")
    keep: int = Field(default=10, ge=0, le=10_000, description="So many of the newest Volumes stay in any case.")


@dg.op(name="prune_volumes")
def prune_volumes(context: dg.OpExecutionContext, config: PruneConfig) -> None:
    """Delete the Volumes of old training runs: all but the newest, those in training, and those of current assets."""
    from pipeline.compute.modal.pruning import decide, delete

    with one_line_failures():
        decisions = decide(live_volumes(VersionStore(default_home())), config.keep)
        for decision in decisions:
            if decision.kept_because:
                context.log.info(f"{decision.name} stays: {decision.kept_because}")
            elif config.dry_run:
                context.log.info(f"{decision.name} would be deleted: set dry_run: false")
            else:
                delete(decision.name)
                context.log.info(f"{decision.name} was deleted")
    doomed = [decision.name for decision in decisions if not decision.kept_because]
    context.add_output_metadata(
        {"dry_run": config.dry_run, "volumes": len(decisions), "deleted" if not config.dry_run else "to_delete": doomed}
    )


def live_volumes(store: VersionStore) -> set[str]:
    """The Volumes that the current values of assets point to."""
    found: set[str] = set()
    for pointer in store.root.glob("*/current.json"):
        asset = pointer.parent.name
        path = store.folder(asset) / store.resolve(asset).file
        if asset not in _NAMES_ONLY and path.suffix == ".json":
            found |= set(_IN_VOLUME.findall(path.read_text(encoding="utf-8")))
    return found


@dg.job(
    description="Deletes the Volumes of old training runs on Modal, which cost money. A dry run unless it is told "
    "`dry_run: false`."
)
def prune_training_volumes() -> None:
    """See the op."""
    prune_volumes()


weekly_prune = dg.ScheduleDefinition(
    name="weekly_prune",
    target=prune_training_volumes,
    # An hour after the weekly retraining has begun, nothing of which it touches.
    cron_schedule="0 4 * * 0",
    execution_timezone="UTC",
    run_config={"ops": {"prune_volumes": {"config": {"dry_run": False}}}},
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Deletes old Volumes every Sunday at 4:00 UTC. Off until someone switches it on.",
)
