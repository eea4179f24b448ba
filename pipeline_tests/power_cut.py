"""Ends all writing below a folder at the n-th operation, as a kill or a power cut does there.

An operation is what changes a disk: opening a file to write, flushing it, renaming, deleting, making and removing
folders. Python's audit events tell of all but the flushing. From the n-th on, each one raises instead: so nothing is
tidied up either. A file that was about to be flushed keeps half of its bytes.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class PowerCut(BaseException):
    """The process is gone."""


class _Disk:
    """The folder that is watched, and what was done in it.

    Attributes:
        dies_at: number of the operation from which on none is done; None to count only.
        operations: done so far.
    """

    def __init__(self, folder: Path, dies_at: int | None) -> None:
        self.folder, self.dies_at, self.operations = str(folder), dies_at, 0

    def operate(self, lose: Callable[[], None] = lambda: None) -> None:
        if self.dies_at is not None and self.operations >= self.dies_at:
            if self.operations == self.dies_at:
                lose()
                self.operations += 1
            raise PowerCut
        self.operations += 1


_watched: _Disk | None = None
_is_hooked = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is None or event not in _EVENTS:
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITES):
        return
    path = arguments[0]
    if isinstance(path, int):
        return
    name = os.fsdecode(path)
    # Deleting a whole folder names its files from there.
    if name.startswith(_watched.folder) or (event != "open" and not Path(name).is_absolute()):
        _watched.operate()


@contextmanager
def _watching(folder: Path, dies_at: int | None) -> Iterator[_Disk]:
    global _watched, _is_hooked
    if not _is_hooked:
        sys.addaudithook(_hook)
        _is_hooked = True
    flush = os.fsync

    def fsync(descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        path = Path(f"/proc/self/fd/{number}").readlink()

        def lose_half() -> None:
            if path.is_file():
                with path.open("r+b") as file:
                    file.truncate(path.stat().st_size // 2)

        if _watched is not None and str(path).startswith(_watched.folder):
            watched, unwatched = _watched, _unwatched
            watched.operate(lambda: unwatched(lose_half))
        flush(descriptor)

    _watched = disk = _Disk(folder, dies_at)
    os.fsync = fsync  # type: ignore[assignment]
    try:
        yield disk
    finally:
        _watched, os.fsync = None, flush


def _unwatched(do: Callable[[], None]) -> None:
    global _watched
    watched, _watched = _watched, None
    try:
        do()
    finally:
        _watched = watched


def operations(folder: Path, do: Callable[[], object]) -> int:
    """How many operations below a folder something takes."""
    with _watching(folder, None) as disk:
        do()
    return disk.operations


def cut_at(number: int, folder: Path, do: Callable[[], object]) -> bool:
    """Do something, of which all operations below a folder fail from this number on, counted from 0.

    Returns:
        Whether it was cut off.
    """
    with _watching(folder, number):
        try:
            do()
        except PowerCut:
            return True
    return False
