"""Writes results as CSV, Parquet or JSON lines, by the file's ending, whole or not at all; and texts for a terminal."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.files import replacing
from pipeline.core.foreign_text import BEGINS_A_FORMULA, for_csv, for_terminal, shortened

SUFFIXES = (".csv", ".parquet", ".jsonl")
_ROWS_AT_ONCE = 10_000


def require_suffix(path: Path) -> None:
    """Refuse a file's name before any work is done.

    Raises:
        PipelineError: when it doesn't say in which format to write, or is a folder.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise PipelineError(f"in which format is {path} to be written? End its name in {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise PipelineError(f"{path} is a folder: name a file")


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table; what was there is replaced when all of it is written.

    In CSV a text that a spreadsheet would take for a formula gets an apostrophe before it.

    Raises:
        PipelineError: when the file can't be written.
    """
    require_suffix(path)
    try:
        with replacing(path) as temporary:
            match path.suffix.lower():
                case ".csv":
                    csv.write_csv(without_formulas(table), temporary)
                case ".parquet":
                    parquet.write_table(table, temporary, compression="zstd")
                case _:
                    with temporary.open("w", encoding="utf-8") as file:
                        file.writelines(_json_lines(table))
    except OSError as error:
        raise PipelineError(f"can't write {path} ({reason_of(error)})") from error


def without_formulas(table: pa.Table) -> pa.Table:
    """The table with an apostrophe before each text that a spreadsheet would take for a formula."""
    for at, field in enumerate(table.schema):
        column = table.column(at)
        if not (pa.types.is_string(field.type) or pa.types.is_large_string(field.type)):
            if pa.types.is_nested(field.type):
                # CSV has no lists: as JSON, which begins with a bracket.
                texts = [json.dumps(value, ensure_ascii=False, default=str) for value in column.to_pylist()]
                table = table.set_column(at, field.name, pa.array(texts, pa.large_string()))
            continue
        begins = pc.fill_null(pc.match_substring_regex(column, BEGINS_A_FORMULA), False)
        if pc.any(begins).as_py():
            apostrophe = pa.scalar("'", field.type)
            marked = pc.binary_join_element_wise(apostrophe, column, pa.scalar("", field.type))
            table = table.set_column(at, field.name, pc.if_else(begins, marked, column))
    names = [for_csv(name) for name in table.column_names]
    return table.rename_columns(names)


def _json_lines(table: pa.Table) -> Iterator[str]:
    for start in range(0, len(table), _ROWS_AT_ONCE):
        for row in table.slice(start, _ROWS_AT_ONCE).to_pylist():
            yield json.dumps(row, ensure_ascii=False, default=str) + "\n"


def shown(text: str, width: int = 80) -> str:
    """A text as a terminal may show it, in one line of at most `width` characters."""
    return shortened(for_terminal(text), width)
