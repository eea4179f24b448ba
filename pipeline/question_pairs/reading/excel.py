"""Reads Excel workbooks (.xlsx, .xlsm) with openpyxl, an extra, row by row, so that a bomb can't fill the memory."""

import datetime
import io
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pyarrow as pa

from pipeline.core.errors import excerpt, reason_of
from pipeline.question_pairs.reading.table_file import (
    LabelColumn,
    Limits,
    NotReadableError,
    RawRows,
    check_columns,
)

_MIDNIGHT = datetime.time()


class Workbook:
    """The only sheet of a workbook that has data. Formulas are read as the values that Excel has stored."""

    format = "Excel"

    def __init__(self, data: pa.Buffer, max_bytes: int) -> None:
        """Find the sheet and its header.

        Raises:
            NotReadableError: when openpyxl isn't installed, several sheets have data, or the archive is too large.
        """
        try:
            import openpyxl
        except ImportError as error:
            raise NotReadableError(
                "it is an Excel workbook: install the extra `excel` (pip install openpyxl), or save it as CSV in UTF-8"
            ) from error
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # No more of an entry is read than the size that the archive names.
            Limits(max_bytes, 1).check_bytes(sum(entry.file_size for entry in archive.infolist()), "bytes of XML")
        with _opened():
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
            sheets = [(sheet, header) for sheet in book.worksheets if (header := next(_filled_rows(sheet), None))]
        if len(sheets) > 1:
            names = ", ".join(excerpt(sheet.title) for sheet, _ in sheets[:3])
            raise NotReadableError(f"{len(sheets):,} sheets have data ({names}): keep one, or save it as CSV in UTF-8")
        if not sheets:
            raise NotReadableError("none of its sheets has data: it needs a header line and question pairs")
        self._sheet, header = sheets[0]
        check_columns(len(header))
        self.columns = tuple(_text(value) for value in header)

    def all_columns(self) -> tuple[str, ...]:
        """The columns of the header."""
        return self.columns

    def read(self, names: Iterable[str], limits: Limits, label: LabelColumn | None = None) -> RawRows:
        """See `TableFile`. Cells are texts as in Excel's CSV. Empty rows are left out."""
        wanted = [(name, self.columns.index(name)) for name in names]
        values: dict[str, list[str]] = {name: [] for name, _ in wanted}
        size = 0
        with _opened():
            for number, row in enumerate(islice(_filled_rows(self._sheet), 1, None), start=1):
                limits.check_rows(number)
                for name, at in wanted:
                    text = _text(row[at]) if at < len(row) else ""
                    size += len(text) + 8
                    values[name].append(text)
                limits.check_bytes(size)
        return RawRows(pa.table({name: pa.array(texts, pa.large_string()) for name, texts in values.items()}))


@contextmanager
def _opened() -> Iterator[None]:
    """Turn whatever openpyxl and its XML parser raise for a damaged workbook into one line."""
    try:
        yield
    except (NotReadableError, MemoryError):
        raise
    except Exception as error:
        raise NotReadableError(
            f"it is an Excel workbook that can't be opened ({reason_of(error)}): save it again, or as CSV in UTF-8"
        ) from error


def _filled_rows(sheet: Any) -> Iterator[tuple[Any, ...]]:
    # A sheet may name a wrong size, to which rows would be filled up.
    sheet.reset_dimensions()
    return (row for row in sheet.iter_rows(values_only=True) if any(value not in (None, "") for value in row))


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case datetime.datetime() if value.time() == _MIDNIGHT:
            return value.date().isoformat()
        case datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return str(value)
