"""What stands before every request: limits of size, time and number, the token, and the count of all that."""

import asyncio
import hmac
import time

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.service import Service

OPEN_PATHS = frozenset({"/", "/page.css", "/page.js", "/health"})
"""Paths that need no token: the page has no data, and the health says no more than a word without one."""

_ALLOWED = "pipeline.is_allowed"
"""Where a request's scope says whether it bore the token, or needs none."""


class _TooLargeError(Exception):
    """The body has more bytes than a request may have."""


def is_allowed(scope: Scope) -> bool:
    """Whether a request that the guards let through may see what needs the token."""
    return bool(scope[_ALLOWED])


def error_answer(status: int, detail: str, **headers: str) -> Response:
    """An answer that says in one line why there is no other."""
    return JSONResponse({"detail": detail}, status, headers=headers or None)


class Guards:
    """ASGI middleware around the routes."""

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        token: str | None,
        paths: frozenset[str],
        hosts: frozenset[str] | None,
    ) -> None:
        """Guard an app.

        Args:
            token: that requests must bear; None where they need none.
            paths: that there are; others are counted as one.
            hosts: names that requests may call this service by; None where any will do. It keeps the page of another
                site, whose name leads to this machine, from asking a service that needs no token.
        """
        self._app, self._service, self._limits = app, service, service.limits
        self._token, self._paths, self._hosts = token, paths, hosts
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._service.is_ending:
                    message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        try:
            await self._answer(scope, receive, noting)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._service.metrics.request(path, status, time.perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        if refusal := self._refusal(scope, headers):
            await refusal(scope, receive, send)
            return
        self._running += 1
        body = _Body(receive, self._limits.max_body_bytes)
        is_begun = False

        async def begun(message: Message) -> None:
            nonlocal is_begun
            if body.is_too_large:
                # The framework takes whatever happens while it reads a body for a body that is no JSON.
                raise _TooLargeError
            is_begun = True
            await send(message)

        try:
            async with asyncio.timeout(self._limits.request_seconds):
                await self._app(scope, body.receive, begun)
        except _TooLargeError:
            await self._too_large()(scope, receive, send)
        except TimeoutError:
            if is_begun:
                raise
            said = f"no answer within {self._limits.request_seconds:g} s: ask for less at once, or later"
            await error_answer(503, said, **{"Retry-After": "1"})(scope, receive, send)
        finally:
            self._running -= 1

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> Response | None:
        if self._hosts is not None and _name_of(headers.get(b"host", b"")) not in self._hosts:
            return error_answer(400, "this service goes by another name: use the address that it was started with")
        scope[_ALLOWED] = not self._token or self._bears_token(headers)
        if not scope[_ALLOWED] and scope["path"] not in OPEN_PATHS:
            said = "send the token of the service: Authorization: Bearer <token>"
            return error_answer(401, said, **{"WWW-Authenticate": "Bearer"})
        if self._running >= self._limits.max_waiting:
            said = f"{self._running:,} requests are in progress, which is the limit: ask again later"
            return error_answer(503, said, **{"Retry-After": "1"})
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._limits.max_body_bytes:
            return self._too_large()
        return None

    def _bears_token(self, headers: dict[bytes, bytes]) -> bool:
        sent = headers.get(b"authorization", b"")
        return hmac.compare_digest(sent, b"Bearer " + (self._token or "").encode())

    def _too_large(self) -> Response:
        said = f"a request's body has at most {self._limits.max_body_bytes:,} bytes: send fewer questions at once"
        return error_answer(413, said, Connection="close")


class _Body:
    """The body of a request, which has an end.

    Attributes:
        is_too_large: more bytes have come than a body may have.
    """

    def __init__(self, receive: Receive, most: int) -> None:
        self.is_too_large = False
        self._receive, self._left = receive, most

    async def receive(self) -> Message:
        """The next part."""
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.is_too_large = True
            raise _TooLargeError
        return message


def _name_of(host: bytes) -> str:
    """The name in a Host header, without its port."""
    text = host.decode("latin-1")
    return text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
