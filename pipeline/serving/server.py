"""Runs the HTTP server until a signal stops it; requests that were accepted are answered first."""

import asyncio
import logging
import math
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn

from pipeline.core.errors import BusyError, SettingError, reason_of
from pipeline.serving.app import create_app
from pipeline.serving.options import ServiceLimits
from pipeline.serving.service import Service

_BACKLOG = 2_048
"""Maximum connections that wait to be accepted."""

_DRAINING_SECONDS = 1.0
_SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket bound to this host and port, or to a free one for port 0.

    It is bound before a model is loaded, so an address in use is reported at once.

    Raises:
        SettingError: when the host is unknown.
        BusyError: when the address can't be bound.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise SettingError(
            f"can't listen on {host} ({reason_of(error)}): name another host with --host", host=host
        ) from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise BusyError(
                f"can't listen on {host}:{port} ({reason_of(error)}): name another port with --port",
                host=host,
                port=port,
            ) from error
        yield listener


def address_of(listener: socket.socket, host: str) -> str:
    """The URL of the service for a browser on this machine."""
    port = listener.getsockname()[1]
    name = "localhost" if host in ("0.0.0.0", "::") else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def run(
    service: Service,
    listener: socket.socket,
    host: str,
    token: str | None,
    on_ready: Callable[[], None],
    on_ending: Callable[[], None],
) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; requests that were accepted by then are answered.

    Args:
        on_ready: called when the server accepts requests.
        on_ending: called when a signal asks it to stop.
    """
    _log_to_stderr()
    config = uvicorn.Config(
        create_app(service, host, token),
        lifespan="on",
        ws="none",
        backlog=_BACKLOG,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(service.limits.request_seconds) + 1,
    )
    _Server(config, service, on_ready, on_ending).run([listener])


def longest_end(limits: ServiceLimits) -> float:
    """Maximum seconds from a signal to the end of the service."""
    return _DRAINING_SECONDS + limits.request_seconds + 5


class _Server(uvicorn.Server):
    """Stops in two steps: for a second, every answer closes its connection and the health is 503, while new requests
    are still answered; then the server stops accepting.

    uvicorn stops in one, and drops two kinds of requests: one that a client sends over an open connection at that
    moment, and one on a connection that the system has accepted but uvicorn has not.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        on_ready: Callable[[], None],
        on_ending: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._service, self._on_ready, self._on_ending = service, on_ready, on_ending
        self._drained_at: float | None = None
        self._listeners: list[socket.socket] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # Closing the server leaves these open.
        self._listeners = [listener.dup() for listener in sockets or []]
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As in uvicorn, but does not raise the signal again at the end, as the service stopped in order."""
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second signal stops at once."""
        if self._service.is_ending:
            self.should_exit = self.force_exit = True
        self._service.is_ending = True

    async def on_tick(self, counter: int) -> bool:
        """See `uvicorn.Server.on_tick`, which returns ten times a second whether to stop."""
        if self._service.is_ending and self._drained_at is None:
            self._on_ending()
            self._drained_at = time.monotonic() + (_DRAINING_SECONDS if self.server_state.connections else 0)
        if self._drained_at is not None and time.monotonic() >= self._drained_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server.shutdown`."""
        for server in self.servers:
            server.close()
        accepted = [connection for listener in self._listeners for connection in self._close_listener(listener)]
        loop = asyncio.get_running_loop()
        for connection in accepted:
            await loop.connect_accepted_socket(self._protocol, connection)
        deadline = time.monotonic() + _DRAINING_SECONDS
        # Connections without a cycle have not sent a request yet.
        while (
            any(getattr(one, "cycle", one) is None for one in self.server_state.connections)
            and time.monotonic() < deadline
        ):
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    @staticmethod
    def _close_listener(listener: socket.socket) -> list[socket.socket]:
        """Close the listener; returns the connections that the system had accepted."""
        accepted = []
        with listener, suppress(BlockingIOError):
            listener.setblocking(False)
            while True:
                accepted.append(listener.accept()[0])
        return accepted

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name, level in (("pipeline.serving", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
