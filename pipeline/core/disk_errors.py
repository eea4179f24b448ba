"""Recognises errors of disks and folders, whichever library reports them, and says them in one line.

A full disk comes as an `OSError`, as an error of SQLite, of safetensors or of torch, alone or as the cause of another
one. Each is told by its number where it has one, else by its words.
"""

import errno
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.foreign_text import for_terminal

_FULL, _READ_ONLY, _DENIED, _BROKEN, _NO_FOLDER, _NO_TEMPORARY = "full", "read-only", "denied", "broken", "file", "temp"

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
    # SQLite; C's errors, as safetensors and others quote them; torch, which doesn't say why a write failed.
    r"database or disk is full|No space left on device|Disk quota exceeded|\(os error 28\)|\[Errno 28\]": _FULL,
    r"PytorchStreamWriter failed|file write failed|unexpected pos \d+ vs": _FULL,
    r"readonly database|Read-only file system": _READ_ONLY,
    r"unable to open database file": _DENIED,
    r"disk I/O error|Input/output error": _BROKEN,
    r"No usable temporary directory": _NO_TEMPORARY,
}
_PATH_LENGTH = 120


def disk_error(error: BaseException, folders: Collection[Path] = ()) -> PipelineError | None:
    """The line for an error that a disk or a folder has caused, at whatever depth; None for any other error.

    Args:
        folders: where this process writes: the one with the least space is named where the error names no file.
    """
    for cause in _causes(error):
        if kind := _kind(cause):
            name = getattr(cause, "filename", None)
            return PipelineError(_said(kind, os.fsdecode(name) if isinstance(name, str | bytes) else None, folders))
    return None


def disk_problem(text: str, folders: Collection[Path] = ()) -> PipelineError | None:
    """As `disk_error`, of an error that only its words are left of."""
    kind = _kind_of_words(text)
    found = re.search(r"\[Errno \d+\] [^:]+: '([^']+)'", text)
    return PipelineError(_said(kind, found[1] if found else None, folders)) if kind else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised for: the first causes first."""
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


def _said(kind: str, name: str | None, folders: Collection[Path]) -> str:
    place = Path(name) if name else None
    where = _shown(place) if place else ""
    match kind:
        case "full":
            place = place or _fullest(folders)
            free = f", {_free(place) / 1e6:,.0f} MB are free" if place else ""
            where = where or (f"below {_shown(place)}" if place else "a file")
            return (
                f"the disk is full: can't write {where}{free}; free some space (`python "
                "-m pipeline prune` says what may go), and run the command again"
            )
        case "read-only":
            return f"the disk is read-only: can't write {where or 'a file'}; choose a folder that can be written to"
        case "denied":
            return f"no permission for {where or 'a file or its folder'}{_owner(place)}: change its owner or its mode"
        case "broken":
            return f"the disk has an error (input/output error){' at ' + where if where else ''}: check the disk"
        case "file":
            return f"a file stands where a folder belongs: {where or 'one of the folders'}; name another folder"
        case _:
            return "no folder for temporary files can be written to: the disk is full or read-only; set TMPDIR"


def _shown(path: Path) -> str:
    text = for_terminal(str(path))
    return text if len(text) <= _PATH_LENGTH else "…" + text[1 - _PATH_LENGTH :]


def _fullest(folders: Collection[Path]) -> Path | None:
    return min(folders, key=_free, default=None)


def _free(path: Path) -> int:
    """Bytes free on the disk that a file or folder is on, or would be."""
    for folder in (path, *path.absolute().parents):
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return 0


def _owner(path: Path | None) -> str:
    """Whom a file belongs to, else the nearest folder above it, and who asks; empty where that can't be told."""
    for place in (path, *path.absolute().parents) if path else ():
        with suppress(OSError, KeyError, NotImplementedError, ImportError):
            import getpass

            return f" (it belongs to {place.owner()}, this command runs as {getpass.getuser()})"
    return ""
