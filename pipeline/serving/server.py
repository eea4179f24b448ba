"""Runs the service until it is told to end: requests that have come are answered first."""

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

from pipeline.core.errors import PipelineError, reason_of
from pipeline.serving.app import create_app
from pipeline.serving.options import ServiceLimits, is_loopback
from pipeline.serving.service import Service

_BACKLOG = 2_048
"""Connections that wait to be taken."""

_DRAINING_SECONDS = 1.0
_SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket on this host and port, or on a free one for port 0.

    It is had before a model is loaded: an address in use is known at once.

    Raises:
        PipelineError: when the address can't be had.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise PipelineError(f"can't listen on {host}: {reason_of(error)}: name another one with --host") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise PipelineError(
                f"can't listen on {host}:{port} ({reason_of(error)}): name another port with --port"
            ) from error
        yield listener


def address_of(listener: socket.socket, host: str) -> str:
    """Where a browser on this machine finds the service."""
    port = listener.getsockname()[1]
    name = host if is_loopback(host) or not _is_any(host) else "localhost"
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _is_any(host: str) -> bool:
    return host in ("0.0.0.0", "::")


def run(
    service: Service,
    listener: socket.socket,
    host: str,
    token: str | None,
    on_ready: Callable[[], None],
    on_ending: Callable[[], None],
) -> None:
    """Answer requests until SIGINT, SIGTERM or SIGHUP; those that have come until then are answered.

    Args:
        on_ready: called when requests are answered.
        on_ending: called when the end was asked for.
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
    """Seconds after a signal in which the service has ended."""
    return _DRAINING_SECONDS + limits.request_seconds + 5


class _Server(uvicorn.Server):
    """Ends in two steps: first every answer closes its connection, and the health says that an end is near, while new
    requests are still answered; then nothing is taken any more. Without the first step, a client that sends its next
    request over an open connection at that moment gets no answer. Without the last look for connections, those get none
    that the system has let in, and uvicorn has not taken yet."""

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
        # Closing a server leaves these open.
        self._listeners = [listener.dup() for listener in sockets or []]
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As the method of uvicorn, which raises the signal once more at the end: here all went well."""
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a second Ctrl-C ends without waiting."""
        if self._service.is_ending:
            self.should_exit = self.force_exit = True
        self._service.is_ending = True

    async def on_tick(self, counter: int) -> bool:
        """See `uvicorn.Server.on_tick`: whether to stop, asked ten times a second."""
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
        taken = [connection for listener in self._listeners for connection in self._take_waiting(listener)]
        loop = asyncio.get_running_loop()
        for connection in taken:
            await loop.connect_accepted_socket(self._protocol, connection)
        deadline = time.monotonic() + _DRAINING_SECONDS
        # Those without a cycle have not begun to ask yet.
        while (
            any(getattr(one, "cycle", one) is None for one in self.server_state.connections)
            and time.monotonic() < deadline
        ):
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    @staticmethod
    def _take_waiting(listener: socket.socket) -> list[socket.socket]:
        """The connections that the system has let in, and no others from now on."""
        taken = []
        with listener, suppress(BlockingIOError):
            listener.setblocking(False)
            while True:
                taken.append(listener.accept()[0])
        return taken

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
