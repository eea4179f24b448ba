"""Turns what the Hugging Face hub's client raises into one line that says what to do, without any token in it."""

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from pipeline.core.errors import PipelineError

TIMEOUT = 10.0
"""Seconds after which the hub counts as unreachable."""

HUB_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    HFValidationError,
    *(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception)),
)
"""What the client raises when it can't give what was asked for. The base of its HTTP errors is that of the HTTP library
under it (httpx or httpx2), whose time-outs and refused connections come through as they are."""

_ACCESS_DENIED = (401, 403)


def hub_error(error: Exception, what: str, names: str) -> PipelineError:
    """The one line for an error of the client.

    Args:
        error: one of `HUB_ERRORS`.
        what: what was asked for, such as "base model 'BAAI/bge-small-en-v1.5'".
        names: the settings that say which, such as "`model` of base_model".
    """
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, GatedRepoError):
        page = getattr(error, "repo_id", None) or what.partition("'")[2].partition("'")[0]
        return PipelineError(
            f"{what} is gated: accept its terms on the hub's page of {page} and set HF_TOKEN to a token of that account"
        )
    if isinstance(error, RevisionNotFoundError):
        return PipelineError(f"the Hugging Face hub has no such revision of {what}: correct the revision in {names}")
    if isinstance(error, RepositoryNotFoundError):
        return PipelineError(
            f"there is no {what} on the Hugging Face hub, or it is private: correct {names}, or set HF_TOKEN to a "
            "token that may read it"
        )
    if status in _ACCESS_DENIED:
        return PipelineError(
            f"the Hugging Face hub denies access to {what} (HTTP {status}): set HF_TOKEN to a token that may read it"
        )
    if isinstance(error, HFValidationError):
        return PipelineError(f"{what} has no valid id: write owner/name in {names}")
    if constants.HF_HUB_OFFLINE:
        return PipelineError(
            f"can't fetch {what} since HF_HUB_OFFLINE is set: unset it, or use files that are on this machine"
        )
    reason = f"HTTP {status}" if status else type(error).__name__
    return PipelineError(
        f"can't fetch {what} from {constants.ENDPOINT} ({reason}): check the network, or use files that are on this "
        "machine"
    )
