"""Recognises the format of a file, and reads the pairs of several files, all of one form and format."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.core.errors import InputError
from pipeline.question_pairs.options import PairSource, Quoting
from pipeline.question_pairs.reading.columnar import ArrowIpc, Parquet
from pipeline.question_pairs.reading.contents import is_workbook, what_it_is
from pipeline.question_pairs.reading.delimited import Delimited
from pipeline.question_pairs.reading.excel import Workbook
from pipeline.question_pairs.reading.files import DataFile, Deadline, read_bytes
from pipeline.question_pairs.reading.forms import FormPairs, read_pairs
from pipeline.question_pairs.reading.json_lines import JsonLines
from pipeline.question_pairs.reading.labels import LabelWords
from pipeline.question_pairs.reading.table_file import BOM, Limits, NotReadableError, TableFile, readable


def open_table(data: pa.Buffer, name: str, max_bytes: int, quoting: Quoting = "auto") -> TableFile:
    """Recognise a file by its bytes: Parquet, Arrow (file or stream), JSON lines, Excel, TSV or CSV.

    Args:
        data: the file's bytes, decompressed.
        name: of the file, for messages.
        max_bytes: of the content of a workbook, which is an archive.
        quoting: how quotes of CSV and TSV are read.

    Raises:
        InputError: when it is empty, or in none of these formats.
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
            raise InputError(f"{name} is empty: it needs a header line and question pairs", path=name)
        match first[0]:
            case b"{":
                return JsonLines(data.slice(first.start()))
            case b"[":
                raise NotReadableError("it starts like a JSON array: write JSON lines, one object a line")
            case _:
                return Delimited(data, first.start(), quoting)


@dataclass(frozen=True)
class FilePairs:
    """The pairs of each file.

    Attributes:
        parts: the pairs of each file, in the order of the files.
        form: form and format of all of them, such as `question pairs in CSV`.
    """

    parts: list[FormPairs]
    form: str


def read_pair_files(
    files: Sequence[DataFile], name: str, source: PairSource, deadline: Deadline, may_differ: bool = False
) -> FilePairs:
    """Read files by the columns, labels, quoting and limits of a source.

    Args:
        name: of all files together, for messages.
        may_differ: whether the files may have the known columns in place of those that the source names.

    Raises:
        InputError: when a file can't be read, or the files are of different forms or formats.
    """
    parts: list[FormPairs] = []
    kinds: list[str] = []
    limits, words = Limits(source.max_bytes, source.max_rows), LabelWords.of(source.labels)
    for file in files:
        data = read_bytes(file, limits.max_bytes, deadline)
        table = open_table(data, file.name, limits.max_bytes, source.quoting)
        with readable(file.name):
            columns = _those_found(source.columns, table) if may_differ else source.columns
            parts.append(read_pairs(table, file.name, columns, limits, words))
        kinds.append(f"{parts[-1].form} in {table.format}")
        if kinds[-1] != kinds[0]:
            raise InputError(
                f"{name} mixes files: {_base(files[0])} holds {kinds[0]}, {_base(file)} {kinds[-1]}; keep those of one "
                "kind",
                path=name,
                kinds=(kinds[0], kinds[-1]),
            )
        limits = Limits(limits.max_bytes - max(data.size, parts[-1].pairs.nbytes), limits.max_rows - parts[-1].read)
    return FilePairs(parts, kinds[0])


def _those_found(columns: Mapping[str, str], table: TableFile) -> dict[str, str]:
    missing = set(columns.values()) - set(table.columns)
    found = set(table.all_columns()) if missing else set(table.columns)
    return {part: column for part, column in columns.items() if column in found}


def _base(file: DataFile) -> str:
    return file.name.rpartition("/")[2]
