"""What all file formats have in common: they read the requested columns, within limits."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from zipfile import BadZipFile

import pyarrow as pa

from pipeline.core.errors import InputError, reason_of
from pipeline.question_pairs.reading.labels import LabelWords

BLOCK = 8 << 20
"""Bytes that a reader parses at once. A longer row is refused."""

MOST_COLUMNS = 10_000

BOM = b"\xef\xbb\xbf"


class NotReadableError(InputError):
    """What is wrong with a file, and the way out. A reader doesn't know the file's name: `readable` adds it."""


@dataclass(frozen=True)
class Limits:
    """How much one file may hold.

    Attributes:
        max_bytes: of decoded data.
        max_rows: rows of the file, pairs or triplets.
    """

    max_bytes: int
    max_rows: int

    def check_bytes(self, size: int, what: str = "bytes of data") -> None:
        """Refuse more bytes than allowed.

        Raises:
            NotReadableError: when there are more.
        """
        if size > self.max_bytes:
            raise NotReadableError(
                f"it holds more than {self.max_bytes:,} {what} ({size:,} counted): raise `max_bytes` if that is meant",
                limit="max_bytes",
                max_bytes=self.max_bytes,
                counted=size,
            )

    def check_rows(self, rows: int) -> None:
        """Refuse more rows than allowed.

        Raises:
            NotReadableError: when there are more.
        """
        if rows > self.max_rows:
            raise NotReadableError(
                f"it has more than {self.max_rows:,} rows ({rows:,} counted): raise `max_rows` if that is meant",
                limit="max_rows",
                max_rows=self.max_rows,
                counted=rows,
            )


def check_columns(columns: int) -> None:
    """Refuse a table that is too wide to be one of pairs.

    Raises:
        NotReadableError: when it has more than 10,000 columns.
    """
    if columns > MOST_COLUMNS:
        raise NotReadableError(
            f"it has {columns:,} columns, more than {MOST_COLUMNS:,}: keep only those that are needed",
            columns=columns,
        )


@dataclass(frozen=True)
class LabelColumn:
    """The column of the labels, which tells whether a line is a row.

    Attributes:
        name: of the column.
        words: the known labels.
    """

    name: str
    words: LabelWords


@dataclass(frozen=True)
class RawRows:
    """Rows as they are stored.

    Attributes:
        table: the requested columns, in the file's own types or as texts.
        malformed: number of rows that were left out, as they don't have the header's number of fields.
        examples: excerpts of the first of them.
    """

    table: pa.Table
    malformed: int = 0
    examples: tuple[str, ...] = ()


class TableFile(Protocol):
    """A file whose format is known.

    Attributes:
        format: its name, such as `CSV`.
        columns: the names of its columns, in order.
    """

    format: str
    columns: tuple[str, ...]

    def read(self, names: Iterable[str], limits: Limits, label: LabelColumn | None = None) -> RawRows:
        """The named columns.

        Args:
            label: the column of labels, if there is one, to find rows inside of quoted texts.

        Raises:
            NotReadableError: beyond a limit, or when quotes hide rows.
        """

    def all_columns(self) -> tuple[str, ...]:
        """The columns that any row has. `columns` may be those of the first rows only."""


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what readers raise for a damaged file into one line that names the file."""
    try:
        yield
    except NotReadableError as error:
        raise not_readable(name, error.message, **error.values) from error
    except RecursionError as error:
        raise not_readable(name, "it is nested too deeply to be a table of pairs") from error
    except MemoryError as error:
        raise not_readable(name, "its data doesn't fit into memory: lower `max_bytes`, or read a part of it") from error
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, EOFError, csv.Error, BadZipFile) as error:
        is_long_row = "straddl" in str(error)
        reason = f"a row is longer than {BLOCK:,} bytes" if is_long_row else reason_of(error)
        raise not_readable(name, reason) from error


def not_readable(name: str, reason: str, **values: Any) -> InputError:
    """The error for a file that can't be read."""
    return InputError(f"can't read question pairs from {name}: {reason}", path=name, **values)
