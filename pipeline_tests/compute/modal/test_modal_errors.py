"""Each way in which work on Modal can fail is one line that says what happened and what to do."""

import pytest
from modal import exception as modal_errors

from pipeline.compute.modal.calls import one_line_modal_errors
from pipeline.core.errors import PipelineError

CALL = "fc-1"


@pytest.mark.parametrize(
    ("error", "happened", "to_do"),
    [
        (modal_errors.AuthError("no such token as-loopback"), "refuses the token", "`modal token new`"),
        (modal_errors.ImageBuildError("pip failed", "im-1"), "image can't be built", "`modal deploy -m"),
        (modal_errors.OutputExpiredError("gone"), f"that of the call {CALL} is gone", "re-execute the run"),
        (modal_errors.FunctionTimeoutError("3600 s"), "time limit", "raise PIPELINE_MODAL_TIMEOUT_HOURS"),
        (modal_errors.NotFoundError("App 'x' not found"), "App 'x' not found", "re-execute the run"),
        (modal_errors.InternalFailure("task lost"), "lost again and again", "lower token_budget"),
        (modal_errors.RemoteError("Input was cancelled by user"), "cancelled from elsewhere", "re-execute the run"),
        (modal_errors.RemoteError("Runner failed with exit code: 137 (OOM)"), "out of memory", "a larger GPU"),
        (modal_errors.RemoteError("container exploded"), "container exploded", "its log says where"),
        (modal_errors.ConnectionError("no route"), "can't be reached", "check the network"),
        (modal_errors.ServiceError("503"), "can't be reached", "check the network"),
        (OSError("reset by peer"), "can't be reached", "check the network"),
        (RuntimeError("CUDA error: device-side assert"), "device-side assert", "its log says where"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_says_what_happened_and_what_to_do(error: Exception, happened: str, to_do: str) -> None:
    with pytest.raises(PipelineError) as caught, one_line_modal_errors("fine-tuning on Modal", CALL):
        raise error
    message = str(caught.value)
    assert message.startswith("fine-tuning on Modal: ")
    assert happened in message
    assert to_do in message
    assert "\n" not in message
    assert "as-loopback" not in message


@pytest.mark.parametrize("error", [PipelineError("already one line"), ValueError("a mistake in the code")])
def test_other_errors_pass_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)), one_line_modal_errors("fine-tuning on Modal", CALL):
        raise error
