"""Holds Ctrl-C and terminations back from code that must not be torn apart, such as ending a call that costs money.

An exception that a signal handler raises can come anywhere: between starting a call and noting that it runs, or while
the call is being ended for the signal before (Dagster passes a terminal's Ctrl-C on to a step that the terminal has
told already). Where nothing may be lost, a signal is therefore only noted, and acted on where the code says so.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_handlers: dict[int, Any] = {}
"""What the held signals would have done; empty while none is held."""

_came: list[int] = []


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Note SIGINT and SIGTERM inside this context; `raise_held_interrupt` does what they ask for.

    Contexts nest: the outermost one counts. A signal that nobody asked about takes effect at its end, unless an
    exception is on its way there already. Outside the main thread, where no signal arrives, nothing changes.
    """
    if _handlers or threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers: dict[int, Any] = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
    _handlers.update(handlers)
    try:
        for number in handlers:
            signal.signal(number, _note)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        # Looked at only now: until here a signal may have come.
        came = _came[:1]
        _handlers.clear()
        _came.clear()
    for number in came:
        handlers[number](number, None)


@contextmanager
def interrupts_let_through() -> Iterator[None]:
    """Give signals their usual effect inside this context, which lies in one of `interrupts_held`."""
    raise_held_interrupt()
    handlers = dict(_handlers)
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        # What came after the first look, and before its handler was back.
        raise_held_interrupt()
        yield
    finally:
        for number in handlers:
            signal.signal(number, _note)


def raise_held_interrupt() -> None:
    """Do what a signal that came meanwhile asks for: raises what its handler raises."""
    if _came:
        number = _came[0]
        _came.clear()
        _handlers[number](number, None)


def _note(number: int, frame: FrameType | None) -> None:
    _came.append(number)
