"""Stops a command on Ctrl-C, SIGTERM or SIGHUP within seconds, with one line and the exit status of shells.

`KeyboardInterrupt` is not enough: Python runs a handler only between two bytecodes of the main thread, libraries
replace handlers, and some swallow the exception. So a thread reads every signal from the system
(`signal.set_wakeup_fd`), and ends the command after a while if it hasn't ended.
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
    **({signal.SIGHUP: "terminated, as its terminal was closed"} if hasattr(signal, "SIGHUP") else {}),
}
_PATIENCE = 5.0
"""Seconds until the steps of a command are killed, and as many again until the command is."""

_REMOTE_PATIENCE = 60.0
"""The same where work on another machine must be cancelled, which costs money as long as it runs."""

_DEBOUNCE_SECONDS = 1.0
"""A terminal and the parent of a command may both send a signal for the same Ctrl-C."""

_OVER = 0
"""Sent to the thread when the command is over; no signal has this number."""


class Signals:
    """The signals of this process.

    Attributes:
        came: the first one; None before.
        patience: seconds until what hasn't ended is killed.
        answer: called in the thread with the first signal, and prints a line instead of the default one.
    """

    came: int | None = None
    patience = _PATIENCE
    answer: Callable[[int], None] | None = None
    is_answered = False


_signals = Signals()
_is_working = False


def heed() -> None:
    """Let signals end this process at once, before the command has started anything."""
    for number in _SAID:
        # Signals that are ignored, as under `nohup`, stay ignored.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _act)


def wait_for_other_machines() -> None:
    """Give the command time to cancel work on other machines."""
    wait(_REMOTE_PATIENCE)


def wait(seconds: float) -> None:
    """Give the command this much time to end after a signal."""
    _signals.patience = seconds


@contextmanager
def answered_by(answer: Callable[[int], None]) -> Iterator[None]:
    """In this block, call `answer` with the first signal at once, while the work is being stopped."""
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
    """End this process and its child processes at once, with one line."""
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
            os.write(2, f"Error: {what}: no file is half-written, run the command again\n".encode())
    os._exit(128 + number)


@contextmanager
def watched(tidy: Callable[[], None]) -> Iterator[Signals]:
    """In this block, signals raise `KeyboardInterrupt`, and the process is killed if that doesn't end it.

    Args:
        tidy: called before the process is killed.
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
        # The progress bar hides the cursor.
        os.write(2, b"\r\x1b[?25h")
    end(number or signal.SIGTERM, tidy)


def _told(told: socket.socket, seconds: float | None) -> int | None:
    """The next signal; `_OVER` when the command is over, None when the time is."""
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
        if number == _OVER or (number in _SAID and (seconds is None or time.monotonic() - began > _DEBOUNCE_SECONDS)):
            return number
