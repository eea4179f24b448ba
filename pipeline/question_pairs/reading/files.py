"""Finds files of question pairs on a disk or behind an fsspec URL, and reads their bytes within a limit."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from upath import UPath

from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.foreign_text import credentials, without_credentials

DATA_SUFFIXES = frozenset({".tsv", ".csv", ".txt", ".parquet", ".arrow", ".feather", ".jsonl", ".ndjson", ".json"})
"""What a folder's data files end in, but for a further suffix of `COMPRESSED_SUFFIXES`."""

COMPRESSED_SUFFIXES = frozenset({".gz", ".gzip", ".zst", ".zstd", ".bz2"})

_NO_DATA = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
"""What `datasets.Dataset.save_to_disk` and the hub put beside the data."""

_CODECS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
_PACKED = {b"PK\x03\x04": "a zip archive", b"\xfd7zXZ\x00": "compressed with xz", b"7z\xbc\xaf\x27\x1c": "a 7z archive"}
_READ = 1 << 24
_BLOCK = 1 << 20
_KEPT_WHILE_COUNTING = 1 << 28
"""Decompressed bytes that are kept in memory (256 MiB) while it isn't known yet whether they stay below the limit."""


@dataclass(frozen=True)
class DataFile:
    """A file of question pairs.

    Attributes:
        name: how messages call it: its path, or its URL without credentials.
        path: where it lies, on a disk or behind a URL.
        location: what was asked for, which may hold credentials: no message shows what stands in it.
    """

    name: str
    path: Path | UPath
    location: str = field(default="", repr=False)


def find_files(location: str) -> list[DataFile]:
    """The file at a local path or fsspec URL, or the data files below a folder, sorted by their relative path.

    Hidden files, and files that aren't data by their ending, are passed over.

    Raises:
        PipelineError: when nothing is there, the folder has no data file, or the place can't be reached.
    """
    shown = without_credentials(location)
    try:
        path = _path(location)
        if path.is_dir():
            return _folder_files(path, shown, location)
        if not path.exists():
            raise PipelineError(
                f"no file of question pairs at {path.absolute() if isinstance(path, Path) else shown}: correct `path`"
            )
        if not path.is_file():
            raise PipelineError(f"{shown} is neither a file nor a folder: correct `path`")
    except PipelineError:
        raise
    except Exception as error:  # A file system behind a URL raises whatever its client library raises.
        raise PipelineError(
            f"can't reach {shown} ({_reason(error, location)}): correct `path`, or install what its protocol needs"
        ) from error
    return [DataFile(str(path) if isinstance(path, Path) else shown, path, location)]


def _path(location: str) -> Path | UPath:
    path = UPath(location)
    return Path(path.path).expanduser() if path.protocol in ("", "file", "local") else path


def _reason(error: Exception, location: str) -> str:
    """What an error says, unless a credential of the URL is in it; then only what kind it is."""
    kind = type(error).__name__
    return kind if any(secret in str(error) for secret in credentials(location)) else f"{kind}: {reason_of(error)}"


def _folder_files(folder: Path | UPath, shown: str, location: str) -> list[DataFile]:
    root = folder.as_posix().rstrip("/") + "/"
    by_name = {path.as_posix().removeprefix(root): path for path in folder.rglob("*") if path.is_file()}
    found = [
        DataFile(f"{shown.rstrip('/')}/{name}", by_name[name], location) for name in sorted(by_name) if is_data(name)
    ]
    if not found:
        raise PipelineError(
            f"the folder {shown} has no data file: it needs one that ends in {', '.join(sorted(DATA_SUFFIXES))} (or "
            "that and .gz, .zst or .bz2)"
        )
    return found


def is_data(name: str) -> bool:
    """Is this a data file, by its relative path?"""
    parts = name.split("/")
    if any(part.startswith((".", "_")) for part in parts) or parts[-1] in _NO_DATA:
        return False
    path = Path(parts[-1].lower())
    if path.suffix in COMPRESSED_SUFFIXES:
        path = path.with_suffix("")
    return path.suffix in DATA_SUFFIXES


def bytes_sha256(file: DataFile) -> str:
    """SHA-256 of the file's bytes as they are stored, in hexadecimal; no more than a block of them is in memory.

    Raises:
        PipelineError: when the file can't be read.
    """
    digest = hashlib.sha256()
    try:
        with file.path.open("rb") as stream:
            while block := stream.read(_READ):
                digest.update(block)
    except Exception as error:  # As in `find_files`.
        raise PipelineError(f"can't read question pairs from {file.name}: {_reason(error, file.location)}") from error
    return digest.hexdigest()


def read_bytes(file: DataFile, limit: int) -> pa.Buffer:
    """The file's bytes, decompressed if it is gzip, zstd or bzip2, whatever its name.

    A file that holds more than `limit` bytes is refused as soon as that shows. Compressed bytes are counted before
    more than 256 MiB of them are kept, so an archive bomb fills neither memory nor disk.

    Raises:
        PipelineError: when the file can't be read or decompressed, or holds more than `limit` bytes.
    """
    try:
        raw = _raw(file.path, limit)
    except Exception as error:  # As in `find_files`.
        raise PipelineError(f"can't read question pairs from {file.name}: {_reason(error, file.location)}") from error
    if raw is None:
        raise _too_large(file, limit)
    for magic, what in _PACKED.items():
        if raw.startswith(magic):
            raise PipelineError(f"can't read question pairs from {file.name}: it is {what}; unpack it, or use gzip")
    codec = next((codec for magic, codec in _CODECS.items() if raw.startswith(magic)), None)
    if codec is None:
        return pa.py_buffer(raw)
    try:
        return _decompressed(pa.py_buffer(raw), codec, lambda: _too_large(file, limit), limit)
    except OSError as error:
        raise PipelineError(f"can't read question pairs from {file.name}: {reason_of(error)}") from error


def _raw(path: Path | UPath, limit: int) -> bytes | None:
    """The bytes as they are stored, or None if they are more than the limit."""
    if isinstance(path, Path):
        return path.read_bytes() if path.stat().st_size <= limit else None
    # A server need not say how much there is.
    with path.open("rb") as stream:
        blocks = []
        size = 0
        while size <= limit and (block := stream.read(_READ)):
            blocks.append(block)
            size += len(block)
    return b"".join(blocks) if size <= limit else None


def _too_large(file: DataFile, limit: int) -> PipelineError:
    return PipelineError(f"{file.name} holds more than {limit:,} bytes of data: raise `max_bytes` if that is meant")


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
