"""Limits of the service, and who may reach it."""

import ipaddress

from pydantic import Field

from pipeline.core.errors import SettingError
from pipeline.core.values import FrozenModel

MAX_CHARACTERS = 10_000
"""Maximum length of a question. Models read a few hundred tokens."""

MAX_FOUND = 100
"""Maximum known questions in one result of a search."""


class ServiceLimits(FrozenModel):
    """Limits of a request, and how the service watches and indexes."""

    max_body_bytes: int = Field(default=1_000_000, ge=1_000, description="Maximum bytes of a request body.")
    max_batch: int = Field(default=256, ge=1, le=10_000, description="Maximum questions or pairs of a request.")
    request_seconds: float = Field(
        default=30.0, gt=0, le=3_600, description="Maximum seconds for a request, including its body."
    )
    max_waiting: int = Field(
        default=1_000, ge=1, description="Maximum requests in progress; others are refused meanwhile."
    )
    watch_seconds: float = Field(
        default=10.0,
        gt=0,
        le=3_600,
        description="Seconds between two checks for a newer model or newer questions.",
    )
    index_from: int = Field(
        default=20_000, ge=1, description="Minimum known questions for an index of faiss, if it is installed."
    )


def is_loopback(host: str) -> bool:
    """Whether a server on this host can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_token(host: str, token: str | None) -> None:
    """Refuse to serve other machines without a token.

    Raises:
        SettingError: when other machines can reach the host, and there is no token.
    """
    if not token and not is_loopback(host):
        raise SettingError(
            f"anybody who reaches {host} could use the service: set PIPELINE_SERVE_TOKEN to a secret that requests "
            "must send, or leave --host out",
            host=host,
        )
