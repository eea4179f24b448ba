"""Reads CSV and TSV, with quotes by the rules of CSV or as letters, and refuses quotes that would hide rows."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from pipeline.core.errors import excerpt
from pipeline.question_pairs.options import Quoting
from pipeline.question_pairs.reading.contents import what_it_is
from pipeline.question_pairs.reading.labels import LabelWords
from pipeline.question_pairs.reading.table_file import (
    BLOCK,
    BOM,
    LabelColumn,
    Limits,
    NotReadableError,
    RawRows,
    check_columns,
)

_EXAMPLES = 3
_SEPARATORS = "\t,;|"
_DECLARED_SEPARATOR = re.compile(rb'"?sep=([^\r\n])"?[ \t]*(?:\r\n|\r|\n)')
"""Excel's own line, above the header."""

_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass
class _Malformed:
    """Counts rows with another number of fields than the header, and stores the first."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def __call__(self, row: pacsv.InvalidRow) -> str:
        self.count += 1
        if len(self.first) < _EXAMPLES:
            self.first.append(f"{row.actual_columns} instead of {row.expected_columns} fields: {excerpt(row.text)}")
        return "skip"


class Delimited:
    """A file of lines whose fields are separated by tabs, commas, semicolons or bars."""

    def __init__(self, data: pa.Buffer, start: int, quoting: Quoting) -> None:
        """Read the header and check all quotes.

        Args:
            start: position of the first byte that isn't blank.
            quoting: how quotes are read.

        Raises:
            NotReadableError: when it isn't text in UTF-8, or a quote breaks the rules.
        """
        declared = _DECLARED_SEPARATOR.match(data, start)
        self._lines_before = 0
        if declared is not None:
            self._lines_before = 1
            data, start = data.slice(declared.end()), 0
        self._data = data
        _check_is_text(data, self._lines_before)
        end = _LINE_END.search(data, start)
        stop = end.start() if end else data.size
        if stop - start > BLOCK:
            raise NotReadableError(f"its first line has {stop - start:,} bytes, more than {BLOCK:,}: it is no header")
        line = data.slice(start, stop - start).to_pybytes()
        separators = declared[1].decode("latin-1") if declared is not None else _SEPARATORS
        check_columns(max(line.count(separator.encode()) for separator in separators) + 1)
        self._separator = _separator(line.decode(), separators)
        self._has_rows = end is not None
        self._choose_quoting(line.decode(), quoting)

    def _choose_quoting(self, line: str, quoting: Quoting) -> None:
        kind = "TSV" if self._separator == "\t" else "CSV"
        self._quoting: Quoting = quoting
        self._quotes = np.zeros(0, dtype=np.int64)
        if quoting != "none":
            self._quotes, stray = quotes(self._data, self._separator)
            if stray is None:
                self.format, self._is_quoted = kind, True
                self.columns = tuple(next(csv.reader([line], delimiter=self._separator)))
                return
            self._quotes = self._quotes[:0]
            # In TSV like GLUE's a quote is a letter like any other, unless the header is quoted.
            if quoting == "csv" or self._separator != "\t" or line.startswith('"'):
                raise NotReadableError(
                    f"a quote in line {self._line_of(stray):,} is opened and not closed, or is where CSV allows "
                    "none: enclose the field in quotes and double those inside it, or set `quoting` to none"
                )
        self.format, self._is_quoted = f"{kind} without quoting", False
        self.columns = tuple(line.split(self._separator))

    def all_columns(self) -> tuple[str, ...]:
        """The columns of the header."""
        return self.columns

    def read(self, names: Iterable[str], limits: Limits, label: LabelColumn | None = None) -> RawRows:
        """See `TableFile`. An empty field is a missing text. All others are texts, even if they look like numbers."""
        wanted = list(names)
        if not self._has_rows:
            return RawRows(pa.table({name: pa.array([], pa.large_string()) for name in wanted}))
        # A row has at least a byte for each of its separators, and one for its end.
        if self._data.size // len(self.columns) > limits.max_rows:
            limits.check_rows(self._count_rows())
        if self._is_quoted and self._quoting == "auto":
            self._check_swallowed(label)
        malformed = _Malformed()
        table = pacsv.read_csv(
            pa.BufferReader(self._data),
            read_options=pacsv.ReadOptions(block_size=BLOCK),
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

    def _count_rows(self) -> int:
        """The number of line ends outside of quoted texts: the most rows that there can be."""
        return sum(len(ends) for ends in self._line_ends(within_quotes=False))

    def _line_ends(self, within_quotes: bool) -> Iterator[np.ndarray]:
        """Positions of line ends within quotes, or of those outside, a block at a time."""
        values = np.frombuffer(self._data, dtype=np.uint8)
        for start in range(0, len(values), BLOCK):
            block = values[start : start + BLOCK]
            is_end = block == ord("\n")
            # A carriage return also ends a line, unless a line feed follows.
            returns = np.flatnonzero(block == ord("\r")) + start
            if len(returns):
                follows = values[np.minimum(returns + 1, len(values) - 1)] == ord("\n")
                is_end[returns[~follows] - start] = True
            ends = np.flatnonzero(is_end) + start
            is_within = np.searchsorted(self._quotes, ends) % 2 == 1
            yield ends[is_within == within_quotes]

    def _check_swallowed(self, label: LabelColumn | None) -> None:
        """Refuse a quoted text that contains rows, as happens when a quote was meant as a letter.

        A line within a text is a row if it has the header's number of fields and, if there is a label column, a known
        label there. The first and the last line of a text count only together, as one may look like a row by chance.
        """
        at_label = self.columns.index(label.name) if label and label.name in self.columns else None
        words = label.words if label else LabelWords()
        for start, lines in self._texts_of_lines():
            is_row = [self._is_row(line, at_label, words) for line in lines]
            inner = next((at for at in range(1, len(lines) - 1) if is_row[at]), None)
            if inner is None and not (len(lines) > 1 and is_row[0] and is_row[-1]):
                continue
            first = self._line_of(start)
            raise NotReadableError(
                f"a quote in line {first:,} opens a text that holds whole rows, such as line {first + (inner or 1):,}: "
                f"{excerpt(lines[inner or 1].decode())}; set `quoting` to none if quotes are letters, or to csv if it "
                "is one text"
            )

    def _texts_of_lines(self) -> Iterator[tuple[int, list[bytes]]]:
        """The rows of several lines: their positions, and their lines."""
        stop = -1
        view = memoryview(self._data)
        for ends in self._line_ends(within_quotes=True):
            for end in ends.tolist():
                if end < stop:
                    continue
                start = _line_start(view, end)
                stop = self._row_stop(end)
                yield start, _LINE_END.split(bytes(view[start:stop]))

    def _row_stop(self, position: int) -> int:
        """The end of the row that has this position within quotes."""
        while True:
            closing = int(self._quotes[np.searchsorted(self._quotes, position)])
            end = _LINE_END.search(self._data, closing)
            stop = end.start() if end else self._data.size
            if np.searchsorted(self._quotes, stop) % 2 == 0:
                return stop
            position = stop

    def _is_row(self, line: bytes, at_label: int | None, words: LabelWords) -> bool:
        if line.count(self._separator.encode()) != len(self.columns) - 1:
            return False
        if at_label is None:
            return True
        word = line.split(self._separator.encode())[at_label].decode().strip().strip('"').strip().lower()
        return word in words

    def _line_of(self, position: int) -> int:
        return _line_of(self._data, position) + self._lines_before


def _separator(line: str, separators: str) -> str:
    """The separator that gives the header the most fields: the first of equally good ones, or else a comma."""
    fields = {separator: len(next(csv.reader([line], delimiter=separator), [])) for separator in separators}
    best = max(separators, key=lambda separator: fields[separator])
    return best if fields[best] > 1 or len(separators) == 1 else ","


def _line_start(view: memoryview, position: int) -> int:
    """The start of the line that ends at this position."""
    step = 1 << 12
    low = position - 1 if position and view[position - 1] == ord("\r") else position
    while low > 0:
        piece = bytes(view[max(0, low - step) : low])
        found = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
        if found >= 0:
            return max(0, low - step) + found + 1
        low -= step
    return 0


def _check_is_text(data: pa.Buffer, lines_before: int) -> None:
    head = data.slice(0, min(1 << 12, data.size)).to_pybytes()
    if b"\0" in head.split(b"\n", 1)[0] or head.startswith((b"\xff\xfe", b"\xfe\xff")):
        what = what_it_is(data) or "none of Parquet, Arrow, JSON lines, TSV and CSV: its first line has a NUL byte"
        raise NotReadableError(f"it is {what}")
    if (bad := _line_that_is_no_utf8(data)) is None:
        return
    known = what_it_is(data)
    raise NotReadableError(
        f"it is {known}" if known else f"line {bad + lines_before:,} is no UTF-8: save the file as UTF-8"
    )


def quotes(data: pa.Buffer, separator: str) -> tuple[np.ndarray, int | None]:
    """Find the quotes that open and close fields, and the first one that breaks CSV's rules (RFC 4180).

    By these rules a quote opens a field at its start, closes it at its end, and is doubled inside. Quotes within an
    unquoted field are harmless and accepted. Any other stray quote makes a reader take rows for a part of a text.

    Returns:
        Their positions, int64 in ascending order, doubled ones included; and the position of a stray one or None.
    """
    values = np.frombuffer(data, dtype=np.uint8)
    at = np.concatenate(
        [
            np.flatnonzero(values[start : start + BLOCK] == ord('"')) + start
            for start in range(0, max(len(values), 1), BLOCK)
        ]
    )
    if not len(at):
        return at, None
    is_edge = np.zeros(256, dtype=bool)
    is_edge[list(f'{separator}\r\n"'.encode())] = True
    starts = np.where(at == 0, True, is_edge[values[at - 1]])
    if data.slice(0, min(3, data.size)).to_pybytes() == BOM:
        starts |= at == len(BOM)
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
    return outer, int(first.min()) if len(first) else None


def _line_of(data: pa.Buffer, position: int) -> int:
    return int(np.count_nonzero(np.frombuffer(data, dtype=np.uint8)[:position] == ord("\n"))) + 1


def _line_that_is_no_utf8(data: pa.Buffer) -> int | None:
    """The first such line, or None. pyarrow's reader doesn't report a malformed row that it can't decode."""
    offsets = pa.py_buffer(np.array([0, data.size], dtype=np.int64))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, data]).validate(full=True)
    except pa.ArrowInvalid:
        try:
            str(memoryview(data), "utf-8")
        except UnicodeDecodeError as error:
            return _line_of(data, error.start)
    return None
