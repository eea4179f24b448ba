"""Reads Parquet and Arrow files, whose few bytes may stand for many: what they decode to is counted before it is."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.question_pairs.reading.arrow_messages import check_messages
from pipeline.question_pairs.reading.parquet_pages import Chunk, pages, read_footer
from pipeline.question_pairs.reading.table_file import (
    LabelColumn,
    Limits,
    NotReadableError,
    RawRows,
    check_columns,
    decoded_bytes,
    longest_text,
)

_BATCH_ROWS = 1 << 16
_BATCH_BYTES = 1 << 28
_MOST_HEADER_BYTES = 1 << 24
"""Of a footer or schema, 16 MiB: enough for tens of thousands of row groups. It is parsed before all else is known."""

_LEAST_PARQUET = 12
_MOST_LEVELS = 64
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def _decoded(batches: Iterable[pa.RecordBatch], limits: Limits) -> Iterator[pa.RecordBatch]:
    """The batches without dictionaries, until they hold more than allowed: counted before a dictionary is looked up."""
    size = rows = 0
    for batch in batches:
        rows += batch.num_rows
        limits.check_rows(rows)
        size += sum(decoded_bytes(column) for column in batch.columns)
        limits.check_bytes(size)
        # Texts must be UTF-8 and offsets must lie within their buffers; the readers don't look.
        batch.validate(full=True)
        schema = _plain_schema(batch.schema)
        yield batch if schema == batch.schema else batch.cast(schema)


def _plain_schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_type(_plain_type(field.type)) for field in schema])


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type without dictionaries. Texts of one get 64-bit offsets, since they may be larger than 2 GiB."""
    if pa.types.is_dictionary(kind):
        return pa.large_string() if _is_text(kind.value_type) else kind.value_type
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in kind.fields])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        field = kind.value_field.with_type(_plain_type(kind.value_type))
        return pa.list_(field) if pa.types.is_list(kind) else pa.large_list(field)
    return kind


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _check_header(size: int, what: str) -> None:
    if size > _MOST_HEADER_BYTES:
        raise NotReadableError(
            f"its {what} has {size:,} bytes, more than {_MOST_HEADER_BYTES:,}: it has too many columns or row groups"
        )


@dataclass(frozen=True)
class _Counted:
    """A chunk, the bytes of its pages when they are decompressed, and the values in them."""

    chunk: Chunk
    size: int
    values: int


class Parquet:
    """A Parquet file."""

    format = "Parquet"

    def __init__(self, data: pa.Buffer) -> None:
        """Look at the footer.

        Raises:
            NotReadableError: when it is too large, or there are too many columns or levels.
        """
        self._data = data
        if data.size < _LEAST_PARQUET or data.slice(data.size - 4).to_pybytes() != b"PAR1":
            raise ValueError("it begins like a Parquet file and doesn't end like one: it was cut, or is none")
        _check_header(struct.unpack("<I", data.slice(data.size - 8, 4).to_pybytes())[0], "footer")
        self._footer = read_footer(memoryview(data).cast("B"))
        check_columns(self._footer.columns)
        if self._footer.levels > _MOST_LEVELS:
            raise NotReadableError(
                f"its columns are nested {self._footer.levels:,} levels deep, more than {_MOST_LEVELS}"
            )
        self._file = pq.ParquetFile(pa.BufferReader(data))
        self.columns = tuple(self._file.schema_arrow.names)

    def all_columns(self) -> tuple[str, ...]:
        """The columns of the schema."""
        return self.columns

    def read(self, names: Iterable[str], limits: Limits, label: LabelColumn | None = None) -> RawRows:
        """See `TableFile`.

        Where few bytes may stand for more than is allowed, texts are read as dictionaries: one that is stored once is
        in memory once until it is known how large all are.
        """
        wanted = list(names)
        rows = self._file.metadata.num_rows
        limits.check_rows(rows)
        groups = self._counted([_of_columns(chunks, wanted) for chunks in self._footer.groups], limits)
        chunks = [chunk for group in groups for chunk in group]
        file = self._file if self._most_bytes(groups, wanted) <= limits.max_bytes else self._with_dictionaries(chunks)
        batches = file.iter_batches(batch_size=_batch_rows(chunks), columns=wanted)
        schema = _plain_schema(pa.schema([file.schema_arrow.field(name) for name in wanted]))
        table = pa.Table.from_batches(_decoded(batches, limits), schema=schema)
        if len(table) != rows:
            raise ValueError(f"it has {len(table):,} rows where its footer says {rows:,}")
        return RawRows(table)

    def _counted(self, groups: list[list[Chunk]], limits: Limits) -> list[list[_Counted]]:
        """The chunks with what their pages hold by their own headers: the footer may say something else."""
        view = memoryview(self._data).cast("B")
        total = 0
        counted: list[list[_Counted]] = []
        for chunks in groups:
            counted.append([])
            for chunk in chunks:
                size = values = 0
                for page_size, page_values in pages(view, chunk):
                    size, values, total = size + page_size, values + page_values, total + page_size
                    limits.check_bytes(total, "bytes in its pages")
                counted[-1].append(_Counted(chunk, size, values))
        return counted

    def _with_dictionaries(self, chunks: Iterable[_Counted]) -> Any:
        others = {counted.chunk.path for counted in chunks if not counted.chunk.has_dictionary}
        paths = [path for path in dict.fromkeys(counted.chunk.path for counted in chunks) if path not in others]
        return pq.ParquetFile(pa.BufferReader(self._data), read_dictionary=paths)

    def _most_bytes(self, groups: list[list[_Counted]], names: list[str]) -> int:
        """Bytes that these columns decode to at most: of a text in a dictionary, each value may be the longest one."""
        total = 0
        for group, chunks in enumerate(groups):
            texts = [counted for counted in chunks if counted.chunk.has_dictionary]
            values = sum(chunk.values for chunk in texts)
            longest = max((chunk.size for chunk in texts), default=0)
            if values * longest > _BATCH_BYTES:
                longest = self._longest_in_dictionary(group, names, texts)
            total += sum(chunk.size for chunk in chunks) + values * longest
        return total

    def _longest_in_dictionary(self, group: int, names: list[str], texts: list[_Counted]) -> int:
        """Bytes of the longest text in the dictionaries of a row group."""
        batches = self._with_dictionaries(texts).iter_batches(batch_size=1, row_groups=[group], columns=names)
        return max((longest_text(column) for batch in islice(batches, 1) for column in batch.columns), default=0)


def _of_columns(chunks: Iterable[Chunk], names: Iterable[str]) -> list[Chunk]:
    wanted = set(names)
    return [chunk for chunk in chunks if chunk.path.partition(".")[0] in wanted or chunk.path in wanted]


def _batch_rows(chunks: Iterable[_Counted]) -> int:
    """Rows to decode at once: fewer where texts say only how they differ from the text before, as few bytes are then
    many texts that are as long as all of them together at most."""
    largest = max((counted.size for counted in chunks if counted.chunk.is_incremental), default=0)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, largest)))


class ArrowIpc:
    """An Arrow file or stream; Feather is the former."""

    format = "Arrow"

    def __init__(self, data: pa.Buffer, is_stream: bool) -> None:
        """Look at the schema.

        Raises:
            NotReadableError: when it is too large, or there are too many columns.
            ValueError: when a stream has no end mark.
        """
        if is_stream and data.slice(max(0, data.size - len(_END_OF_STREAM))).to_pybytes() != _END_OF_STREAM:
            # A reader would take what is there for the whole.
            raise ValueError("the Arrow stream has no end mark: it was cut, or its writer was not closed")
        self._data, self._is_stream = data, is_stream
        at = 4 if is_stream else data.size - 10
        if data.size >= 10:
            _check_header(struct.unpack("<I", data.slice(at, 4).to_pybytes())[0], "schema")
        self.columns = tuple(self._open(None).schema.names)
        check_columns(len(self.columns))

    def all_columns(self) -> tuple[str, ...]:
        """The columns of the schema."""
        return self.columns

    def _open(self, fields: list[int] | None) -> Any:
        options = pa.ipc.IpcReadOptions(included_fields=fields)
        open_ipc = pa.ipc.open_stream if self._is_stream else pa.ipc.open_file
        return open_ipc(pa.BufferReader(self._data), options=options)

    def read(self, names: Iterable[str], limits: Limits, label: LabelColumn | None = None) -> RawRows:
        """See `TableFile`."""
        wanted = list(names)
        check_messages(self._data, self._is_stream, self._open(None).schema, set(wanted), limits)
        reader = self._open([self.columns.index(name) for name in wanted])
        batches = reader if self._is_stream else (reader.get_batch(at) for at in range(reader.num_record_batches))
        table = pa.Table.from_batches(_decoded(batches, limits), schema=_plain_schema(reader.schema))
        return RawRows(table.select(wanted))
