"""Files and folders: atomic writes, hashes, and folders with one owner."""

import errno
import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from upath import UPath

PROJECT_ROOT = Path(__file__).resolve().parents[2]
VERSION_LENGTH = 16
"""Hex digits of a data version: 64 bits, short enough to read in the UI."""


def json_text(value: Any) -> str:
    """Deterministic, readable JSON with a final newline."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def content_version(value: Any) -> str:
    """Version of a JSON-like value: the head of the SHA-256 of its canonical form."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:VERSION_LENGTH]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_sha256(content: bytes) -> str:
    """SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def folder_sha256(folder: Path, ignore: Sequence[str] = ()) -> dict[str, str]:
    """SHA-256 of each file below `folder`, by relative POSIX path in sorted order, without the names in `ignore`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in ignore)
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


@contextmanager
def replacing(path: "UPath | Path", staging: Path | None = None) -> "Iterator[UPath | Path]":
    """Yield a temporary file in the folder of `path` to write to, and rename it to `path` when the block succeeds.

    On a local disk the bytes are flushed before the rename and the folder after it, so that `path` is the old or the
    new file even after a power cut, and a pointer that is written later never survives without its file. An object
    store shows a file only when its upload is complete, so `path` itself is yielded there.

    Args:
        staging: another folder on the same disk for the temporary file, which stays there after a kill.
    """
    if not isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = (staging or path.parent) / f".{path.name}.{uuid.uuid4().hex}.tmp"
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


_NO_FLUSH = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EACCES, errno.EPERM}
"""Errors of systems that can't flush a folder, such as network disks."""


def flush_folder(folder: Path) -> None:
    """Flush the names in a local folder to the disk, where the system can."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FLUSH:
            raise


def flush_files(folder: Path) -> None:
    """Flush every file below a folder to the disk, before the folder gets its final name."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            flush_folder(path)
    flush_folder(folder)


def give_usual_permissions(folder: Path) -> None:
    """Give every file below a folder the permissions of a new file, by the umask.

    Some libraries rename a temporary file, which only its owner may read.
    """
    if os.name != "posix":
        return
    probe = folder / f".{uuid.uuid4().hex}.tmp"
    probe.touch()
    usual = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    for path in folder.rglob("*"):
        if path.is_file() and usual & ~(mode := stat.S_IMODE(path.stat().st_mode)):
            path.chmod(mode | usual)


def write_text(path: "UPath | Path", text: str) -> None:
    """Write a UTF-8 text file atomically, replacing an existing one."""
    write_bytes(path, text.encode())


def write_bytes(path: "UPath | Path", content: bytes, staging: Path | None = None) -> None:
    """Write a file atomically, replacing an existing one; see `replacing`."""
    with replacing(path, staging) as temporary:
        temporary.write_bytes(content)


def free_name(folder: "UPath | Path", name: str, content: bytes) -> str:
    """The name for a file that is written once; another one where a file of this name has other bytes.

    Args:
        folder: locked by the caller.
        name: path below the folder, such as `<version>.json` or `<version>/report.json`.

    Returns:
        That path, or one with the head of the content's SHA-256 after the version.
    """
    if not _has_other_bytes(folder / name, content):
        return name
    version, separator, rest = name.partition("/" if "/" in name else ".")
    return f"{version}-{bytes_sha256(content)[:8]}{separator}{rest}"


def _has_other_bytes(path: "UPath | Path", content: bytes) -> bool:
    try:
        return path.read_bytes() != content
    except FileNotFoundError:
        return False
    except OSError:
        return True


def add_to_folder(folder: Path, files: Mapping[str, bytes], replace: bool = True) -> None:
    """Write files below a folder, each atomically; unless `replace`, existing ones stay as they are.

    A kill leaves at most a temporary file in the folder itself: one among a model's files would count as damage.
    """
    for name, content in files.items():
        if replace or not (folder / name).exists():
            write_bytes(folder / name, content, staging=folder)


OWNER_FILE = ".owner"


def claim_folder(parent: Path, stem: str, number: int, owner: str, former_owner: str | None = None) -> Path:
    """Create or find the folder `<stem>-<number>` of `owner`, with the next free number where others own it.

    A claim is a folder with its owner's name in it, renamed into place: two processes never get the same one, and the
    same owner gets the same folder again.

    Args:
        former_owner: the owner's name by an earlier release, whose folder is taken over.
    """
    parent.mkdir(parents=True, exist_ok=True)
    claim = parent / f".claim-{uuid.uuid4().hex}"
    claim.mkdir()
    try:
        (claim / OWNER_FILE).write_text(owner, encoding="utf-8")
        while True:
            folder = parent / f"{stem}-{number}"
            try:
                claim.rename(folder)
            except OSError:
                if not folder.exists():
                    raise
            else:
                return folder
            found = _owner_of(folder)
            if found == owner:
                return folder
            if former_owner is not None and found == former_owner:
                write_text(folder / OWNER_FILE, owner)
                return folder
            number += 1
    finally:
        shutil.rmtree(claim, ignore_errors=True)


def _owner_of(folder: Path) -> str | None:
    try:
        # A damaged file names nobody.
        return (folder / OWNER_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
