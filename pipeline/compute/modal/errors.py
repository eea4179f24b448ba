"""Turn errors of Modal's client into errors of this project: a kind, and one line that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from modal import exception as modal_errors

from pipeline.core.errors import NotFoundError, PipelineError, ResourceError, UnavailableError, reason_of

_OUT_OF_MEMORY = ("out of memory", "oom", "exit code 137", "exit 137", "sigkill")


@contextmanager
def one_line_modal_errors(doing: str, call_id: str = "") -> Iterator[None]:
    """Raise errors of Modal's client and of containers as a `PipelineError` of one line, without any token in it.

    Args:
        doing: the current activity, such as "fine-tuning on Modal".
        call_id: of the call that is waited for, if any.
    """
    try:
        yield
    except (modal_errors.Error, OSError, RuntimeError) as error:
        kind, explanation = _explain(error, call_id)
        raise kind(f"{doing}: {explanation}", doing=doing, **({"call": call_id} if call_id else {})) from error


def _explain(error: Exception, call_id: str) -> tuple[type[PipelineError], str]:
    again = "re-execute the run to resume from the newest checkpoint"
    call = f"the call {call_id}" if call_id else "the call"
    match error:
        case modal_errors.AuthError():
            return (
                UnavailableError,
                "Modal refuses the token: run `modal token new`, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET",
            )
        case modal_errors.ImageBuildError():
            return (
                UnavailableError,
                f"the containers' image can't be built ({reason_of(error)}): `modal deploy -m "
                "pipeline.compute.modal_app` shows the build's log",
            )
        case modal_errors.OutputExpiredError():
            return NotFoundError, f"Modal keeps results for 7 days, and that of {call} is gone: {again}"
        case modal_errors.FunctionTimeoutError():
            return (
                ResourceError,
                f"every attempt of {call} exceeded its time limit: raise PIPELINE_MODAL_TIMEOUT_HOURS, or lower epochs "
                f"or train_limit; if only the limit changes, {again}",
            )
        case modal_errors.NotFoundError():
            return NotFoundError, f"Modal can't find it ({reason_of(error)}), so it was stopped or deleted; {again}"
        case modal_errors.InternalFailure():
            return (
                ResourceError,
                f"the container of {call} was lost repeatedly ({reason_of(error)}), as when it is out of memory: "
                f"lower token_budget, or choose PIPELINE_MODAL_GPU; else {again}",
            )
        case modal_errors.RemoteError() if "cancel" in str(error).lower() or "terminated" in str(error).lower():
            return UnavailableError, f"{call} was cancelled by someone else: {again}"
        case modal_errors.RemoteError() if any(sign in str(error).lower() for sign in _OUT_OF_MEMORY):
            return (
                ResourceError,
                f"the container ran out of memory ({reason_of(error)}): lower token_budget, or choose "
                "a larger GPU in PIPELINE_MODAL_GPU",
            )
        case modal_errors.ConnectionError() | modal_errors.ServiceError() | OSError():
            return UnavailableError, f"Modal can't be reached ({type(error).__name__}): check the network; {again}"
        case _:
            return UnavailableError, f"{call} failed ({reason_of(error)}): see its log; {again}"
