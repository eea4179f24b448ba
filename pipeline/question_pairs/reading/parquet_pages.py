"""Reads what a Parquet file says of itself before pyarrow decodes any of it: columns, levels, and each page's size.

pyarrow tells the sizes of the footer alone, which need not be those of the pages, and ends the process when a footer is
damaged. Both are structs in Thrift's compact protocol (https://github.com/apache/parquet-format).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_FOOTER_END = 8
_MOST_LEVELS = 16
_TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _MAP, _STRUCT = 1, 2, 3, (4, 5, 6), 7, 8, (9, 10), 11, 12

_SCHEMA, _ROW_GROUPS = 2, 4
_CHILDREN = 5
_COLUMNS = 1
_META_DATA = 3
_TYPE, _ENCODINGS, _PATH, _COMPRESSED, _DATA_PAGE, _DICTIONARY_PAGE = 1, 2, 3, 7, 9, 11
_PAGE_UNCOMPRESSED, _PAGE_COMPRESSED = 2, 3
_DATA_PAGES, _PAGE_VALUES = (5, 8), 1
_BYTE_ARRAY = 6
_DELTA_BYTE_ARRAY = 7
_DICTIONARY_ENCODINGS = frozenset({0, 2, 3, 4, 8})
"""Those of columns that can be read as dictionaries: plain, dictionary, and of levels."""


@dataclass(frozen=True)
class Chunk:
    """The part of a column that is in one row group.

    Attributes:
        path: of the column, its levels joined by dots.
        is_text: does it hold texts or other bytes of any length?
        has_dictionary: can it be read as a dictionary?
        is_incremental: does a text say only how it differs from the one before?
        start: position of its first page.
        stored: bytes of all pages as they are stored.
    """

    path: str
    is_text: bool
    has_dictionary: bool
    is_incremental: bool
    start: int
    stored: int


@dataclass(frozen=True)
class Footer:
    """What a file says of itself.

    Attributes:
        columns: number of its columns, those inside others counted.
        levels: how deep they are nested.
        groups: for each row group its chunks.
    """

    columns: int
    levels: int
    groups: list[list[Chunk]]


def read_footer(data: memoryview) -> Footer:
    """Parse the footer.

    Raises:
        ValueError: when it is damaged.
    """
    length = int.from_bytes(data[-_FOOTER_END : -_FOOTER_END + 4], "little")
    start = len(data) - _FOOTER_END - length
    if start < 0:
        raise ValueError("its footer is damaged")
    try:
        footer, _ = _struct(data, start, 0)
        schema = footer[_SCHEMA]
        groups = [[_chunk(column[_META_DATA]) for column in group[_COLUMNS]] for group in footer.get(_ROW_GROUPS, [])]
        return Footer(len(schema) - 1, _levels(schema), groups)
    except (KeyError, IndexError, TypeError, UnicodeDecodeError, AttributeError) as error:
        raise ValueError("its footer is damaged") from error


def pages(data: memoryview, chunk: Chunk) -> Iterator[tuple[int, int]]:
    """Bytes of each page of a chunk when it is decompressed, and the values in it, by its own header.

    Raises:
        ValueError: when a header is damaged.
    """
    at, end = chunk.start, chunk.start + chunk.stored
    if not 0 <= at <= end <= len(data):
        raise ValueError("its pages lie outside of the file")
    while at < end:
        try:
            header, body = _struct(data, at, 0)
            stored, size = int(header[_PAGE_COMPRESSED]), int(header[_PAGE_UNCOMPRESSED])
            values = sum(int(header[kind][_PAGE_VALUES]) for kind in _DATA_PAGES if kind in header)
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError("the header of a page is damaged") from error
        if min(stored, size, values) < 0:
            raise ValueError("the header of a page is damaged")
        yield size, values
        at = body + stored


def _chunk(fields: dict[int, Any]) -> Chunk:
    encodings = set(fields[_ENCODINGS])
    is_text = fields[_TYPE] == _BYTE_ARRAY
    starts = [start for start in (fields.get(_DICTIONARY_PAGE), fields[_DATA_PAGE]) if start]
    return Chunk(
        path=".".join(bytes(part).decode() for part in fields[_PATH]),
        is_text=is_text,
        has_dictionary=is_text and encodings <= _DICTIONARY_ENCODINGS,
        is_incremental=is_text and _DELTA_BYTE_ARRAY in encodings,
        start=min(starts),
        stored=int(fields[_COMPRESSED]),
    )


def _levels(schema: list[dict[int, Any]]) -> int:
    """The depth of the tree whose nodes are listed with the number of their children."""
    deepest, open_nodes = 0, [1]
    for element in schema:
        while open_nodes and open_nodes[-1] == 0:
            open_nodes.pop()
        if not open_nodes:
            break
        open_nodes[-1] -= 1
        open_nodes.append(int(element.get(_CHILDREN, 0)))
        deepest = max(deepest, len(open_nodes) - 1)
    return deepest


# --- Thrift's compact protocol ---------------------------------------------------------------------------------


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


def _struct(data: memoryview, at: int, level: int) -> tuple[dict[int, Any], int]:
    """The fields of a struct by their numbers, and where it ends."""
    if level > _MOST_LEVELS:
        raise IndexError(at)
    fields: dict[int, Any] = {}
    number = 0
    while kind := data[at]:
        at += 1
        if kind >> 4:
            number += kind >> 4
        else:
            number, at = _integer(data, at)
        fields[number], at = _value(data, at, kind & 0x0F, level + 1)
    return fields, at + 1


def _value(data: memoryview, at: int, kind: int, level: int) -> tuple[Any, int]:
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if kind == _BYTE:
        return data[at], at + 1
    if kind in _INTEGERS:
        return _integer(data, at)
    if kind == _DOUBLE:
        return None, at + 8
    if kind == _BINARY:
        length, at = _varint(data, at)
        if at + length > len(data):
            raise IndexError(at)
        return data[at : at + length], at + length
    if kind in _LISTS:
        return _list(data, at, level)
    if kind == _STRUCT:
        return _struct(data, at, level)
    # A map, or no type at all: no file of pairs has one in its footer.
    raise IndexError(at)


def _list(data: memoryview, at: int, level: int) -> tuple[list[Any], int]:
    count, kind = data[at] >> 4, data[at] & 0x0F
    at += 1
    if count == 0x0F:
        count, at = _varint(data, at)
    if count > len(data) - at:
        raise IndexError(at)
    values = []
    for _ in range(count):
        if kind in (_TRUE, _FALSE):
            value, at = data[at] == _TRUE, at + 1
        else:
            value, at = _value(data, at, kind, level)
        values.append(value)
    return values, at
