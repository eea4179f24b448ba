"""Tells which steps of a run begin and end as progress, and who started the run which one it is."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

from pipeline.core.progress import StepEnded, StepStarted, progress_file_sink

PROGRESS = "progress"
"""What a run config calls this logger."""

_listeners: list[Callable[[str], None]] = []


@contextmanager
def told_the_run(listener: Callable[[str], None]) -> Iterator[None]:
    """In this context, call the listener with the id of the run that this process begins."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@dg.logger
def progress_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Append the beginnings and ends of steps to the file that the command line follows; prints nothing."""
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
