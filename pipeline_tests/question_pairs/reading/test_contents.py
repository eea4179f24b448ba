"""Checks that a file that is no table of pairs is named for what it is, with the way out, in one short line."""

import bz2
import gzip
import io
import json
import pickle
import sqlite3
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import audited_files
import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.orc
import pytest
from audited_files import audited

ROWS = pd.DataFrame(
    {
        "question1": [f"How do I mend part {at}?" for at in range(200)],
        "question2": [f"What mends part {at}?" for at in range(200)],
        "is_duplicate": [0, 1] * 100,
    }
)
CSV = ROWS.to_csv(index=False).encode()


def refusal(path: Path, **settings: Any) -> str:
    message = audited_files.refusal(path, **settings)
    assert str(path) in message
    return message


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("pairs.csv")
        entry.size = len(CSV)
        archive.addfile(entry, io.BytesIO(CSV))
    return file.getvalue()


def zipped(names: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return file.getvalue()


def numpy_file() -> bytes:
    file = io.BytesIO()
    np.save(file, ROWS["is_duplicate"].to_numpy())
    return file.getvalue()


def orc() -> bytes:
    file = pa.BufferOutputStream()
    pyarrow.orc.write_table(pa.Table.from_pandas(ROWS), file)
    return file.getvalue().to_pybytes()


def sqlite(path: Path) -> bytes:
    with sqlite3.connect(path) as database:
        ROWS.to_sql("pairs", database)
    database.close()
    return path.read_bytes()


OLE2 = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500)
FILES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "gzip twice": (gzip.compress(gzip.compress(CSV)), ("compressed twice or more: unpack it once",)),
    "bzip2 in gzip": (gzip.compress(bz2.compress(CSV)), ("compressed twice or more: unpack it once",)),
    "tar": (tar(), ("a tar archive: unpack it",)),
    "tar.gz": (gzip.compress(tar()), ("a tar archive: unpack it",)),
    "zip": (zipped({"pairs.csv": CSV}), ("a zip archive: unpack it",)),
    "damaged zip": (zipped({"pairs.csv": CSV})[:-30], ("a damaged zip archive",)),
    "Word": (zipped({"[Content_Types].xml": b"", "word/document.xml": b""}), ("a Word document", "CSV in UTF-8")),
    "ODS": (zipped({"mimetype": b"", "content.xml": b""}), ("an OpenDocument file", "CSV in UTF-8")),
    "xlsb": (zipped({"xl/workbook.bin": b""}), ("an .xlsb workbook", "as .xlsx")),
    "npz": (zipped({"a.npy": b"", "b.npy": b""}), ("an archive of NumPy",)),
    "torch": (zipped({"archive/data.pkl": b""}), ("a file of PyTorch", "Parquet")),
    "xls": (OLE2, ("an old Office file, such as an .xls workbook", "as .xlsx")),
    "pickle": (pickle.dumps([1]), ("a pickle", "write its table as Parquet")),
    "pickle 2": (pickle.dumps(ROWS, protocol=2), ("a pickle",)),
    "npy": (numpy_file(), ("an array of NumPy", "CSV in UTF-8")),
    "ORC": (orc(), ("an ORC file", "Parquet")),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), ("an HDF5 file",)),
    "xz": (b"\xfd7zXZ\x00" + bytes(50), ("compressed with xz",)),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(50), ("a 7z archive",)),
    "RAR": (b"Rar!\x1a\x07\x00" + bytes(50), ("a RAR archive",)),
    "LZ4": (b"\x04\x22\x4d\x18" + bytes(50), ("compressed with LZ4",)),
    "PDF": (b"%PDF-1.7\n\xe2\xe3\xcf\xd3\n" + bytes(100), ("no table", ".pdf")),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(100), ("no table", ".png")),
    "ELF": (b"\x7fELF" + bytes(100), ("no table", "ELF")),
    "UTF-16": (CSV.decode().encode("utf-16"), ("text in UTF-16: save it as UTF-8",)),
    "UTF-16 LE": (CSV.decode().encode("utf-16-le"), ("text in UTF-16 without a byte order mark: save it as UTF-8",)),
    "UTF-16 BE": (CSV.decode().encode("utf-16-be"), ("text in UTF-16 without a byte order mark: save it as UTF-8",)),
    "UTF-32": (CSV.decode().encode("utf-32"), ("text in UTF-32: save it as UTF-8",)),
    "Latin-1": (CSV + "Café?,Coffee?,1\n".encode("latin-1"), ("line 202 is no UTF-8: save the file as UTF-8",)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_named_for_what_it_is(tmp_path: Path, name: str) -> None:
    data, words = FILES[name]
    path = tmp_path / "pairs.csv"
    path.write_bytes(data)
    message = refusal(path)
    assert [word for word in words if word not in message] == [], message


def test_a_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_bytes(sqlite(tmp_path / "pairs.db"))
    assert "a SQLite database: save its table as CSV" in refusal(tmp_path / "pairs.csv")


# --- JSON ------------------------------------------------------------------------------------------------------

RECORDS: list[dict[str, Any]] = [
    {"question1": one, "question2": two, "is_duplicate": label} for one, two, label in ROWS.to_numpy().tolist()
]


@pytest.mark.parametrize("rows", [3, 200, 20_000])
@pytest.mark.parametrize("orient", ["columns", "index", "split", "table", "records"])
def test_a_whole_table_in_one_json_value_is_refused_in_a_short_line(tmp_path: Path, orient: Any, rows: int) -> None:
    path = tmp_path / "pairs.json"
    pd.concat([ROWS] * 100, ignore_index=True).head(rows).to_json(path, orient=orient)
    start = time.monotonic()
    message = refusal(path)
    assert time.monotonic() - start < 5
    assert "write JSON lines, one object a line" in message


def test_a_whole_table_in_one_long_line_is_told_by_its_start(tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    path.write_text('{"question1": {"0": "' + "x" * (9 << 20) + '"}}')
    assert "it is one JSON object that holds the whole table: write JSON lines" in refusal(path)


@pytest.mark.parametrize("indent", [0, 1, 4])
def test_pretty_printed_json_is_refused_in_plain_words(tmp_path: Path, indent: int) -> None:
    path = tmp_path / "pairs.json"
    path.write_text("".join(json.dumps(row, indent=indent) + "\n" for row in RECORDS))
    message = refusal(path)
    assert "its first line is no complete JSON object: write JSON lines, one object a line" in message
    assert "Expecting" not in message


def json_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_one_row_with_lists_only_is_no_whole_table_where_others_follow(tmp_path: Path) -> None:
    rows = [{"questions": {"text": ["a", "b"]}, "is_duplicate": at % 2} for at in range(3)]
    assert audited(json_lines(tmp_path / "pairs", rows)).audit.read == 3


@pytest.mark.parametrize("other", [True, 1.0, "1", "true", "1.0", " TRUE "])
@pytest.mark.parametrize("at", [1, 101, 151])
def test_labels_of_mixed_types_are_read(tmp_path: Path, other: object, at: int) -> None:
    expected = audited(json_lines(tmp_path / "plain", RECORDS)).table.data_version
    rows = [
        {**row, "is_duplicate": other if number == at else row["is_duplicate"]} for number, row in enumerate(RECORDS)
    ]
    assert audited(json_lines(tmp_path / "mixed", rows)).table.data_version == expected
    without = [
        {key: value for key, value in row.items() if (key, n) != ("is_duplicate", at)} for n, row in enumerate(rows)
    ]
    assert "1 with missing label" in refusal(json_lines(tmp_path / "without", without))


def test_a_column_that_only_late_rows_have_is_found(tmp_path: Path) -> None:
    rows = [
        {key: value for key, value in row.items() if key != "is_duplicate" or number >= 120}
        for number, row in enumerate(RECORDS)
    ]
    path = json_lines(tmp_path / "late", rows)
    assert "120 of 200 rows are broken: 120 with missing label" in refusal(path)
    assert audited(path, max_rejected_share=0.7).audit.kept == 80
    ids = [{**row, **({"qid1": 2 * n, "qid2": 2 * n + 1} if n >= 120 else {})} for n, row in enumerate(RECORDS)]
    assert audited(json_lines(tmp_path / "ids", ids)).audit.kept == 200


def test_texts_that_are_numbers_in_some_rows_are_texts(tmp_path: Path) -> None:
    rows = [{**row, "question1": 7 if number == 150 else row["question1"]} for number, row in enumerate(RECORDS)]
    assert audited(json_lines(tmp_path / "pairs", rows)).table.pairs["question1"][150] == "7"


@pytest.mark.parametrize("at", [0, 150])
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"question1": ' + "[" * 100_000, "nested too deeply"),
        ("[1, 2]", "is a JSON list"),
        ("7", "is a JSON int"),
        ('{"question1": "a"', "no complete JSON object"),
        ('{"question1": "a", "question1": "b", "question2": "c", "is_duplicate": 1}', "twice"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, at: int, line: str, words: str) -> None:
    path = tmp_path / "pairs"
    lines = [json.dumps(row) for row in RECORDS]
    if at == 0 and (line.startswith("[") or line == "7" or "twice" in words):
        return
    path.write_text("\n".join([*lines[:at], line, *lines[at:]]))
    assert words in refusal(path)


# --- Excel -----------------------------------------------------------------------------------------------------


def test_a_workbook_is_read_as_its_csv_would_be(tmp_path: Path) -> None:
    rows = ROWS.head(5).assign(
        question1=["Why?", "2017", "NA", "a\nb", " blanks "], is_duplicate=[0, 1, True, False, 1.0]
    )
    rows.astype(object).to_excel(tmp_path / "pairs.xlsx", index=False)
    rows.assign(is_duplicate=[0, 1, 1, 0, 1]).to_csv(tmp_path / "pairs.csv", index=False)
    read = audited(tmp_path / "pairs.xlsx")
    assert read.audit.facts["form"] == "question pairs in Excel"
    assert read.table.data_version == audited(tmp_path / "pairs.csv").table.data_version
    (tmp_path / "folder").mkdir()
    rows.astype(object).to_excel(tmp_path / "folder" / "pairs.xlsx", index=False)
    assert audited(tmp_path / "folder").audit.read == 5


def test_numbers_dates_and_empty_rows_of_a_sheet(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in [
        ["qid1", "qid2", "question1", "question2", "is_duplicate"],
        [1, 2.0, 5, pd.Timestamp("2017-01-01").to_pydatetime(), 1],
        [None] * 5,
        [3, 4, 0.5, True, "0"],
    ]:
        sheet.append(row)
    book.create_sheet("empty")
    book.save(tmp_path / "pairs.xlsx")
    pairs = audited(tmp_path / "pairs.xlsx").table.pairs
    assert pairs[["question1", "question2"]].to_numpy().tolist() == [["5", "2017-01-01"], ["0.5", "true"]]
    assert pairs["question2_id"].tolist() == [2, 4]


def test_a_workbook_with_several_sheets_is_refused_by_their_names(tmp_path: Path) -> None:
    with pd.ExcelWriter(tmp_path / "pairs.xlsx") as writer:
        for name in ("train", "test"):
            ROWS.to_excel(writer, sheet_name=name, index=False)
    assert "2 sheets have data ('train', 'test'): keep one" in refusal(tmp_path / "pairs.xlsx")


@pytest.mark.parametrize("content", [{}, {"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"}])
def test_an_empty_or_damaged_workbook_is_refused(tmp_path: Path, content: dict[str, bytes]) -> None:
    path = tmp_path / "pairs.xlsx"
    if content:
        path.write_bytes(zipped(content))
    else:
        openpyxl.Workbook().save(path)
    assert ("it is an Excel workbook that can't be opened" if content else "none of its sheets has data") in refusal(
        path
    )


def test_without_openpyxl_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ROWS.to_excel(tmp_path / "pairs.xlsx", index=False)
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    message = refusal(tmp_path / "pairs.xlsx")
    assert "it is an Excel workbook: install the extra `excel` (pip install openpyxl), or save it as CSV" in message
