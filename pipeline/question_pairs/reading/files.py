"""Finds files of question pairs on a disk or behind an fsspec URL, and reads their bytes within a limit."""

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, NoReturn, TypeVar, cast

import pyarrow as pa
from upath import UPath

from pipeline.core.errors import InputError, NotFoundError, PipelineError, UnavailableError, reason_of
from pipeline.core.foreign_text import credentials, without_credentials

DATA_SUFFIXES = frozenset(
    {".tsv", ".csv", ".txt", ".parquet", ".arrow", ".feather", ".jsonl", ".ndjson", ".json", ".xlsx", ".xlsm"}
)
"""Endings of data files. One of `COMPRESSED_SUFFIXES` may follow."""

COMPRESSED_SUFFIXES = frozenset({".gz", ".gzip", ".zst", ".zstd", ".bz2"})

_NO_DATA = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
"""What `datasets.Dataset.save_to_disk` and the hub store next to the data."""

_CODECS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
_READ = 1 << 20
_BLOCK = 1 << 20
_MOST_FILES = 10_000
_MOST_ENTRIES = 1_000_000
"""Of a folder, which may be a whole disk by mistake."""

_KEPT_WHILE_COUNTING = 1 << 28
"""Decompressed bytes (256 MiB) that are kept in memory while the rest is counted."""


@dataclass(frozen=True)
class DataFile:
    """A file of question pairs.

    Attributes:
        name: its path, or its URL without credentials, for messages.
        path: on a disk or behind a URL.
        location: the location that was given. It may contain credentials, so no message shows it.
    """

    name: str
    path: Path | UPath
    location: str = field(default="", repr=False)


class Deadline:
    """The time by which a source behind a URL must have been read.

    Attributes:
        seconds: from the start.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, 0 or more."""
        return max(0.0, self._end - time.monotonic())


ResultT = TypeVar("ResultT")


def in_time(work: Callable[[], ResultT], deadline: Deadline, late: PipelineError) -> ResultT:
    """Return or raise what `work` does, or raise `late` when it takes too long.

    A server may send a byte now and then, so that no single read takes long and all of them together never end. So the
    work is done in a thread, which can't be stopped and is left behind when time is up.
    """
    answer: queue.SimpleQueue[Callable[[], ResultT]] = queue.SimpleQueue()

    def run() -> None:
        try:
            result = work()
            answer.put(lambda: result)
        except Exception as error:
            answer.put(partial(_raise, error))

    threading.Thread(target=run, daemon=True, name="waiting for a source").start()
    try:
        return answer.get(timeout=deadline.left())()
    except queue.Empty:
        raise late from None


def _raise(error: Exception) -> NoReturn:
    raise error


def find_files(location: str, deadline: Deadline, setting: str = "path") -> list[DataFile]:
    """The file at a local path or fsspec URL, or the data files below a folder, sorted by their relative path.

    Hidden files, and files that aren't data by their ending, are passed over.

    Args:
        setting: the setting that gave the location, for messages.

    Raises:
        NotFoundError: when nothing is there, or the folder has no data file.
        InputError: when it is neither a file nor a folder, or has too many files.
        UnavailableError: when it can't be reached in time.
    """
    if "://" not in location:
        return _found(location, setting)
    shown = without_credentials(location)
    late = UnavailableError(
        f"{shown} wasn't listed within {deadline.seconds:,.0f} seconds: copy the files to this machine, or raise "
        "`max_seconds`",
        path=shown,
        seconds=deadline.seconds,
    )
    return in_time(lambda: _found(location, setting), deadline, late)


def _found(location: str, setting: str) -> list[DataFile]:
    shown = without_credentials(location)
    try:
        path = _path(location)
        if path.is_dir():
            return _folder_files(path, shown, location)
        if not path.exists():
            where = path.absolute() if isinstance(path, Path) else shown
            raise NotFoundError(f"no file of question pairs at {where}: correct `{setting}`", path=str(where))
        if not path.is_file():
            raise InputError(f"{shown} is neither a file nor a folder: correct `{setting}`", path=shown)
    except PipelineError:
        raise
    except Exception as error:  # A file system behind a URL raises whatever its client library raises.
        raise UnavailableError(
            f"can't reach {shown} ({_reason(error, location)}): correct `{setting}`, or install its client",
            path=shown,
        ) from error
    return [DataFile(str(path) if isinstance(path, Path) else shown, path, location)]


def _path(location: str) -> Path | UPath:
    path = UPath(location)
    return Path(path.path).expanduser() if path.protocol in ("", "file", "local") else path


def _reason(error: Exception, location: str) -> str:
    """The message of an error, or only its type when the message contains a credential of the URL."""
    kind = type(error).__name__
    return kind if any(secret in str(error) for secret in credentials(location)) else f"{kind}: {reason_of(error)}"


def _folder_files(folder: Path | UPath, shown: str, location: str) -> list[DataFile]:
    root = folder.as_posix().rstrip("/") + "/"
    by_name: dict[str, Path | UPath] = {}
    for seen, entry in enumerate(folder.rglob("*"), start=1):
        path = cast("Path | UPath", entry)
        name = path.as_posix().removeprefix(root)
        if is_data(name) and path.is_file():
            by_name[name] = path
        if len(by_name) > _MOST_FILES or seen > _MOST_ENTRIES:
            raise InputError(
                f"the folder {shown} has more than {_MOST_FILES:,} data files, or {_MOST_ENTRIES:,} files in all "
                f"({len(by_name):,} and {seen:,} counted): name a folder that has only the pairs",
                path=shown,
                data_files=len(by_name),
                files=seen,
            )
    found = [DataFile(f"{shown.rstrip('/')}/{name}", by_name[name], location) for name in sorted(by_name)]
    if not found:
        raise NotFoundError(
            f"the folder {shown} has no data file: it needs one that ends in {', '.join(sorted(DATA_SUFFIXES))} (or "
            "that and .gz, .zst or .bz2)",
            path=shown,
        )
    return found


def is_data(name: str) -> bool:
    """Whether a relative path is that of a data file."""
    parts = name.split("/")
    if any(part.startswith((".", "_")) for part in parts) or parts[-1] in _NO_DATA:
        return False
    path = Path(parts[-1].lower())
    if path.suffix in COMPRESSED_SUFFIXES:
        path = path.with_suffix("")
    return path.suffix in DATA_SUFFIXES


def bytes_sha256(file: DataFile, limit: int, deadline: Deadline) -> str:
    """Hash the file's bytes as they are stored: SHA-256 in hexadecimal, a block at a time.

    Raises:
        InputError: when the file can't be read, or holds more than `limit` bytes.
        UnavailableError: when it takes too long.
    """
    digest = hashlib.sha256()
    for block in _blocks(file, limit, deadline):
        digest.update(block)
    return digest.hexdigest()


def read_bytes(file: DataFile, limit: int, deadline: Deadline) -> pa.Buffer:
    """Read the file's bytes, and decompress gzip, zstd and bzip2, whatever its name.

    A file is refused as soon as more than `limit` bytes have been counted. Decompressed bytes beyond 256 MiB are
    counted before any of them is kept, so an archive bomb fills neither memory nor disk.

    Raises:
        InputError: when the file can't be read or decompressed, or holds more than `limit` bytes.
        UnavailableError: when it takes too long.
    """
    raw = b"".join(_blocks(file, limit, deadline))
    codec = next((codec for magic, codec in _CODECS.items() if raw.startswith(magic)), None)
    if codec is None:
        return pa.py_buffer(raw)
    try:
        return _decompressed(pa.py_buffer(raw), codec, lambda: _too_large(file, limit), limit)
    except OSError as error:
        raise InputError(f"can't read question pairs from {file.name}: {reason_of(error)}", path=file.name) from error


def _blocks(file: DataFile, limit: int, deadline: Deadline) -> Iterator[bytes]:
    """Yield the bytes as they are stored, and count them."""
    size = 0
    try:
        if isinstance(file.path, Path) and file.path.stat().st_size > limit:
            raise _too_large(file, limit)
        with file.path.open("rb") as stream:
            is_here = isinstance(file.path, Path)
            while block := stream.read(_READ) if is_here else _next_block(stream, file, size, deadline):
                size += len(block)
                # A server need not tell the size, and a file may grow.
                if size > limit:
                    raise _too_large(file, limit)
                yield block
    except PipelineError:
        raise
    except Exception as error:  # As in `find_files`.
        reason = _reason(error, file.location)
        raise InputError(f"can't read question pairs from {file.name}: {reason}", path=file.name) from error


def _next_block(stream: IO[bytes], file: DataFile, size: int, deadline: Deadline) -> bytes:
    late = UnavailableError(
        f"only {size:,} bytes of {file.name} came within {deadline.seconds:,.0f} seconds: copy it to this machine, or "
        "raise `max_seconds`",
        path=file.name,
        seconds=deadline.seconds,
    )
    return in_time(lambda: stream.read(_READ), deadline, late)


def _too_large(file: DataFile, limit: int) -> InputError:
    return InputError(
        f"{file.name} holds more than {max(0, limit):,} bytes of data, which are left of `max_bytes`: raise it if that "
        "is meant",
        path=file.name,
        limit="max_bytes",
    )


def _decompressed(raw: pa.Buffer, codec: str, too_large: Callable[[], PipelineError], limit: int) -> pa.Buffer:
    kept: list[bytes] = []
    size = 0
    stream = pa.CompressedInputStream(pa.BufferReader(raw), codec)
    while block := stream.read(_BLOCK):
        size += len(block)
        if size > limit:
            raise too_large()
        if size <= _KEPT_WHILE_COUNTING:
            kept.append(block)
    if size <= _KEPT_WHILE_COUNTING:
        return pa.py_buffer(b"".join(kept))
    kept.clear()
    whole = bytearray(size)
    view = memoryview(whole)
    stream = pa.CompressedInputStream(pa.BufferReader(raw), codec)
    at = 0
    while block := stream.read(_BLOCK):
        view[at : at + len(block)] = block
        at += len(block)
    return pa.py_buffer(whole)
