"""One folder for the temporary files of a command and of its processes, removed however the command ends.

A killed command can't remove its folder. The next command does: a folder whose lock nobody holds has no owner.
"""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX = "question-pairs-"
_LOCK = ".lock"
_YOUNG_SECONDS = 60
"""A folder without a lock may be one whose command is just starting."""

_LONGEST_PATH = 60
"""Processes may have sockets in the folder, and the system limits their paths to about 100 characters."""

_AFTER_MULTIPROCESSING = -1000
"""`multiprocessing` removes its folder with priority -100."""

_folders: dict[Path, FileLock] = {}
"""The folders of this process with their locks."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Create the folder, which `tempfile` uses in this block, also in processes that are started in it."""
    parent = Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    _folders[folder] = FileLock(folder / _LOCK)
    _folders[folder].acquire()
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    try:
        if len(str(folder)) <= _LONGEST_PATH:
            tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        yield folder
    finally:
        tempfile.tempdir = before[0]
        if before[1] is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = before[1]
        if list(folder.glob("pymp-*")):
            # `multiprocessing` has sockets in it, and fails at exit when its own folder there is gone before.
            from multiprocessing.util import Finalize

            Finalize(None, remove_scratch, exitpriority=_AFTER_MULTIPROCESSING)
        else:
            _remove(folder)


def remove_scratch() -> None:
    """Remove the folders of this process, before it is ended by force."""
    for folder in list(_folders):
        _remove(folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        _folders.pop(folder).release()


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError, Timeout):
            status = folder.lstat()
            is_ours = stat.S_ISDIR(status.st_mode) and hasattr(os, "getuid") and status.st_uid == os.getuid()
            is_young = time.time() - status.st_mtime < _YOUNG_SECONDS and not (folder / _LOCK).exists()
            if is_ours and not is_young:
                with FileLock(folder / _LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
