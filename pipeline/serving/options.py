"""What the service allows, and how it is reached: settings."""

import ipaddress

from pydantic import Field

from pipeline.core.errors import PipelineError
from pipeline.core.values import FrozenModel

MOST_CHARACTERS = 10_000
"""Of a question. Models read some hundreds of tokens."""

MOST_FOUND = 100
"""Known questions in one answer of a search."""


class ServiceLimits(FrozenModel):
    """What one request may ask for, and how long it may take."""

    max_body_bytes: int = Field(default=1_000_000, ge=1_000, description="Bytes of a request's body.")
    max_batch: int = Field(default=256, ge=1, le=10_000, description="Questions, or pairs, of one request.")
    request_seconds: float = Field(
        default=30.0, gt=0, le=3_600, description="Seconds after which a request is given up, its body included."
    )
    max_waiting: int = Field(
        default=1_000, ge=1, description="Requests in progress; more are refused until some are answered."
    )
    watch_seconds: float = Field(
        default=10.0,
        gt=0,
        le=3_600,
        description="Seconds between two looks at whether another model or other questions are there.",
    )
    index_from: int = Field(
        default=20_000, ge=1, description="Known questions from which on an index of faiss is searched, if installed."
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server on this host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_token(host: str, token: str | None) -> None:
    """Refuse a service that others reach without a token.

    Raises:
        PipelineError: when the host isn't of this machine alone, and there is no token.
    """
    if not token and not is_loopback(host):
        raise PipelineError(
            f"the service would answer everybody who reaches {host}: set PIPELINE_SERVE_TOKEN to a secret that "
            "requests must send, or leave --host out"
        )
