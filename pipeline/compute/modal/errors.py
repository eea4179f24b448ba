"""Turns what Modal's client raises into one line that says what happened and what to do, without any token in it."""

from collections.abc import Iterator
from contextlib import contextmanager

from modal import exception as modal_errors

from pipeline.core.errors import PipelineError, reason_of

_OUT_OF_MEMORY = ("out of memory", "oom", "exit code 137", "exit 137", "sigkill")


@contextmanager
def one_line_modal_errors(doing: str, call_id: str = "") -> Iterator[None]:
    """Raise errors of Modal's client, and of containers, as `PipelineError`.

    Args:
        doing: what was being done, such as "fine-tuning on Modal".
        call_id: of the call that is waited for, if it is one.
    """
    try:
        yield
    except (modal_errors.Error, OSError, RuntimeError) as error:
        raise PipelineError(f"{doing}: {_explain(error, call_id)}") from error


def _explain(error: Exception, call_id: str) -> str:
    again = "re-execute the run, and it goes on from the newest checkpoint"
    call = f"the call {call_id}" if call_id else "the call"
    match error:
        case modal_errors.AuthError():
            return "Modal refuses the token: run `modal token new`, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"
        case modal_errors.ImageBuildError():
            return (
                f"the containers' image can't be built ({reason_of(error)}): `modal deploy -m "
                "pipeline.compute.modal_app` shows the build's log"
            )
        case modal_errors.OutputExpiredError():
            return f"Modal keeps results for 7 days, and that of {call} is gone: {again}"
        case modal_errors.FunctionTimeoutError():
            return (
                f"every attempt of {call} ran into its time limit: raise PIPELINE_MODAL_TIMEOUT_HOURS, or lower epochs "
                f"or train_limit; with the limit alone changed, {again}"
            )
        case modal_errors.NotFoundError():
            return f"Modal has no such thing ({reason_of(error)}): it was stopped or deleted; {again}"
        case modal_errors.InternalFailure():
            return (
                f"the container of {call} was lost again and again ({reason_of(error)}), as happens when it is out of "
                f"memory: lower token_budget, or choose PIPELINE_MODAL_GPU; else {again}"
            )
        case modal_errors.RemoteError() if "cancel" in str(error).lower() or "terminated" in str(error).lower():
            return f"{call} was cancelled from elsewhere: {again}"
        case modal_errors.RemoteError() if any(sign in str(error).lower() for sign in _OUT_OF_MEMORY):
            return (
                f"the container ran out of memory ({reason_of(error)}): lower token_budget, or choose "
                "a larger GPU in PIPELINE_MODAL_GPU"
            )
        case modal_errors.ConnectionError() | modal_errors.ServiceError() | OSError():
            return f"Modal can't be reached ({type(error).__name__}): check the network; {again}"
        case _:
            return f"{call} failed ({reason_of(error)}): its log says where; {again}"
