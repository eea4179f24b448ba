"""Ends a command on Ctrl-C, a termination or the end of its terminal: soon, with one line and the status of shells.

Python runs a signal's handler between two steps of the main thread, and libraries put handlers of their own in its
place. So a thread of this module is told of every signal by the system itself (`signal.set_wakeup_fd`), and sees to it
that the command ends, whatever becomes of the exception that a handler raises.
"""

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

_SAID = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    **({signal.SIGHUP: "terminated, as its terminal is gone"} if hasattr(signal, "SIGHUP") else {}),
}
_PATIENCE = 5.0
"""Seconds in which a command ends by itself; then its steps are killed, and after as long again the command."""

_REMOTE_PATIENCE = 60.0
"""The same where work on another machine has to be ended, which costs money as long as it goes on."""

_SAME_SECONDS = 1.0
_OVER = 0


class Signals:
    """What came so far.

    Attributes:
        came: the first signal that asked for an end; None before.
        patience: seconds in which the command ends by itself.
        answer: called with the first signal, in a thread; it says what there is to say. None where the end says it.
    """

    came: int | None = None
    patience = _PATIENCE
    answer: Callable[[int], None] | None = None
    is_answered = False


_signals = Signals()
_is_working = False


def heed() -> None:
    """Let signals end this process at once, while nothing is begun yet: the first thing that a command does."""
    for number in _SAID:
        # What is ignored stays ignored, as for a command behind `nohup`.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _act)


def wait_for_other_machines() -> None:
    """Give the command time to end what it has begun elsewhere."""
    wait(_REMOTE_PATIENCE)


def wait(seconds: float) -> None:
    """Give the command so much time to end by itself."""
    _signals.patience = seconds


@contextmanager
def answered_by(answer: Callable[[int], None]) -> Iterator[None]:
    """In this context, the first signal that asks for an end is answered at once, while the work is being ended."""
    _signals.answer = answer
    try:
        yield
    finally:
        _signals.answer = None


def _act(number: int, frame: FrameType | None) -> None:
    _signals.came = _signals.came or number
    if not _is_working:
        end(_signals.came)
    raise KeyboardInterrupt


def end(number: int, tidy: Callable[[], None] = lambda: None) -> NoReturn:
    """End this process now, its own processes with it, and say so in one line."""
    for process in multiprocessing.active_children():
        process.kill()
    with suppress(OSError):
        tidy()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    with suppress(OSError):
        if not _signals.is_answered:
            what = _SAID[signal.Signals(number)]
            os.write(2, f"Error: {what}: nothing is half-written; run the command again to start anew\n".encode())
    os._exit(128 + number)


@contextmanager
def watched(tidy: Callable[[], None]) -> Iterator[Signals]:
    """In this context signals raise `KeyboardInterrupt`, and whatever doesn't end then is ended.

    Args:
        tidy: removes what nothing else would, where the process is ended by force.
    """
    global _is_working
    heed()
    told, teller = socket.socketpair()
    teller.setblocking(False)
    before = signal.set_wakeup_fd(teller.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(told, tidy), name="signals", daemon=True)
    watcher.start()
    _is_working = True
    try:
        yield _signals
    finally:
        signal.set_wakeup_fd(before)
        with suppress(OSError):
            teller.send(bytes([_OVER]))
        watcher.join(timeout=_PATIENCE)
        _is_working = False
        for ending in (told, teller):
            ending.close()


def _watch(told: socket.socket, tidy: Callable[[], None]) -> None:
    number = _told(told, None)
    if number == _OVER:
        return
    _signals.came = _signals.came or number
    if number and _signals.answer:
        with suppress(Exception):
            _signals.answer(number)
            _signals.is_answered = True
    for _ in ("the steps", "the command"):
        if _told(told, _signals.patience) == _OVER:
            return
        for process in multiprocessing.active_children():
            process.kill()
    if sys.stderr.isatty():
        # A live line hides the cursor.
        os.write(2, b"\r\x1b[?25h")
    end(number or signal.SIGTERM, tidy)


def _told(told: socket.socket, seconds: float | None) -> int | None:
    """The next signal that asks for an end; `_OVER` when the command is over, None when the time is."""
    began = time.monotonic()
    while True:
        left = None if seconds is None else max(0.001, began + seconds - time.monotonic())
        try:
            told.settimeout(left)
            number = (told.recv(1) or bytes([_OVER]))[0]
        except TimeoutError:
            return None
        except OSError:
            return _OVER
        # The same end may be asked for twice, by a terminal and by who started the command.
        if number == _OVER or (number in _SAID and (seconds is None or time.monotonic() - began > _SAME_SECONDS)):
            return number
