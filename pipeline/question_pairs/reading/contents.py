"""Names what a file is that holds no table of pairs, and what to do with it."""

import io
import zipfile

import puremagic
import pyarrow as pa

_AS_CSV = "save its table as CSV in UTF-8"
_KNOWN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"an old Office file, such as an .xls workbook: {_AS_CSV}, or as .xlsx"),
    (257, b"ustar", "a tar archive: unpack it, and name its folder as `path`"),
    (0, b"\xfd7zXZ\x00", "compressed with xz: unpack it, or compress it with gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it, and name its folder as `path`"),
    (0, b"Rar!\x1a\x07", "a RAR archive: unpack it, and name its folder as `path`"),
    (0, b"\x04\x22\x4d\x18", "compressed with LZ4: unpack it, or compress it with gzip"),
    (0, b"\xff\x06\x00\x00sNaPpY", "compressed with Snappy: unpack it, or compress it with gzip"),
    (0, b"\x1f\x9d", "compressed with `compress`: unpack it, or compress it with gzip"),
    (0, b"\x1f\x8b", "compressed twice or more: unpack it once"),
    (0, b"\x28\xb5\x2f\xfd", "compressed twice or more: unpack it once"),
    (0, b"BZh", "compressed twice or more: unpack it once"),
    (0, b"\x93NUMPY", f"an array of NumPy: {_AS_CSV}"),
    (0, b"\x89HDF\r\n\x1a\n", f"an HDF5 file: {_AS_CSV} or Parquet"),
    (0, b"Obj\x01", f"an Avro file: {_AS_CSV} or Parquet"),
    (0, b"ORC", f"an ORC file: {_AS_CSV} or Parquet"),
    (0, b"SQLite format 3\x00", f"a SQLite database: {_AS_CSV} or Parquet"),
    (0, b"FEA1", "a Feather file of version 1: write it again (pandas: to_feather), or as Parquet"),
    (0, b"RDX", f"an R file: {_AS_CSV}"),
)
"""Offset, bytes and meaning of formats that may hold tables, or that puremagic takes for something else."""

_PICKLE = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))

_IN_ZIP = (
    ("xl/workbook.xml", "Excel"),
    ("xl/workbook.bin", f"an .xlsb workbook: {_AS_CSV}, or as .xlsx"),
    ("word/document.xml", f"a Word document: {_AS_CSV}"),
    ("data.pkl", "a file of PyTorch, which holds a pickle: write its table as Parquet"),
)
_FRACTION_OF_UTF16 = 0.4
_LOOKED_AT = 4096
_LEAST_MAGIC = 4


def is_workbook(data: pa.Buffer) -> bool:
    """Whether it is a readable Excel workbook, .xlsx or .xlsm."""
    return _zip_of(data) == "Excel"


def what_it_is(data: pa.Buffer) -> str | None:
    """What the bytes are and the way out, as the rest of a sentence that begins with `it is`, or None if unknown."""
    start = data.slice(0, min(_LOOKED_AT, data.size)).to_pybytes()
    if start.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "text in UTF-32: save it as UTF-8"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text in UTF-16: save it as UTF-8"
    if start.startswith(b"PK\x03\x04"):
        return _zip_of(data)
    if start.startswith(_PICKLE):
        return "a pickle, which runs code when it is loaded and so is never opened: write its table as Parquet"
    for offset, magic, what in _KNOWN:
        if start[offset : offset + len(magic)] == magic:
            return what
    if _looks_like_utf16(start):
        return "text in UTF-16 without a byte order mark: save it as UTF-8"
    return _by_puremagic(start)


def _zip_of(data: pa.Buffer) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError):
        return "a damaged zip archive: copy or pack it again"
    found = next((what for name, what in _IN_ZIP if any(entry.endswith(name) for entry in names)), None)
    if found:
        return found
    if "mimetype" in names and "content.xml" in names:
        return f"an OpenDocument file, such as an .ods workbook: {_AS_CSV}, or as .xlsx"
    if names and all(name.endswith(".npy") for name in names):
        return f"an archive of NumPy: {_AS_CSV}"
    return "a zip archive: unpack it and name its folder as `path`, or compress the file with gzip"


def _looks_like_utf16(start: bytes) -> bool:
    """Letters of most languages have a zero in one of their two bytes."""
    even, odd = start[0::2], start[1::2]
    zeros = (even.count(0) / max(1, len(even)), odd.count(0) / max(1, len(odd)))
    return len(start) > 1 and max(zeros) > _FRACTION_OF_UTF16 and min(zeros) < _FRACTION_OF_UTF16 / 4


def _by_puremagic(start: bytes) -> str | None:
    try:
        found = puremagic.magic_string(start)
    except (puremagic.PureError, ValueError):
        return None
    # Any file may have a shorter beginning: a few NUL bytes are those of an embroidery machine.
    best = next((match for match in found if match.name and len(match.byte_match.strip(b"\0")) >= _LEAST_MAGIC), None)
    if best is None:
        return None
    ending = f" ({best.extension})" if best.extension else ""
    return f"no table but, by its first bytes, “{best.name}”{ending}: {_AS_CSV}"
