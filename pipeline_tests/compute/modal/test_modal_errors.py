"""Each error of Modal's client becomes a kind of error with a line that says what to do."""

import pytest
from modal import exception as modal_errors

from pipeline.compute.modal.errors import one_line_modal_errors
from pipeline.core.errors import NotFoundError, PipelineError, ResourceError, UnavailableError

CALL = "fc-1"


@pytest.mark.parametrize(
    ("error", "kind", "to_do"),
    [
        (modal_errors.AuthError("no such token as-loopback"), UnavailableError, "`modal token new`"),
        (modal_errors.ImageBuildError("pip failed", "im-1"), UnavailableError, "`modal deploy -m"),
        (modal_errors.OutputExpiredError("gone"), NotFoundError, "re-execute the run"),
        (modal_errors.FunctionTimeoutError("3600 s"), ResourceError, "raise PIPELINE_MODAL_TIMEOUT_HOURS"),
        (modal_errors.NotFoundError("App 'x' not found"), NotFoundError, "re-execute the run"),
        (modal_errors.InternalFailure("task lost"), ResourceError, "lower token_budget"),
        (modal_errors.RemoteError("Input was cancelled by user"), UnavailableError, "re-execute the run"),
        (modal_errors.RemoteError("Runner failed with exit code: 137 (OOM)"), ResourceError, "a larger GPU"),
        (modal_errors.RemoteError("container exploded"), UnavailableError, "see its log"),
        (modal_errors.ConnectionError("no route"), UnavailableError, "check the network"),
        (modal_errors.ServiceError("503"), UnavailableError, "check the network"),
        (OSError("reset by peer"), UnavailableError, "check the network"),
        (RuntimeError("CUDA error: device-side assert"), UnavailableError, "see its log"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_of_the_client_has_a_kind_and_says_what_to_do(
    error: Exception, kind: type[PipelineError], to_do: str
) -> None:
    with pytest.raises(kind) as caught, one_line_modal_errors("fine-tuning on Modal", CALL):
        raise error
    assert type(caught.value) is kind
    assert caught.value.values == {"doing": "fine-tuning on Modal", "call": CALL}
    assert to_do in caught.value.message
    assert "as-loopback" not in caught.value.message


@pytest.mark.parametrize("error", [ResourceError("already one line"), ValueError("a mistake in the code")])
def test_other_errors_pass_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, one_line_modal_errors("fine-tuning on Modal", CALL):
        raise error
    assert caught.value is error
