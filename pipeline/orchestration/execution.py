"""What executes a run: the executor, which runs one step at a time, and the logger that reports steps as progress.

Each step has its own process, so its memory is given back and its death doesn't take the run with it. Steps run one at
a time, since the baseline and the training would compete for the same cores or the same GPU.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

from pipeline.core.progress import StepEnded, StepStarted, progress_file_sink
from pipeline.orchestration.step_processes import start_method

COMPUTE_POOL = "compute"
"""Pool of the steps that need a GPU or all cores. `deploy/` limits it to one, so that a second training waits."""

PROGRESS = "progress"
"""The logger's name in a run config."""


@dg.executor(name="multiprocess", config_schema={}, requirements=dg.multiple_process_executor_requirements())
def step_executor(context: dg.InitExecutorContext) -> dg.Executor:
    """Dagster's multiprocess executor, with processes started as `step_processes` says."""
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


_listeners: list[Callable[[str], None]] = []


@contextmanager
def told_the_run(listener: Callable[[str], None]) -> Iterator[None]:
    """In this context, call the listener with the id of the run that this process starts."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@dg.logger
def progress_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Append the start and end of each step to the file that the command line follows; print nothing."""
    for listener in _listeners:
        listener(context.run_id or "")
    logger = logging.Logger(PROGRESS, logging.DEBUG)
    logger.addHandler(_StepProgress())
    return logger


class _StepProgress(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "dagster_meta", {}).get("dagster_event")
        if event is None or event.step_key is None:
            return
        match event.event_type:
            case dg.DagsterEventType.STEP_WORKER_STARTING:
                progress_file_sink()(StepStarted(event.step_key))
            case dg.DagsterEventType.STEP_SUCCESS | dg.DagsterEventType.STEP_FAILURE:
                progress_file_sink()(StepEnded(event.step_key, event.is_step_success))
