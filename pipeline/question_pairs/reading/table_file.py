"""What every file format offers: the columns asked for, within limits that are counted before and while it decodes."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
from zipfile import BadZipFile

import pyarrow as pa

from pipeline.core.errors import PipelineError, reason_of
from pipeline.question_pairs.reading.labels import LabelWords

BLOCK = 8 << 20
"""Bytes that a reader parses at once; a row that is longer is refused."""

MOST_COLUMNS = 10_000

BOM = b"\xef\xbb\xbf"


class NotReadableError(Exception):
    """What is wrong with a file and the way out, in our own words; `readable` adds the file's name."""


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
                f"it holds more than {self.max_bytes:,} {what} ({size:,} counted): raise `max_bytes` if that is meant"
            )

    def check_rows(self, rows: int) -> None:
        """Refuse more rows than allowed.

        Raises:
            NotReadableError: when there are more.
        """
        if rows > self.max_rows:
            raise NotReadableError(
                f"it has more than {self.max_rows:,} rows ({rows:,} counted): raise `max_rows` if that is meant"
            )


def check_columns(columns: int) -> None:
    """Refuse a table that is too wide to be one of pairs.

    Raises:
        NotReadableError: when it has more than 10,000 columns.
    """
    if columns > MOST_COLUMNS:
        raise NotReadableError(
            f"it has {columns:,} columns, more than {MOST_COLUMNS:,}: it is no table of pairs, or keep those needed"
        )


@dataclass(frozen=True)
class LabelColumn:
    """The column of the labels, by which a line can be told to be a row.

    Attributes:
        name: of the column.
        words: the labels that are known.
    """

    name: str
    words: LabelWords


@dataclass(frozen=True)
class RawRows:
    """Rows as they are stored.

    Attributes:
        table: the columns asked for, in the file's own types or as texts.
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

    def read(self, names: Iterable[str], limits: Limits, label: LabelColumn | None = None) -> RawRows:
        """The named columns.

        Args:
            label: tells a text that is a row of its own, where there is such a column.

        Raises:
            NotReadableError: beyond a limit, or when quotes hide rows.
        """

    def all_columns(self) -> tuple[str, ...]:
        """The columns that any row has, where the first rows don't tell."""


@contextmanager
def readable(name: str) -> Iterator[None]:
    """A block in which what the readers raise for a damaged file becomes one line that names the file."""
    try:
        yield
    except NotReadableError as error:
        raise not_readable(name, str(error)) from error
    except RecursionError as error:
        raise not_readable(name, "it is nested too deeply to be a table of pairs") from error
    except MemoryError as error:
        raise not_readable(name, "its data doesn't fit into memory: lower `max_bytes`, or read a part of it") from error
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, EOFError, csv.Error, BadZipFile) as error:
        is_long_row = "straddl" in str(error)
        reason = f"a row is longer than {BLOCK:,} bytes" if is_long_row else reason_of(error)
        raise not_readable(name, reason) from error


def not_readable(name: str, reason: str) -> PipelineError:
    """The one line for a file that can't be read."""
    return PipelineError(f"can't read question pairs from {name}: {reason}")
