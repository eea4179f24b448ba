"""Reads Parquet and Arrow files, in which a few bytes can stand for many: sizes are counted before data are decoded."""

import struct
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.question_pairs.reading.declared_sizes import MOST_HEADER_BYTES, decompressed_bytes, parquet_chunks
from pipeline.question_pairs.reading.table_file import LabelColumn, Limits, NotReadableError, RawRows, check_columns

_BATCH_ROWS = 1 << 16
_BATCH_BYTES = 1 << 27
_OFFSET_BYTES = 8
_LEAST_PARQUET = 12
_MOST_LEVELS = 64
_ARROW_START = 8
_ARROW_END = b"ARROW1"
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


class Parquet:
    """A Parquet file."""

    format = "Parquet"

    def __init__(self, data: pa.Buffer) -> None:
        """Read the schema.

        Raises:
            NotReadableError: when the footer is too large, or there are too many columns or levels.
        """
        self._data = data
        if data.size < _LEAST_PARQUET or data.slice(data.size - 4).to_pybytes() != b"PAR1":
            raise ValueError("it begins like a Parquet file and doesn't end like one: it was cut, or is none")
        _check_header(struct.unpack("<I", data.slice(data.size - 8, 4).to_pybytes())[0], "footer")
        self._file = self._open([])
        check_columns(self._file.metadata.num_columns)
        self.columns = tuple(self._file.schema_arrow.names)

    def all_columns(self) -> tuple[str, ...]:
        """The columns of the schema."""
        return self.columns

    def _open(self, dictionaries: list[str]) -> Any:
        try:
            return pq.ParquetFile(
                pa.BufferReader(self._data), read_dictionary=dictionaries, schema_depth_limit=_MOST_LEVELS
            )
        except OSError as error:
            if "deeply nested" in str(error):
                raise NotReadableError(
                    f"its columns are nested more than {_MOST_LEVELS} levels deep: flatten them"
                ) from error
            raise

    def read(self, names: Iterable[str], limits: Limits, label: LabelColumn | None = None) -> RawRows:
        """See `TableFile`.

        Texts are read as dictionaries where they are stored as such: a text that is stored once is in memory once
        until it is known how large all of them are.
        """
        wanted = list(names)
        rows = self._file.metadata.num_rows
        limits.check_rows(rows)
        total = largest = 0
        is_dictionary: dict[str, bool] = {}
        for chunk in parquet_chunks(memoryview(self._data).cast("B"), wanted):
            total += chunk.size
            limits.check_bytes(total, "bytes in its pages")
            is_dictionary[chunk.path] = is_dictionary.get(chunk.path, True) and chunk.is_dictionary
            if chunk.is_incremental:
                # Each text may be as long as the whole chunk.
                largest = max(largest, chunk.size)
        file = self._open([path for path, is_one in is_dictionary.items() if is_one])
        batch_rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, largest)))
        schema = _plain_schema(pa.schema([file.schema_arrow.field(name) for name in wanted]))
        batches = _decoded(file.iter_batches(batch_size=batch_rows, columns=wanted), limits)
        table = pa.Table.from_batches(batches, schema=schema)
        if len(table) != rows:
            raise ValueError(f"it has {len(table):,} rows where its footer says {rows:,}")
        return RawRows(table)


class ArrowIpc:
    """An Arrow file or stream. A file, which Feather is too, is a stream with a footer behind it."""

    format = "Arrow"

    def __init__(self, data: pa.Buffer, is_stream: bool) -> None:
        """Read the schema.

        Raises:
            NotReadableError: when it is too large, or there are too many columns.
            ValueError: when the end is missing.
        """
        # A reader would take a part for the whole.
        if is_stream and data.slice(max(0, data.size - len(_END_OF_STREAM))).to_pybytes() != _END_OF_STREAM:
            raise ValueError("the Arrow stream has no end mark: it was cut, or its writer was not closed")
        self._batches = None
        self._stream = data
        if not is_stream:
            end = data.size - len(_ARROW_END) - 4
            if end < _ARROW_START or data.slice(end + 4).to_pybytes() != _ARROW_END:
                raise ValueError("it begins like an Arrow file and doesn't end like one: it was cut, or is none")
            footer = struct.unpack("<I", data.slice(end, 4).to_pybytes())[0]
            _check_header(footer, "footer")
            self._batches = pa.ipc.open_file(pa.BufferReader(data)).num_record_batches
            self._stream = data.slice(_ARROW_START, end - footer - _ARROW_START)
        _check_header(struct.unpack("<I", self._stream.slice(4, 4).to_pybytes())[0], "schema")
        self.columns = tuple(self._open(None).schema.names)
        check_columns(len(self.columns))

    def all_columns(self) -> tuple[str, ...]:
        """The columns of the schema."""
        return self.columns

    def _open(self, fields: list[int] | None) -> Any:
        return pa.ipc.open_stream(pa.BufferReader(self._stream), options=pa.ipc.IpcReadOptions(included_fields=fields))

    def read(self, names: Iterable[str], limits: Limits, label: LabelColumn | None = None) -> RawRows:
        """See `TableFile`."""
        wanted = list(names)
        schema = self._open(None).schema
        total = batches = 0
        for message in pa.MessageReader.open_stream(pa.BufferReader(self._stream)):
            total += decompressed_bytes(message, schema, wanted)
            limits.check_bytes(total, "bytes of decompressed data")
            batches += message.type == "record batch"
        if self._batches not in (None, batches):
            raise ValueError(f"it has {batches:,} record batches where its footer says {self._batches:,}")
        reader = self._open([self.columns.index(name) for name in wanted])
        table = pa.Table.from_batches(_decoded(reader, limits), schema=_plain_schema(reader.schema))
        return RawRows(table.select(wanted))


def _check_header(size: int, what: str) -> None:
    if size > MOST_HEADER_BYTES:
        raise NotReadableError(
            f"its {what} has {size:,} bytes, more than {MOST_HEADER_BYTES:,}: it has too many columns or row groups"
        )


def _decoded(batches: Iterable[pa.RecordBatch], limits: Limits) -> Iterator[pa.RecordBatch]:
    """The batches without dictionaries, until they hold more than allowed: counted before a dictionary is looked up."""
    size = rows = 0
    for batch in batches:
        rows += batch.num_rows
        limits.check_rows(rows)
        size += sum(_decoded_bytes(column) for column in batch.columns)
        limits.check_bytes(size)
        # Texts must be UTF-8 and offsets must lie within their buffers; the readers don't check that.
        batch.validate(full=True)
        schema = _plain_schema(batch.schema)
        yield batch if schema == batch.schema else batch.cast(schema)


def _plain_schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_type(_plain_type(field.type)) for field in schema])


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type without dictionaries. Texts of one get 64-bit offsets, since they may be larger than 2 GiB."""
    if pa.types.is_dictionary(kind):
        is_text = pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
        return pa.large_string() if is_text else kind.value_type
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in kind.fields])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        field = kind.value_field.with_type(_plain_type(kind.value_type))
        return pa.list_(field) if pa.types.is_list(kind) else pa.large_list(field)
    return kind


def _decoded_bytes(column: pa.Array) -> int:
    """Bytes that a column takes once its dictionaries are looked up and its views copied."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        values, indices = column.dictionary, column.indices.drop_null()
        if not len(values) or not len(indices):
            return 0
        if not any(is_text(values.type) for is_text in _TEXTS):
            return len(indices) * (int(values.nbytes) // len(values) + 1)
        return int(pc.sum(_lengths(values).take(indices)).as_py() or 0) + _OFFSET_BYTES * len(column)
    if pa.types.is_struct(kind):
        return sum(_decoded_bytes(part) for part in column.flatten())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _decoded_bytes(column.flatten()) + _OFFSET_BYTES * len(column)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return int(pc.sum(_lengths(column)).as_py() or 0) + _OFFSET_BYTES * len(column)
    return int(column.nbytes)


def _lengths(texts: pa.Array) -> pa.Array:
    """Bytes of each text, as int64."""
    return pc.fill_null(pc.cast(pc.binary_length(texts), pa.int64()), 0)


_TEXTS = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary),
    *(pa.types.is_string_view, pa.types.is_binary_view),
)
