"""Counts what the messages of an Arrow file or stream decompress to, before anything is decompressed.

pyarrow tells it only afterwards. The layout is the format's own (https://arrow.apache.org/docs/format/Columnar.html#ipc):
a message is a flatbuffer with the offsets of its buffers, and a compressed buffer begins with its size.
"""

import struct
from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa

from pipeline.question_pairs.reading.table_file import Limits

_CONTINUATION = 0xFFFFFFFF
_FILE_START = 8
_RECORD_BATCH, _DICTIONARY_BATCH = 3, 2
_MESSAGE_HEADER_TYPE, _MESSAGE_HEADER, _MESSAGE_BODY_LENGTH = 1, 2, 3
_BATCH_BUFFERS, _BATCH_COMPRESSION = 2, 3
_DICTIONARY_DATA = 1
_FOOTER_BLOCKS = (2, 3)
_BLOCK_BYTES = 24
_TRAILER_BYTES = 10


def check_messages(
    data: pa.Buffer, is_stream: bool, schema: pa.Schema, wanted: Collection[str], limits: Limits
) -> None:
    """Refuse a file whose wanted columns decompress to more than is allowed.

    Raises:
        NotReadableError: when they do.
        ValueError: when the messages are damaged.
    """
    view = memoryview(data)
    try:
        total = 0
        for at in _stream_messages(view) if is_stream else _file_messages(view):
            total += _decompressed(view, at, schema, wanted)
            limits.check_bytes(total, "bytes of decompressed data")
    except (struct.error, IndexError, OverflowError) as error:
        raise ValueError("its Arrow messages are damaged") from error


class _Table:
    """A table of a flatbuffer."""

    def __init__(self, view: memoryview, at: int) -> None:
        self._view, self._at = view, at
        self._entries = at - _number("<i", view, at)

    def field(self, number: int) -> int | None:
        """Where a field stands; None where it is left out."""
        entry = 4 + 2 * number
        if entry >= _number("<H", self._view, self._entries):
            return None
        offset = _number("<H", self._view, self._entries + entry)
        return self._at + offset if offset else None

    def table(self, number: int) -> "_Table | None":
        """The table that a field refers to."""
        at = self.field(number)
        return None if at is None else _Table(self._view, at + _number("<I", self._view, at))

    def vector(self, number: int) -> tuple[int, int]:
        """Where the elements of a field begin, and how many there are."""
        at = self.field(number)
        if at is None:
            return 0, 0
        start = at + _number("<I", self._view, at)
        return start + 4, _number("<I", self._view, start)


def _number(kind: str, view: memoryview, at: int) -> int:
    if at < 0:
        raise IndexError(at)
    return int(struct.unpack_from(kind, view, at)[0])


def _root(view: memoryview, at: int) -> _Table:
    return _Table(view, at + _number("<I", view, at))


def _stream_messages(view: memoryview) -> Iterator[int]:
    """Where each message begins, one after the other."""
    at = 0
    while at + 4 <= len(view):
        start, length = _metadata(view, at)
        if not length:
            return
        yield at
        body = _root(view, start).field(_MESSAGE_BODY_LENGTH)
        at = start + length + (_number("<q", view, body) if body is not None else 0)


def _file_messages(view: memoryview) -> Iterator[int]:
    """Where each message begins, by the footer."""
    length = _number("<i", view, len(view) - _TRAILER_BYTES)
    footer = _root(view, len(view) - _TRAILER_BYTES - length)
    for field in _FOOTER_BLOCKS:
        start, count = footer.vector(field)
        for block in range(count):
            yield _number("<q", view, start + block * _BLOCK_BYTES)


def _metadata(view: memoryview, at: int) -> tuple[int, int]:
    """Where a message's metadata begins, and its length in bytes; the first releases wrote no continuation mark."""
    if _number("<I", view, at) == _CONTINUATION:
        return at + 8, _number("<i", view, at + 4)
    return at + 4, _number("<i", view, at)


def _decompressed(view: memoryview, at: int, schema: pa.Schema, wanted: Collection[str]) -> int:
    """Bytes that the wanted columns of one message decompress to; 0 where it isn't compressed."""
    start, length = _metadata(view, at)
    message = _root(view, start)
    kind_at, header = message.field(_MESSAGE_HEADER_TYPE), message.table(_MESSAGE_HEADER)
    kind = 0 if kind_at is None else view[kind_at]
    if kind == _DICTIONARY_BATCH and header is not None:
        header = header.table(_DICTIONARY_DATA)
    elif kind != _RECORD_BATCH:
        return 0
    if header is None or header.table(_BATCH_COMPRESSION) is None:
        return 0
    first, count = header.vector(_BATCH_BUFFERS)
    chosen = _wanted_buffers(schema, wanted) if kind == _RECORD_BATCH else None
    if chosen is None or len(chosen) != count:
        chosen = [True] * count
    total = 0
    for number, is_wanted in enumerate(chosen):
        offset, size = struct.unpack_from("<qq", view, first + 16 * number)
        if is_wanted and size >= 8:
            plain = _number("<q", view, start + length + offset)
            total += size if plain < 0 else plain
    return total


def _wanted_buffers(schema: pa.Schema, wanted: Collection[str]) -> list[bool] | None:
    """For each buffer of a batch whether it belongs to a wanted column; None where a type's buffers aren't known."""
    flags: list[bool] = []
    for field in schema:
        buffers = _buffers(field.type)
        if buffers is None:
            return None
        flags += [field.name in wanted] * buffers
    return flags


def _buffers(kind: Any) -> int | None:
    """How many buffers a column of this type has in a message."""
    types = pa.types
    if types.is_null(kind):
        return 0
    if types.is_dictionary(kind) or types.is_primitive(kind) or types.is_fixed_size_binary(kind):
        return 2
    if types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        return 3
    own = {types.is_struct: 1, types.is_fixed_size_list: 1, types.is_list: 2, types.is_large_list: 2, types.is_map: 2}
    count = next((number for is_kind, number in own.items() if is_kind(kind)), None)
    if count is None:
        return None
    children = [_buffers(kind.field(at).type) for at in range(kind.num_fields)]
    return None if None in children else count + sum(number for number in children if number is not None)
