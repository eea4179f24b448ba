"""Which earlier runs a run goes on from."""

import dagster as dg


def with_ancestors(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """The ids of a run and of those that it re-executes, one after the other, the newest first.

    What a re-execution leaves out was made by one of them.
    """
    found = [run_id]
    while (run := instance.get_run_by_id(found[-1])) and run.parent_run_id and run.parent_run_id not in found:
        found.append(run.parent_run_id)
    return found
