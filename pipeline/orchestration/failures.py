"""Turns errors that a user can put right into Dagster's failures, in one line that names the asset to rematerialise."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from pipeline.core.disk_errors import disk_error, disk_problem
from pipeline.core.errors import PipelineError, one_line
from pipeline.settings import environment

_MADE_BY: dict[str, str] = {
    "pairs": "raw_quora_dataset",
    "splits": "train_split, dev_split and eval_split",
    "base model": "base_model",
    "model": "fine_tuned_model",
    "baseline report": "baseline_eval_report",
    "report": "post_train_eval_report",
}


def in_dagster(error: PipelineError) -> str:
    """The error's line, with the asset to rematerialise where that is the way out."""
    if error.make_again is None:
        return str(error)
    return one_line(f"{error.message}: rematerialise {_MADE_BY.get(error.make_again, error.make_again)}")


@contextmanager
def one_line_failures() -> Iterator[None]:
    """Turn an error that the user can put right, such as a full disk, into a `dagster.Failure` with its one line. No
    retry would help."""
    try:
        yield
    except PipelineError as error:
        raise dg.Failure(in_dagster(error), allow_retries=False) from None
    except Exception as error:
        if (found := disk_error(error, environment.folders())) is None:
            raise
        raise dg.Failure(str(found), allow_retries=False) from error


_LONGEST_REASON = 180
"""Characters, so that the name of the step and the way out stay in the line."""


def step_failure(event: dg.DagsterEvent, hint: str = "") -> str:
    """The one line of a step's failure: the message of the step, otherwise the error that ended it.

    Args:
        hint: follows an error that nobody foresaw.
    """
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return f"{event.step_key}: {data.user_failure_data.description}"
    error = data.error
    while error and error.cause:
        error = error.cause
    message = " ".join(error.message.split()) if error else "no reason was recorded"
    if found := disk_problem(message, environment.folders()):
        return f"{event.step_key}: {found}"
    return f"{event.step_key}: {one_line(message, _LONGEST_REASON)}{hint}"
