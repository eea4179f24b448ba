"""Middleware around every request: the token, the time limit, the requests in progress and the metrics.

Starlette checks the host and the size of the body (`app.py`). Two things are done by hand, as the libraries don't keep
the promises of docs/serving.md. The limit of requests in progress: uvicorn's `limit_concurrency` counts idle
connections too, closes them without `Retry-After`, and is not in the metrics. The unread body of a refused request:
many clients send all of a body before they read the answer, and TCP resets a connection that is closed with unread
bytes, so they would get an error of their connection instead of the answer (RFC 9112, section 9.6).
"""

import asyncio
import contextlib
import hmac
import time

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.service import Service

_OPEN_PATHS = frozenset({"/", "/page.css", "/page.js", "/health"})
"""Paths that need no token: the page has no data, and without a token the health is a single word."""

_DISCARD_SECONDS = 5.0
"""Maximum time for reading the body of a refused request."""

_DISCARD_BODIES = 10
"""Maximum bytes that are read of it, in units of the largest body allowed."""


def error_answer(status: int, detail: str, **headers: str) -> Response:
    """An error as JSON, with one line that says what is wrong."""
    return JSONResponse({"detail": detail}, status, headers=headers or None)


class BearerToken(AuthenticationBackend):
    """Authenticates requests that send the token, or all of them where there is none."""

    def __init__(self, token: str | None) -> None:
        self._expected = f"Bearer {token}".encode() if token else None

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        """See `AuthenticationBackend`. Requests for open paths go on without credentials."""
        sent = conn.headers.get("authorization", "").encode("latin-1")
        if self._expected is None or hmac.compare_digest(sent, self._expected):
            return AuthCredentials(["token"]), SimpleUser("client")
        if conn.scope["path"] in _OPEN_PATHS:
            return None
        raise AuthenticationError("send the token of the service: Authorization: Bearer <token>")


def unauthorized(conn: HTTPConnection, error: Exception) -> Response:
    """The answer to a request without the token."""
    return error_answer(401, str(error), **{"WWW-Authenticate": "Bearer"})


class Guards:
    """ASGI middleware; the outermost, so that every answer is counted."""

    def __init__(self, app: ASGIApp, service: Service, paths: frozenset[str]) -> None:
        """Guard an app.

        Args:
            paths: of its routes; requests for any other path are counted as one.
        """
        self._app, self._service, self._limits, self._paths = app, service, service.limits, paths
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._service)
        began = time.perf_counter()
        try:
            await self._answer(scope, exchange)
            await exchange.finish(_DISCARD_BODIES * self._limits.max_body_bytes)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._service.metrics.request(path, exchange.status or 500, time.perf_counter() - began)

    async def _answer(self, scope: Scope, exchange: "_Exchange") -> None:
        if self._in_progress >= self._limits.max_waiting:
            detail = f"{self._in_progress:,} requests are in progress, which is the limit: ask again later"
            await error_answer(503, detail, **{"Retry-After": "1"})(scope, exchange.receive, exchange.send)
            return
        length = Headers(scope=scope).get("content-length", "")
        if length.isdigit() and int(length) > self._limits.max_body_bytes:
            # Starlette's limit, which counts the bytes of other bodies, answers this one with plain text.
            await body_too_large(self._limits.max_body_bytes)(scope, exchange.receive, exchange.send)
            return
        self._in_progress += 1
        try:
            async with asyncio.timeout(self._limits.request_seconds):
                await self._app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            if exchange.status:
                raise
            detail = f"no answer within {self._limits.request_seconds:g} s: ask for less at once, or later"
            await error_answer(503, detail, **{"Retry-After": "1"})(scope, exchange.receive, exchange.send)
        finally:
            self._in_progress -= 1


def body_too_large(limit: int) -> Response:
    """The answer to a request whose body has too many bytes."""
    return error_answer(413, f"a request body has at most {limit:,} bytes: send fewer questions at once")


class _Exchange:
    """One request and its answer. The end of an answer is held back until the body of the request is read.

    Attributes:
        status: of the answer; None before it begins.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, service: Service) -> None:
        self.status: int | None = None
        self._receive, self._send, self._service = receive, send, service
        self._has_unread = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        self._bytes_read = 0
        self._is_held_back = False

    async def receive(self) -> Message:
        """The next part of the request."""
        message = await self._receive()
        self._bytes_read += len(message.get("body", b""))
        self._has_unread = message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._has_unread or self._service.is_ending:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
        elif self._has_unread and not message.get("more_body", False):
            self._is_held_back = True
            message = {**message, "more_body": True}
        await self._send(message)

    async def finish(self, most: int) -> None:
        """Read what is left of the request, up to a number of bytes, and end the answer."""
        if not self._is_held_back:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                while self._has_unread and self._bytes_read < most:
                    await self.receive()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
