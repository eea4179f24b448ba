"""Reads JSON lines: fast if each column has one type, line by line if types are mixed."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.json as pajson

from pipeline.core.errors import excerpt
from pipeline.question_pairs.reading.table_file import (
    BLOCK,
    LabelColumn,
    Limits,
    NotReadableError,
    RawRows,
    check_columns,
)

_SAMPLED_LINES = 100
_AS_LINES = "write JSON lines, one object a line (pandas: to_json(path, orient='records', lines=True))"
_LINE = re.compile(rb"[^\r\n]*[^\s][^\r\n]*")


class JsonLines:
    """A file with one JSON object a line."""

    format = "JSON lines"

    def __init__(self, data: pa.Buffer) -> None:
        """Read the first lines.

        Raises:
            NotReadableError: when they aren't JSON lines, or have too many columns.
        """
        self._data = data
        self._samples: dict[str, Any] = {}
        for number, row in islice(_rows(data), _SAMPLED_LINES):
            if number == 1:
                _check_is_row(row, data)
            self._note(row)
        self.columns = tuple(self._samples)

    def _note(self, row: Mapping[str, Any]) -> None:
        for name, value in row.items():
            if self._samples.get(name) is None:
                self._samples[name] = value
        check_columns(len(self._samples))

    def all_columns(self) -> tuple[str, ...]:
        """The columns of all rows."""
        for _, row in _rows(self._data):
            self._note(row)
        self.columns = tuple(self._samples)
        return self.columns

    def read(self, names: Iterable[str], limits: Limits, label: LabelColumn | None = None) -> RawRows:
        """See `TableFile`. Columns of mixed types are texts, as JSON writes their values."""
        wanted = list(names)
        limits.check_rows(sum(1 for _ in _LINE.finditer(self._data)))
        try:
            # Types are given, so that a text like 2017-01-01 stays a text.
            schema = pa.schema([(name, _json_type(self._samples[name])) for name in wanted])
            table = pajson.read_json(
                pa.BufferReader(self._data),
                read_options=pajson.ReadOptions(block_size=BLOCK),
                parse_options=pajson.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
            )
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            table = self._read_by_line(wanted, limits)
        limits.check_bytes(table.nbytes)
        return RawRows(table.select(wanted))

    def _read_by_line(self, names: list[str], limits: Limits) -> pa.Table:
        values: dict[str, list[Any]] = {name: [] for name in names}
        size = 0
        wanted = set(names)

        def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            row = dict(pairs)
            if len(row) < len(pairs) and sum(name in wanted for name, _ in pairs) > len(wanted & row.keys()):
                raise NotReadableError("an object has one of its columns twice: keep one of them")
            return row

        for _, row in _rows(self._data, unique):
            for name, column in values.items():
                value = row.get(name)
                column.append(value if isinstance(value, str | list | dict) or value is None else json.dumps(value))
                size += len(value) if isinstance(value, str) else 8
            limits.check_bytes(size)
        return pa.table({name: _column(name, column) for name, column in values.items()})


def _column(name: str, values: list[Any]) -> pa.Array:
    if any(isinstance(value, list | dict) for value in values):
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise NotReadableError(
                f"the column {excerpt(name)} mixes objects, lists or texts of different kinds: write one kind"
            ) from error
    return pa.array(values, pa.large_string())


def _rows(
    data: pa.Buffer, make_object: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects with their row numbers, without blank lines."""
    for number, match in enumerate(_LINE.finditer(data), start=1):
        line = match[0]
        if len(line) > BLOCK:
            _refuse_whole(line[:1024])
            raise NotReadableError(f"a row is longer than {BLOCK:,} bytes")
        try:
            row = json.loads(line, object_pairs_hook=make_object)
        except UnicodeDecodeError as error:
            raise NotReadableError(f"row {number:,} is no UTF-8: save the file as UTF-8") from error
        except RecursionError as error:
            raise NotReadableError(
                f"row {number:,} is nested too deeply to be a row of pairs: keep flat rows"
            ) from error
        except ValueError as error:
            if number == 1:
                raise NotReadableError(f"its first line is no complete JSON object: {_AS_LINES}") from error
            shown = excerpt(line.decode("utf-8", errors="replace"))
            raise NotReadableError(f"row {number:,} is no complete JSON object: {shown}; {_AS_LINES}") from error
        if not isinstance(row, dict):
            raise NotReadableError(f"row {number:,} is a JSON {type(row).__name__}, not an object: {_AS_LINES}")
        yield number, row


_STARTS_WITH_A_CONTAINER = re.compile(rb'\s*\{\s*"[^"]*"\s*:\s*[\[{]')


def _refuse_whole(start: bytes) -> None:
    if _STARTS_WITH_A_CONTAINER.match(start):
        raise NotReadableError(f"it is one JSON object that holds the whole table: {_AS_LINES}")


def _check_is_row(row: Mapping[str, Any], data: pa.Buffer) -> None:
    """Refuse a single object that holds a whole table, as pandas and others write."""
    is_alone = sum(1 for _ in islice(_LINE.finditer(data), 2)) == 1
    if is_alone and row and all(isinstance(value, list | dict) for value in row.values()):
        raise NotReadableError(f"it is one JSON object that holds the whole table: {_AS_LINES}")


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
