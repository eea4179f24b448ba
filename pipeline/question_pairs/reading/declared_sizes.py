"""Reads what the pages of a Parquet file and the messages of an Arrow file say they decompress to.

pyarrow tells the size of a page or a message only after it has decompressed it, and a few kilobytes can stand for
gigabytes. A Parquet footer names sizes too, but need not tell the truth, and pyarrow 26 ends the process when it is
asked for those of a damaged one. So the few fields that are needed are parsed here: Thrift's compact protocol
(https://github.com/apache/parquet-format) and the flatbuffers of Arrow
(https://arrow.apache.org/docs/format/Columnar.html#ipc).
"""

import re
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

MOST_HEADER_BYTES = 1 << 24
"""Of a footer, a schema or the header of a page, 16 MiB: enough for tens of thousands of row groups."""

# --- Parquet ---------------------------------------------------------------------------------------------------

_FOOTER_END = 8
_ROW_GROUPS, _COLUMNS, _META_DATA = 4, 1, 3
_TYPE, _PATH, _COMPRESSED, _DATA_PAGE, _DICTIONARY_PAGE = 1, 3, 7, 9, 11
_PAGE_UNCOMPRESSED, _PAGE_COMPRESSED = 2, 3
_ENCODING_OF_PAGE = {5: 2, 8: 4}
"""For each kind of data page the field of its encoding."""

_BYTE_ARRAY = 6
_DELTA_BYTE_ARRAY = 7
_DICTIONARY_ENCODINGS = frozenset({0, 2, 8})
"""Plain values and indices into a dictionary."""

_TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _STRUCT = 1, 2, 3, (4, 5, 6), 7, 8, (9, 10), 12
_DAMAGED = (KeyError, IndexError, TypeError, AttributeError, UnicodeDecodeError)


@dataclass(frozen=True)
class Chunk:
    """The part of a column that is in one row group.

    Attributes:
        path: of the column, its levels joined by dots.
        size: bytes of all its pages when they are decompressed.
        is_dictionary: can it be read as a dictionary of texts?
        is_incremental: do texts say only how they differ from the one before?
    """

    path: str
    size: int
    is_dictionary: bool
    is_incremental: bool


def parquet_chunks(data: memoryview, wanted: Collection[str]) -> Iterator[Chunk]:
    """The chunks of the wanted columns, one after the other, by the headers of their pages.

    Raises:
        ValueError: when the footer or a page is damaged.
    """
    end = len(data) - _FOOTER_END
    try:
        footer, _ = _thrift_struct(data[end - int.from_bytes(data[end : end + 4], "little") : end], 0)
        columns = [column[_META_DATA] for group in footer.get(_ROW_GROUPS, []) for column in group[_COLUMNS]]
        for fields in columns:
            path = ".".join(bytes(part).decode() for part in fields[_PATH])
            if path.partition(".")[0] in wanted or path in wanted:
                yield _chunk(data, path, fields)
    except _DAMAGED as error:
        raise ValueError("its footer or the header of a page is damaged") from error


def _chunk(data: memoryview, path: str, fields: dict[int, Any]) -> Chunk:
    at = min(start for start in (fields.get(_DICTIONARY_PAGE), fields[_DATA_PAGE]) if start)
    end = at + fields[_COMPRESSED]
    if not 0 <= at <= end <= len(data):
        raise ValueError("its pages lie outside of the file")
    size, encodings = 0, set()
    while at < end:
        header, length = _thrift_struct(data[at : at + MOST_HEADER_BYTES], 0)
        if min(header[_PAGE_UNCOMPRESSED], header[_PAGE_COMPRESSED]) < 0:
            raise ValueError("the header of a page is damaged")
        encodings |= {header[kind][field] for kind, field in _ENCODING_OF_PAGE.items() if kind in header}
        size += header[_PAGE_UNCOMPRESSED]
        at += length + header[_PAGE_COMPRESSED]
    is_text = fields[_TYPE] == _BYTE_ARRAY
    return Chunk(path, size, is_text and encodings <= _DICTIONARY_ENCODINGS, _DELTA_BYTE_ARRAY in encodings)


def _thrift_struct(data: memoryview, at: int) -> tuple[dict[int, Any], int]:
    """The fields of a struct by their numbers, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while kind := data[at]:
        at += 1
        if kind >> 4:
            number += kind >> 4
        else:
            number, at = _integer(data, at)
        if kind & 0x0F in (_TRUE, _FALSE):
            fields[number] = kind & 0x0F == _TRUE
        else:
            fields[number], at = _thrift_value(data, at, kind & 0x0F)
    return fields, at + 1


def _thrift_value(data: memoryview, at: int, kind: int) -> tuple[Any, int]:
    if kind in (_TRUE, _FALSE, _BYTE):
        return data[at], at + 1
    if kind in _INTEGERS:
        return _integer(data, at)
    if kind == _DOUBLE:
        return None, at + 8
    if kind == _BINARY:
        length, at = _varint(data, at)
        return data[at : at + length], at + length
    if kind in _LISTS:
        count, kind = data[at] >> 4, data[at] & 0x0F
        at += 1
        if count == 0x0F:
            count, at = _varint(data, at)
        values = []
        for _ in range(count):
            value, at = _thrift_value(data, at, kind)
            values.append(value)
        return values, at
    if kind == _STRUCT:
        return _thrift_struct(data, at)
    # A map, or no type at all: neither a footer nor the header of a page has one.
    raise IndexError(at)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
        if shift > 63:
            raise IndexError(at)


def _integer(data: memoryview, at: int) -> tuple[int, int]:
    number, at = _varint(data, at)
    return (number >> 1) ^ -(number & 1), at


# --- Arrow -----------------------------------------------------------------------------------------------------

_HEADER = 2
_BUFFERS, _COMPRESSION = 2, 3
_DICTIONARY_DATA = 1
_OTHER_BUFFERS = re.compile("null|union|view|run_end|extension")
"""Types whose buffers in a message are not those in memory, as they are written. A name of a field may match too."""


def decompressed_bytes(message: pa.Message, schema: pa.Schema, wanted: Collection[str]) -> int:
    """Bytes that the wanted columns of a message decompress to; 0 where it isn't compressed.

    Args:
        message: as `pyarrow.MessageReader` gives it, which has checked its flatbuffer.

    Raises:
        ValueError: when it names bytes that it doesn't have.
    """
    metadata, body = memoryview(message.metadata), memoryview(message.body or b"")
    batch = _field(metadata, _number("<I", metadata, 0), _HEADER)
    if message.type == "dictionary" and batch:
        batch = _field(metadata, _followed(metadata, batch), _DICTIONARY_DATA)
    elif message.type != "record batch":
        return 0
    table = _followed(metadata, batch)
    buffers = _field(metadata, table, _BUFFERS)
    if not buffers or not _field(metadata, table, _COMPRESSION):
        return 0
    vector = _followed(metadata, buffers)
    count = _number("<I", metadata, vector)
    chosen = _wanted_buffers(schema, wanted) if message.type == "record batch" else []
    total = 0
    try:
        for at in range(count):
            offset, size = struct.unpack_from("<qq", metadata, vector + 4 + 16 * at)
            if size >= 8 and (len(chosen) != count or chosen[at]):
                declared = _number("<q", body, offset)
                total += size if declared < 0 else declared
    except struct.error as error:
        raise ValueError("its Arrow messages are damaged") from error
    return total


def _wanted_buffers(schema: pa.Schema, wanted: Collection[str]) -> list[bool]:
    """For each buffer of a batch whether it belongs to a wanted column; empty where that can't be told."""
    if any(_OTHER_BUFFERS.search(str(field.type)) for field in schema):
        return []
    return [field.name in wanted for field in schema for _ in pa.nulls(0, field.type).buffers()]


def _number(kind: str, view: memoryview, at: int) -> int:
    return int(struct.unpack_from(kind, view, at)[0])


def _field(view: memoryview, table: int, number: int) -> int:
    """Where a field of a flatbuffer's table is; 0 where it is left out."""
    fields = table - _number("<i", view, table)
    entry = 4 + 2 * number
    offset = _number("<H", view, fields + entry) if entry < _number("<H", view, fields) else 0
    return table + offset if offset else 0


def _followed(view: memoryview, at: int) -> int:
    """Where the table or vector is that a field refers to."""
    return at + _number("<I", view, at)
