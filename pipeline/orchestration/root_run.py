"""Which run a training belongs to, however often that is re-executed."""

import dagster as dg

from pipeline.training.job import RunIdentity


def run_identity(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> RunIdentity:
    """The root run names the folder, so that a re-execution finds it again."""
    run = context.run
    root = run.root_run_id or run.run_id
    record = context.instance.get_run_record_by_id(root) or context.instance.get_run_record_by_id(run.run_id)
    if record is None:
        raise RuntimeError(f"Dagster has no record of the run {run.run_id} that this step belongs to")
    return RunIdentity(owner=root, unix_time=int(record.create_timestamp.timestamp()))
