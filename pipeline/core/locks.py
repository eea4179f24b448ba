"""Locks of the kernel on folders of this machine. A process that ends, however it ends, holds none any more."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from pipeline.core.errors import PipelineError

if TYPE_CHECKING:
    from upath import UPath

LOCK_FILE = ".lock"


@contextmanager
def locked(folder: "UPath | Path") -> Iterator[None]:
    """Wait until no other process works in this block with this folder. On a store of objects nothing is held."""
    if not isinstance(folder, Path):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    # One object for each file: a block within a block of the same folder doesn't wait for itself.
    with FileLock(folder / LOCK_FILE, is_singleton=True):
        yield


@contextmanager
def held_alone(folder: Path, doing: str) -> Iterator[None]:
    """Keep other processes out of this folder, without waiting for one that is in it.

    Args:
        doing: what the other one does, for the message, such as `trains in`.

    Raises:
        PipelineError: when another process, or another block of this one, has it.
    """
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise PipelineError(
            f"another process {doing} {folder} at this moment: wait for its end, or terminate that run"
        ) from None
    try:
        yield
    finally:
        lock.release()
