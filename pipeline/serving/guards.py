"""What stands before every request: limits of size, time and number, the token, and the count of all that."""

import asyncio
import contextlib
import hmac
import time

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.service import Service

OPEN_PATHS = frozenset({"/", "/page.css", "/page.js", "/health"})
"""Paths that need no token: the page has no data, and the health says no more than a word without one."""

_DISCARDING_SECONDS = 5.0
"""How long the body of a request that was refused is read at most."""

_DISCARDED_BODIES = 10
"""How many times the size of the largest body is read of it at most."""

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
        body = _Body(receive, self._limits.max_body_bytes)
        if refusal := self._refusal(scope, headers):
            await _refuse(refusal, scope, body, send)
            return
        self._running += 1
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
            await _refuse(self._too_large(), scope, body, send)
        except TimeoutError:
            if is_begun:
                raise
            said = f"no answer within {self._limits.request_seconds:g} s: ask for less at once, or later"
            await _refuse(error_answer(503, said, **{"Retry-After": "1"}), scope, body, send)
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
        self._receive, self._most, self._left, self._comes_more = receive, most, most, True

    async def receive(self) -> Message:
        """The next part."""
        message = await self._next()
        if self._left < 0:
            self.is_too_large = True
            raise _TooLargeError
        return message

    async def discard(self) -> None:
        """Read what still comes of it, up to some limit of time and size."""
        self._left = _DISCARDED_BODIES * self._most
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCARDING_SECONDS):
                while self._comes_more and self._left > 0:
                    await self._next()

    async def _next(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        self._comes_more = message.get("more_body", False)
        return message


async def _refuse(refusal: Response, scope: Scope, body: _Body, send: Send) -> None:
    """Send the answer to a request whose body may not be there yet, and read the body before the connection is closed.

    Many clients send all of a body before they read the answer. Where a connection with unread bytes is closed, TCP
    resets it, and the client gets an error of its connection instead of the answer (RFC 9112, section 9.6).
    """

    async def without_end(message: Message) -> None:
        await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

    await refusal(scope, body.receive, without_end)
    await body.discard()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _name_of(host: bytes) -> str:
    """The name in a Host header, without its port."""
    text = host.decode("latin-1")
    return text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
