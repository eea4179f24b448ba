"""One folder for all temporary files of a command and of its processes, removed however the command ends.

A command that is killed can remove nothing. The next one does: a folder whose lock nobody holds is nobody's.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: the folder of a killed command stays.
    fcntl = None  # type: ignore[assignment]

_PREFIX = "question-pairs-"
_LOCK = ".lock"
_YOUNG_SECONDS = 60
"""A folder without a lock may be one that is being made."""

_LONGEST = 60
"""Characters of a folder in which processes may have sockets, whose names the system limits to about 100."""

_AFTER_MULTIPROCESSING = -1000
"""Its own folder it removes with -100."""

_made: dict[Path, IO[str]] = {}
"""The folders of this process with their locks, which it holds to its end."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make the folder, and have `tempfile` use it here and in processes that are started meanwhile."""
    parent = Path(tempfile.gettempdir())
    _sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    _made[folder] = _lock(folder)
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    try:
        if len(str(folder)) <= _LONGEST:
            tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        yield folder
    finally:
        tempfile.tempdir = before[0]
        if before[1] is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = before[1]
        _leave(folder)


def _leave(folder: Path) -> None:
    """Remove the folder; where `multiprocessing` has a folder in it, which it removes when this process ends, then."""
    theirs = list(folder.glob("pymp-*"))
    if not theirs:
        _remove(folder)
        return
    for path in folder.iterdir():
        if path.is_dir() and path not in theirs:
            shutil.rmtree(path, ignore_errors=True)
        elif not path.is_dir() and path.name != _LOCK:
            path.unlink(missing_ok=True)
    from multiprocessing.util import Finalize

    Finalize(None, remove_scratch, exitpriority=_AFTER_MULTIPROCESSING)


def remove_scratch() -> None:
    """Remove the folders of this process, for whoever ends it at once."""
    for folder in list(_made):
        _remove(folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _made.pop(folder).close()


def _lock(folder: Path) -> IO[str]:
    lock = (folder / _LOCK).open("w")
    if fcntl:
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _sweep(parent: Path) -> None:
    """Remove the folders of commands that are gone."""
    for folder in parent.glob(f"{_PREFIX}*") if fcntl else ():
        with suppress(OSError):
            if folder.stat().st_uid == os.getuid() and not folder.is_symlink() and _is_left(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    if time.time() - folder.stat().st_mtime < _YOUNG_SECONDS and not (folder / _LOCK).exists():
        return False
    try:
        with (folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
