"""Processes by their numbers: is one running, and its end."""

import os
import signal
from contextlib import suppress
from pathlib import Path

KIND = "process"


def is_running(number: int) -> bool:
    """Whether a process of that number goes on; one that has ended and that nobody has waited for does not."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z" and os.getpgid(number) == number


def cancel(call_id: str) -> None:
    """End a process and what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(int(call_id), signal.SIGKILL)
