"""How runs belong together: which run a re-execution continues, and which run names a training's folder."""

import dagster as dg

from pipeline.training.job import RunIdentity


def with_ancestors(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """The ids of a run and of the runs that it re-executes in turn, newest first.

    What a re-execution leaves out was made by one of them.
    """
    found = [run_id]
    while (run := instance.get_run_by_id(found[-1])) and run.parent_run_id and run.parent_run_id not in found:
        found.append(run.parent_run_id)
    return found


def run_identity(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> RunIdentity:
    """The identity of the root run, which names the folder of a training, so a re-execution finds it again."""
    run = context.run
    root = run.root_run_id or run.run_id
    record = context.instance.get_run_record_by_id(root) or context.instance.get_run_record_by_id(run.run_id)
    if record is None:
        raise RuntimeError(f"Dagster has no record of the run {run.run_id} that this step belongs to")
    return RunIdentity(owner=root, unix_time=int(record.create_timestamp.timestamp()))
