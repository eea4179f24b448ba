"""Another process as a compute backend, described without importing torch; and how its processes are ended."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from pipeline.compute.base import Backend, Compute

KIND = "process"


def is_running(number: int) -> bool:
    """Whether a process runs; a zombie doesn't."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z" and os.getpgid(number) == number


def cancel(call_id: str) -> None:
    """Kill a process and its children."""
    with suppress(ProcessLookupError):
        os.killpg(int(call_id), signal.SIGKILL)


def create(runs_folder: Path) -> Compute:
    """Make the compute, which imports torch; the definitions must not."""
    from other_process.compute import ProcessCompute

    return ProcessCompute(runs_folder)


BACKEND = Backend(
    kind=KIND,
    title="process",
    create=create,
    asset_kinds=frozenset({"python"}),
    place_name="folder",
    cancel=cancel,
)
