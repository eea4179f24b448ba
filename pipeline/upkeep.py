"""What Dagster does for work on Modal that nobody waits for: ends calls of cancelled runs, deletes old Volumes."""

import dagster as dg

from pipeline.remote_calls import recorded_calls

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
        from pipeline.compute.modal_calls import cancel

        cancel(call_id)
        context.log.info(f"the Modal call {call_id} of the cancelled run {run.run_id} was ended")
