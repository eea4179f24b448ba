"""Recognises how a file stores its table, by its bytes and not by its name."""

import re

import pyarrow as pa

from pipeline.core.errors import PipelineError
from pipeline.question_pairs.options import Quoting
from pipeline.question_pairs.reading.columnar import ArrowIpc, Parquet
from pipeline.question_pairs.reading.contents import is_workbook, what_it_is
from pipeline.question_pairs.reading.delimited import Delimited
from pipeline.question_pairs.reading.excel import Workbook
from pipeline.question_pairs.reading.json_lines import JsonLines
from pipeline.question_pairs.reading.table_file import BOM, NotReadableError, TableFile, readable


def open_table(data: pa.Buffer, name: str, max_bytes: int, quoting: Quoting = "auto") -> TableFile:
    """Recognise a file by its bytes: Parquet, Arrow (file or stream), JSON lines, Excel, TSV or CSV.

    Args:
        data: the file's bytes, decompressed.
        name: how messages call the file.
        max_bytes: of an archive's content.
        quoting: how quotes of CSV and TSV are read.

    Raises:
        PipelineError: when it is empty, or in none of these formats.
    """
    start = data.slice(0, min(64, data.size)).to_pybytes()
    with readable(name):
        if start.startswith(b"PAR1"):
            return Parquet(data)
        if start.startswith(b"ARROW1"):
            return ArrowIpc(data, is_stream=False)
        if start.startswith(b"\xff\xff\xff\xff"):
            return ArrowIpc(data, is_stream=True)
        if start.startswith(b"PK\x03\x04"):
            if is_workbook(data):
                return Workbook(data, max_bytes)
            raise NotReadableError(f"it is {what_it_is(data)}")
        first = re.compile(rb"[^\s]").search(data, len(BOM) if start.startswith(BOM) else 0)
        if first is None:
            raise PipelineError(f"{name} is empty: it needs a header line and question pairs")
        match first[0]:
            case b"{":
                return JsonLines(data.slice(first.start()))
            case b"[":
                raise NotReadableError("it starts like a JSON array: write JSON lines, one object a line")
            case _:
                return Delimited(data, first.start(), quoting)
