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

_made: list[Path] = []


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make the folder, and have `tempfile` use it here and in processes that are started meanwhile."""
    parent = Path(tempfile.gettempdir())
    _sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    _made.append(folder)
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    try:
        with _locked(folder):
            if len(str(folder)) <= _LONGEST:
                tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
            yield folder
    finally:
        tempfile.tempdir = before[0]
        if before[1] is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = before[1]
        remove_scratch()


def remove_scratch() -> None:
    """Remove the folders of this process, for whoever ends it at once."""
    while _made:
        shutil.rmtree(_made.pop(), ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / _LOCK).open("w") as lock:
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
