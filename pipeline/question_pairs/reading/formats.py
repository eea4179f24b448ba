"""Recognises how a file stores its table, by its bytes and not by its name, and reads the columns asked for."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq

from pipeline.core.errors import PipelineError, excerpt, reason_of

_BLOCK = 8 << 20
"""Bytes that a reader parses at once; a row that is longer is refused."""

_BATCH_ROWS = 1 << 16
_EXAMPLES = 3
_SAMPLED_LINES = 100
_SEPARATORS = "\t,;"
_BOM = b"\xef\xbb\xbf"
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


@dataclass(frozen=True)
class RawRows:
    """Rows as they are stored.

    Attributes:
        table: the columns asked for, in the file's own types.
        malformed: number of rows that were left out since they have not the header's number of fields.
        examples: excerpts of the first such rows, with their line where it is known.
    """

    table: pa.Table
    malformed: int = 0
    examples: tuple[str, ...] = ()


class TableFile(Protocol):
    """A file whose format is known.

    Attributes:
        format: what people call it, such as `CSV`.
        columns: the names of its columns, in their order.
    """

    format: str
    columns: tuple[str, ...]

    def read(self, names: Iterable[str], limit: int) -> RawRows:
        """The named columns; more than `limit` bytes of them are refused."""


def open_table(data: pa.Buffer, name: str) -> TableFile:
    """Recognise a file by its bytes: Parquet, Arrow (file or stream), JSON lines, TSV or CSV.

    Args:
        data: the file's bytes, decompressed.
        name: how messages call the file.

    Raises:
        PipelineError: when it is empty, or in none of these formats.
    """
    start = data.slice(0, min(64, data.size)).to_pybytes()
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _unreadable(name, "it is no UTF-8 but looks like UTF-16: save it as UTF-8")
    with readable(name):
        if start.startswith(b"PAR1"):
            return _Parquet(data)
        if start.startswith(b"ARROW1"):
            return _ArrowIpc(data, is_stream=False)
        if start.startswith(b"\xff\xff\xff\xff"):
            return _ArrowIpc(data, is_stream=True)
        first = re.compile(rb"[^\s]").search(data, len(_BOM) if start.startswith(_BOM) else 0)
        if first is None:
            raise PipelineError(f"{name} is empty: it needs a header line and question pairs")
        match first[0]:
            case b"{":
                return _JsonLines(data.slice(first.start()))
            case b"[":
                raise _unreadable(name, "it starts like a JSON array: write JSON lines, one object a line")
            case _:
                return _Delimited(data, name, first.start())


@contextmanager
def readable(name: str) -> Iterator[None]:
    """A block in which what pyarrow's readers raise for a damaged file becomes one line that names the file."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError, RecursionError, csv.Error) as error:
        is_long_row = "straddl" in str(error)
        reason = f"a row is longer than {_BLOCK:,} bytes" if is_long_row else reason_of(error)
        raise _unreadable(name, reason) from error


def _unreadable(name: str, reason: str) -> PipelineError:
    return PipelineError(f"can't read question pairs from {name}: {reason}")


def _within(batches: Iterable[pa.RecordBatch], limit: int) -> Iterator[pa.RecordBatch]:
    """The batches, until they hold more than the limit: encodings of few bytes may stand for many."""
    size = 0
    for batch in batches:
        size += batch.nbytes
        if size > limit:
            raise ValueError(f"it holds more than {limit:,} bytes of data; raise `max_bytes` if that is meant")
        # Texts must be UTF-8 and offsets must lie within their buffers; the readers don't look.
        batch.validate(full=True)
        yield batch


class _Parquet:
    format = "Parquet"

    def __init__(self, data: pa.Buffer) -> None:
        self._file = pq.ParquetFile(pa.BufferReader(data))
        self.columns = tuple(self._file.schema_arrow.names)

    def read(self, names: Iterable[str], limit: int) -> RawRows:
        wanted = list(names)
        batches = self._file.iter_batches(batch_size=_BATCH_ROWS, columns=wanted)
        schema = pa.schema([self._file.schema_arrow.field(name) for name in wanted])
        table = pa.Table.from_batches(_within(batches, limit), schema=schema)
        if len(table) != self._file.metadata.num_rows:
            raise ValueError(f"it has {len(table):,} rows where its footer says {self._file.metadata.num_rows:,}")
        return RawRows(table)


class _ArrowIpc:
    format = "Arrow"

    def __init__(self, data: pa.Buffer, is_stream: bool) -> None:
        if is_stream and data.slice(max(0, data.size - len(_END_OF_STREAM))).to_pybytes() != _END_OF_STREAM:
            # A reader would take what is there for the whole.
            raise ValueError("the Arrow stream has no end mark: it was cut, or its writer was not closed")
        self._data, self._is_stream = data, is_stream
        self.columns = tuple(self._open(None).schema.names)

    def _open(self, fields: list[int] | None) -> Any:
        options = pa.ipc.IpcReadOptions(included_fields=fields)
        open_ipc = pa.ipc.open_stream if self._is_stream else pa.ipc.open_file
        return open_ipc(pa.BufferReader(self._data), options=options)

    def read(self, names: Iterable[str], limit: int) -> RawRows:
        reader = self._open([self.columns.index(name) for name in names])
        batches = reader if self._is_stream else (reader.get_batch(at) for at in range(reader.num_record_batches))
        return RawRows(pa.Table.from_batches(_within(batches, limit), schema=reader.schema).select(list(names)))


class _JsonLines:
    format = "JSON lines"

    def __init__(self, data: pa.Buffer) -> None:
        self._data = data
        self._samples: dict[str, Any] = {}
        for line in islice(_lines(data), _SAMPLED_LINES):
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("a line is not a JSON object")
            for name, value in row.items():
                if self._samples.get(name) is None:
                    self._samples[name] = value
        self.columns = tuple(self._samples)

    def read(self, names: Iterable[str], limit: int) -> RawRows:
        # Types are given, so that a text like 2017-01-01 stays one.
        schema = pa.schema([(name, _json_type(self._samples[name])) for name in names])
        table = pajson.read_json(
            pa.BufferReader(self._data),
            read_options=pajson.ReadOptions(block_size=_BLOCK),
            parse_options=pajson.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
        return RawRows(table.select(list(names)))


def _lines(data: pa.Buffer) -> Iterator[bytes]:
    """The lines that aren't blank, without reading further than asked."""
    for match in re.compile(rb"[^\r\n]*[^\s][^\r\n]*").finditer(data):
        yield match[0]


def _json_type(sample: Any) -> pa.DataType:
    """The Arrow type of a column with this value."""
    match sample:
        case bool():
            return pa.bool_()
        case int():
            return pa.int64()
        case float():
            return pa.float64()
        case dict():
            return pa.struct([(name, _json_type(value)) for name, value in sample.items()])
        case list():
            return pa.list_(_json_type(sample[0]) if sample else pa.large_string())
        case _:
            return pa.large_string()


@dataclass
class _Malformed:
    """Counts rows with another number of fields than the header, and keeps the first."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def __call__(self, row: pacsv.InvalidRow) -> str:
        self.count += 1
        if len(self.first) < _EXAMPLES:
            self.first.append(f"{row.actual_columns} instead of {row.expected_columns} fields: {excerpt(row.text)}")
        return "skip"


class _Delimited:
    def __init__(self, data: pa.Buffer, name: str, start: int) -> None:
        self._data = data
        end = re.compile(rb"[\r\n]").search(data, start)
        if (bad := _line_that_is_no_utf8(data)) is not None:
            raise _unreadable(name, f"line {bad:,} is no UTF-8: save the file as UTF-8")
        line = data[start : end.start() if end else data.size].to_pybytes().decode()
        if "\0" in line:
            raise _unreadable(
                name, "it is none of Parquet, Arrow, JSON lines, TSV and CSV: its first line has a NUL byte"
            )
        self._separator = next((separator for separator in _SEPARATORS if separator in line), ",")
        self.format = "TSV" if self._separator == "\t" else "CSV"
        self.columns = tuple(next(csv.reader([line], delimiter=self._separator)))
        self._has_rows = end is not None
        self._is_quoted = True
        if (stray := stray_quote(data, self._separator)) is not None:
            # In TSV of GLUE's kind a quote is a letter like any other. A quoted header tells the other kind.
            if self._separator != "\t" or line.startswith('"'):
                raise _unreadable(
                    name,
                    f"a quote in line {_line_of(data, stray):,} is opened and not closed, or stands where CSV allows "
                    "none: enclose the field in quotes and double those inside it",
                )
            self._is_quoted = False
            self.format = "TSV without quoting"
            self.columns = tuple(line.split("\t"))

    def read(self, names: Iterable[str], limit: int) -> RawRows:
        wanted = list(names)
        if not self._has_rows:
            return RawRows(pa.table({name: pa.array([], pa.large_string()) for name in wanted}))
        malformed = _Malformed()
        table = pacsv.read_csv(
            pa.BufferReader(self._data),
            read_options=pacsv.ReadOptions(block_size=_BLOCK),
            parse_options=pacsv.ParseOptions(
                delimiter=self._separator,
                quote_char='"' if self._is_quoted else False,
                newlines_in_values=self._is_quoted,
                invalid_row_handler=malformed,
            ),
            # `NA` and `null` are words that people ask about: only an empty field is a missing one.
            convert_options=pacsv.ConvertOptions(
                include_columns=wanted,
                column_types={name: pa.large_string() for name in wanted},
                strings_can_be_null=False,
            ),
        )
        return RawRows(table, malformed.count, tuple(malformed.first))


def stray_quote(data: pa.Buffer, separator: str) -> int | None:
    """Position of the first quote that breaks CSV's rules (RFC 4180), or None.

    By these rules a quote opens at the start of a field, closes at the end of one, and is doubled inside. Quotes
    within a field that has none around it are harmless and let pass; any other stray quote makes a reader take
    rows for a part of a text.
    """
    values = np.frombuffer(data, dtype=np.uint8)
    at = np.concatenate(
        [
            np.flatnonzero(values[start : start + _BLOCK] == ord('"')) + start
            for start in range(0, max(len(values), 1), _BLOCK)
        ]
    )
    if not len(at):
        return None
    is_edge = np.zeros(256, dtype=bool)
    is_edge[list(f'{separator}\r\n"'.encode())] = True
    starts = np.where(at == 0, True, is_edge[values[at - 1]])
    if data.slice(0, min(3, data.size)).to_pybytes() == _BOM:
        starts |= at == len(_BOM)
    ends = np.where(at == len(values) - 1, True, is_edge[values[np.minimum(at + 1, len(values) - 1)]])
    is_inner = ~starts & ~ends
    outer, inner = at[~is_inner], at[is_inner]
    outer_starts, outer_ends = starts[~is_inner], ends[~is_inner]
    wrong = [
        outer[0::2][~outer_starts[0::2]],
        outer[1::2][~outer_ends[1::2]],
        inner[np.searchsorted(outer, inner) % 2 == 1],
        outer[-1:] if len(outer) % 2 else outer[:0],
    ]
    first = np.concatenate(wrong)
    return int(first.min()) if len(first) else None


def _line_of(data: pa.Buffer, position: int) -> int:
    return int(np.count_nonzero(np.frombuffer(data, dtype=np.uint8)[:position] == ord("\n"))) + 1


def _line_that_is_no_utf8(data: pa.Buffer) -> int | None:
    """The first such line, or None. pyarrow's reader would not tell of a malformed row whose text it can't decode."""
    offsets = pa.py_buffer(np.array([0, data.size], dtype=np.int64))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, data]).validate(full=True)
    except pa.ArrowInvalid:
        try:
            str(memoryview(data), "utf-8")
        except UnicodeDecodeError as error:
            return _line_of(data, error.start)
    return None
