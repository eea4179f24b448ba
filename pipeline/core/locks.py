"""Kernel locks on local folders: they are released when their process ends, however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from pipeline.core.errors import BusyError

if TYPE_CHECKING:
    from upath import UPath

LOCK_FILE = ".lock"


@contextmanager
def locked(folder: "UPath | Path") -> Iterator[None]:
    """Lock a folder for this block, waiting for other processes. Object stores are not locked."""
    if not isinstance(folder, Path):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    # A singleton per file, so that a block nested in one of the same folder doesn't wait for itself.
    with FileLock(folder / LOCK_FILE, is_singleton=True):
        yield


@contextmanager
def held_alone(folder: Path, doing: str) -> Iterator[None]:
    """Lock a folder for this block, or fail at once where another process has locked it.

    Args:
        doing: what the other process does, for the message, such as `trains in`.

    Raises:
        BusyError: when another process, or another block of this one, has locked it.
    """
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(
            f"another process {doing} {folder}: wait for it to end, or terminate that run", path=folder
        ) from None
    try:
        yield
    finally:
        lock.release()
