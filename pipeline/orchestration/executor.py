"""What runs the steps of a job: Dagster's multiprocess executor, one step at a time.

A process for each step, so that a step's memory is given back and its death doesn't take the run with it. One at a
time, since the baseline and the training would compete for the same cores or the same GPU.
"""

import dagster as dg

from pipeline.orchestration.step_processes import start_method

COMPUTE_POOL = "compute"
"""Steps that need a GPU or all cores: `deploy/` gives them one place, so that a second training waits."""


@dg.executor(name="multiprocess", config_schema={}, requirements=dg.multiple_process_executor_requirements())
def step_executor(context: dg.InitExecutorContext) -> dg.Executor:
    """Dagster's executor, with its processes started as `step_processes` has it."""
    config = {
        "max_concurrent": 1,
        "retries": {"enabled": {}},
        "start_method": start_method(needs_compute(context.job.get_definition())),
    }
    create = dg.multiprocess_executor.executor_creation_fn
    assert create is not None
    return create(dg.InitExecutorContext(context.job, context.executor_def, config, context.instance))


def needs_compute(job: dg.JobDefinition) -> bool:
    """Whether a job has steps that train or evaluate."""
    operations = [node.definition for node in job.nodes if isinstance(node.definition, dg.OpDefinition)]
    return any(operation.pool == COMPUTE_POOL for operation in operations)
