"""A wake-up call for whoever waits until some piece of state changes."""

import asyncio
from contextlib import suppress


class Change:
    """Waiters look at the state, wait here, and look again."""

    def __init__(self) -> None:
        self._happened = asyncio.Event()

    def announce(self) -> None:
        """Wake everybody who waits now."""
        happened, self._happened = self._happened, asyncio.Event()
        happened.set()

    async def wait(self, timeout: float) -> None:
        """Return at the next announcement, or after `timeout` seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._happened.wait(), max(timeout, 0.001))
