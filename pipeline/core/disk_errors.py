"""Recognises errors of disks and folders, whichever library raises them, and turns them into one line.

A full disk is reported as an `OSError`, or as an error of SQLite, safetensors or torch, alone or as the cause of
another one. Each is recognised by its number, or else by its words.
"""

import errno
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.core.errors import PipelineError, ResourceError
from pipeline.core.foreign_text import for_terminal

_FULL, _READ_ONLY, _DENIED, _BROKEN, _NO_FOLDER, _NO_TEMPORARY = (
    "full",
    "read-only",
    "denied",
    "broken",
    "no folder",
    "no temporary folder",
)

_NUMBERS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EIO: _BROKEN,
    errno.ENOTDIR: _NO_FOLDER,
}
_WORDS = {
    # SQLite; C's errors, as safetensors and others quote them; torch, which gives no reason for a failed write.
    r"database or disk is full|No space left on device|Disk quota exceeded|\(os error 28\)|\[Errno 28\]": _FULL,
    r"PytorchStreamWriter failed|file write failed|unexpected pos \d+ vs": _FULL,
    r"readonly database|Read-only file system": _READ_ONLY,
    r"unable to open database file": _DENIED,
    r"disk I/O error|Input/output error": _BROKEN,
    r"No usable temporary directory": _NO_TEMPORARY,
}
_MAX_PATH = 120


def disk_error(error: BaseException, folders: Collection[Path] = ()) -> ResourceError | None:
    """The error to raise for one that a disk or a folder caused, at any depth; None for any other error.

    Args:
        folders: where this process writes. The one with the least space is named where the error names no file.
    """
    for cause in _causes(error):
        if kind := _kind(cause):
            name = getattr(cause, "filename", None)
            return _error(kind, os.fsdecode(name) if isinstance(name, str | bytes) else None, folders)
    return None


def disk_problem(text: str, folders: Collection[Path] = ()) -> ResourceError | None:
    """As `disk_error`, for the text of an error."""
    kind = _kind_of_words(text)
    found = re.search(r"\[Errno \d+\] [^:]+: '([^']+)'", text)
    return _error(kind, found[1] if found else None, folders) if kind else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, the first cause first."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in found:
            found.append(one)
            # SQLAlchemy keeps the error of the database in `orig`.
            waiting += [one.__context__, one.__cause__, getattr(one, "orig", None)]
    return reversed(found)


def _kind(error: BaseException) -> str | None:
    if isinstance(error, PipelineError):
        return None
    number = error.errno if isinstance(error, OSError) else None
    return _NUMBERS.get(number or 0) or _kind_of_words(str(error))


def _kind_of_words(text: str) -> str | None:
    return next((kind for words, kind in _WORDS.items() if re.search(words, text)), None)


def _error(kind: str, name: str | None, folders: Collection[Path]) -> ResourceError:
    place = Path(name) if name else None
    return ResourceError(_line(kind, place, folders), problem=kind, path=place)


def _line(kind: str, place: Path | None, folders: Collection[Path]) -> str:
    where = _shown(place) if place else ""
    match kind:
        case "full":
            place = place or _fullest(folders)
            free = f", {_free(place) / 1e6:,.0f} MB are free" if place else ""
            where = where or (f"in {_shown(place)}" if place else "a file")
            return (
                f"the disk is full, can't write {where}{free}: free some space (`python "
                "-m pipeline prune` lists what may be deleted), and run the command again"
            )
        case "read-only":
            return f"the disk is read-only, can't write {where or 'a file'}: choose a folder that can be written to"
        case "denied":
            return f"no permission for {where or 'a file or its folder'}{_owner(place)}: change its owner or its mode"
        case "broken":
            return f"the disk has an error (input/output error){' at ' + where if where else ''}: check the disk"
        case "no folder":
            return f"a file is in the place of a folder, {where or 'one of the folders'}: name another folder"
        case _:
            return "no folder for temporary files can be written to, as the disk is full or read-only: set TMPDIR"


def _shown(path: Path) -> str:
    text = for_terminal(str(path))
    return text if len(text) <= _MAX_PATH else "…" + text[1 - _MAX_PATH :]


def _fullest(folders: Collection[Path]) -> Path | None:
    return min(folders, key=_free, default=None)


def _free(path: Path) -> int:
    """Free bytes on the disk of a file or folder, which need not exist."""
    for folder in (path, *path.absolute().parents):
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return 0


def _owner(path: Path | None) -> str:
    """The owner of a file, or of the nearest folder above it, and the user of this process; empty where unknown."""
    for place in (path, *path.absolute().parents) if path else ():
        with suppress(OSError, KeyError, NotImplementedError, ImportError):
            import getpass

            return f" (it belongs to {place.owner()}, this command runs as {getpass.getuser()})"
    return ""
