"""The clients' way to a server that runs on: a port that can be closed, or left unanswered, and opened again."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_CHUNK_BYTES = 2**16


class Gate:
    """Passes bytes between a port of 127.0.0.1 and a server.

    Args:
        connect: opens a connection to the server.
        port: where clients come in; 0 takes a free one, which stays the gate's own.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], port: int = 0) -> None:
        self.port = port
        self._connect = connect
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_silent = False

    async def open(self) -> None:
        """Let clients in."""
        if self._listener:
            await self.close()
        self._is_silent = False
        await self._listen()

    async def close(self) -> None:
        """Break all connections and refuse new ones."""
        if self._listener:
            self._listener.close()
            self._listener = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def swallow(self) -> None:
        """Break all connections; take new ones and never answer."""
        await self.close()
        self._is_silent = True
        await self._listen()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._enter, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._is_silent:
                while await reader.read(_CHUNK_BYTES):
                    pass
                return
            there, away = await self._connect()
            self._writers.add(away)
            try:
                await asyncio.gather(_pass_on(reader, away), _pass_on(there, writer))
            finally:
                self._writers.discard(away)
                away.transport.abort()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
