"""Turns errors of the Hugging Face hub's client into one line with the way out, and without any token."""

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from pipeline.core.errors import NotFoundError, PipelineError, SettingError, UnavailableError

TIMEOUT = 10.0
"""Seconds to wait for the hub."""

HUB_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    HFValidationError,
    *(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception)),
)
"""The errors of the client. The base of its HTTP errors is that of its HTTP library (httpx or httpx2), whose timeouts
and refused connections it doesn't wrap."""

_ACCESS_DENIED = (401, 403)


def hub_error(error: Exception, what: str, names: str) -> PipelineError:
    """The error to raise for one of the client.

    Args:
        error: one of `HUB_ERRORS`.
        what: what was requested, such as "base model 'BAAI/bge-small-en-v1.5'".
        names: the settings that name it, such as "`model` of base_model".
    """
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, GatedRepoError):
        page = getattr(error, "repo_id", None) or what.partition("'")[2].partition("'")[0]
        return UnavailableError(
            f"{what} is gated: accept its terms on the hub's page of {page} and set HF_TOKEN to a token of that "
            "account",
            what=what,
        )
    if isinstance(error, RevisionNotFoundError):
        return NotFoundError(
            f"the Hugging Face hub has no such revision of {what}: correct the revision in {names}", what=what
        )
    if isinstance(error, RepositoryNotFoundError):
        return NotFoundError(
            f"there is no {what} on the Hugging Face hub, or it is private: correct {names}, or set HF_TOKEN to a "
            "token that may read it",
            what=what,
        )
    if status in _ACCESS_DENIED:
        return UnavailableError(
            f"the Hugging Face hub denies access to {what} (HTTP {status}): set HF_TOKEN to a token that may read it",
            what=what,
            status=status,
        )
    if isinstance(error, HFValidationError):
        return SettingError(f"{what} has no valid id: write owner/name in {names}", what=what)
    if constants.HF_HUB_OFFLINE:
        return UnavailableError(
            f"can't fetch {what} since HF_HUB_OFFLINE is set: unset it, or use files that are on this machine",
            what=what,
        )
    reason = f"HTTP {status}" if status else type(error).__name__
    return UnavailableError(
        f"can't fetch {what} from {constants.ENDPOINT} ({reason}): check the network, or use files that are on this "
        "machine",
        what=what,
        status=status,
    )
