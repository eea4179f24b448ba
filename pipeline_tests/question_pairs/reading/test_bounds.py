"""Checks that a source's limits are counted before and while it is decoded, so that memory and time stay small."""

import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from effort import PROVES, exhaustive

from pipeline.core.errors import PipelineError
from pipeline.core.files import PROJECT_ROOT
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.reading import files
from pipeline.question_pairs.sources import load_audited, source_fingerprint

LIMIT = 100_000_000
MOST_MEMORY = 700_000_000
"""Bytes that a process may take in all, its libraries included, which take 200 million."""

ROWS = 20_000
TEXT = "x" * 100_000


def texts(rows: int = ROWS) -> pa.Table:
    """Two billion bytes of texts, of which few are stored."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([TEXT]))
    return pa.table({"question1": text, "question2": text, "is_duplicate": pa.array([0, 1] * (rows // 2))})


def nested() -> pa.Table:
    few = texts(2_000)
    both = pa.array([at % 2 for at in range(4_000)], pa.int32())
    lists = pa.ListArray.from_arrays(
        pa.array(range(0, 4_001, 2), pa.int32()), pa.DictionaryArray.from_arrays(both, pa.array([TEXT, TEXT + "y"]))
    )
    return pa.table({"questions": pa.StructArray.from_arrays([lists], ["text"]), "is_duplicate": few["is_duplicate"]})


def parquet(table: pa.Table, path: Path, **options: Any) -> None:
    pq.write_table(table, path, store_schema=False, **options)


def delta(path: Path) -> None:
    """Each text says only how it differs from the one before."""
    table = pa.table({"question1": [TEXT] * 10_000, "question2": ["b"] * 10_000, "is_duplicate": [0, 1] * 5_000})
    parquet(table, path, use_dictionary=False, column_encoding={"question1": "DELTA_BYTE_ARRAY"})


def large_texts() -> pa.Table:
    return pa.table({"question1": ["y" * 150_000_000], "question2": ["b"], "is_duplicate": [1]})


def with_false_footer(write: Callable[[Path], None], path: Path) -> None:
    """A file whose footer names a tenth of the bytes, and plain texts where they are incremental."""
    write(path)
    size = pq.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size
    true, small = _varint(2 * size), bytearray(_varint(2 * (size // 10)))
    while len(small) < len(true):
        small[-1] |= 0x80
        small.append(0)
    data = path.read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = data[start:].replace(true, bytes(small)).replace(b"\x25\x06\x0e", b"\x25\x06\x00")
    assert footer != data[start:]
    path.write_bytes(data[:start] + footer)


def one_text(path: Path) -> None:
    parquet(large_texts(), path, compression="zstd", use_dictionary=False)


def ipc(table: pa.Table, path: Path, stream: bool) -> None:
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(str(path), table.schema, options=options) as writer:
        writer.write_table(table)


def views(path: Path) -> None:
    table = texts(2_000).set_column(0, "question1", pa.array([TEXT] * 2_000, pa.string_view()))
    ipc(table, path, stream=False)


def workbook(path: Path) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(["question1", "question2", "is_duplicate"])
    for at in range(4_000):
        sheet.append(["x" * 32_000, "b", at % 2])
    book.save(path)


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(200_000_000))


BOMBS: dict[str, tuple[Callable[[Path], None], str]] = {
    "parquet": (lambda path: parquet(texts(), path), "bytes of data"),
    "parquet-nested": (lambda path: parquet(nested(), path), "bytes of data"),
    "parquet-delta": (delta, "bytes of data"),
    "parquet-one-text": (one_text, "bytes in its pages"),
    "parquet-false-sizes": (lambda path: with_false_footer(one_text, path), "bytes in its pages"),
    "parquet-false-encodings": (lambda path: with_false_footer(delta, path), "bytes of data"),
    "arrow": (lambda path: ipc(texts(), path, stream=False), "bytes of data"),
    "arrow-stream": (lambda path: ipc(texts(), path, stream=True), "bytes of data"),
    "arrow-compressed": (lambda path: ipc(large_texts(), path, stream=False), "bytes of decompressed data"),
    "arrow-stream-compressed": (lambda path: ipc(large_texts(), path, stream=True), "bytes of decompressed data"),
    "arrow-views": (views, "bytes of decompressed data"),
    "workbook": (workbook, "bytes of XML"),
    "workbook-xml": (zip_bomb, "bytes of XML"),
}  # fmt: skip

LOAD = """
import json, re, sys
from pipeline.core.errors import PipelineError
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.sources import load_pairs
try:
    load_pairs(PairSource(source="file", path=sys.argv[1], max_bytes=int(sys.argv[2])))
    said = "read"
except PipelineError as error:
    said = str(error)
peak = int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) * 1024
print(json.dumps([said, peak]))
"""


def load_elsewhere(path: Path, limit: int) -> tuple[str, int]:
    """What a process of its own says of a file, and the bytes of memory that it took at most."""
    command = [sys.executable, "-c", LOAD, str(path), str(limit)]
    output = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    said, peak = json.loads(output)
    return said, peak


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@exhaustive
@pytest.mark.parametrize("name", BOMBS if PROVES else ("parquet", "parquet-one-text", "arrow-stream-compressed"))
def test_few_bytes_that_stand_for_many_are_refused_before_they_are_decoded(tmp_path: Path, name: str) -> None:
    write, counted = BOMBS[name]
    path = tmp_path / "pairs"
    write(path)
    assert path.stat().st_size < LIMIT / 10
    said, peak = load_elsewhere(path, LIMIT)
    assert f"it holds more than {LIMIT:,} {counted}" in said
    assert "counted): raise `max_bytes` if that is meant" in said
    assert peak < MOST_MEMORY


def test_the_default_limit_bounds_memory_too(tmp_path: Path) -> None:
    parquet(texts(60_000), tmp_path / "pairs")
    assert (tmp_path / "pairs").stat().st_size < 1_000_000
    said, peak = load_elsewhere(tmp_path / "pairs", 2 << 30)
    assert "it holds more than 2,147,483,648 bytes of data" in said
    assert peak < MOST_MEMORY


def test_columns_that_are_not_read_are_not_counted(tmp_path: Path) -> None:
    few = pa.table({"question1": ["a", "c"], "question2": ["b", "d"], "is_duplicate": [0, 1]})
    wide = few.append_column("vector", pa.array(["z" * 30_000_000] * 2))
    parquet(wide, tmp_path / "parquet", compression="zstd")
    ipc(wide, tmp_path / "arrow", stream=False)
    for name in ("parquet", "arrow"):
        source = PairSource(source="file", path=str(tmp_path / name), max_bytes=20_000_000)
        assert len(load_audited(source).table) == 2


# --- rows, columns, files --------------------------------------------------------------------------------------


def refusal(path: Path | str, **settings: Any) -> str:
    with pytest.raises(PipelineError) as caught:
        load_audited(PairSource(source="file", path=str(path), **settings))
    message = str(caught.value)
    assert message.splitlines() == [message]
    assert len(message) <= 280
    return message


FEW = pd.DataFrame({"question1": list("abcdef"), "question2": list("ghijkl"), "is_duplicate": [0, 1] * 3})
WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "csv": lambda rows, path: rows.to_csv(path, index=False),
    "json": lambda rows, path: rows.to_json(path, orient="records", lines=True),
    "parquet": lambda rows, path: rows.to_parquet(path),
    "arrow": lambda rows, path: rows.to_feather(path),
    "xlsx": lambda rows, path: rows.to_excel(path, index=False),
}


@pytest.mark.parametrize("form", WRITERS)
def test_rows_are_counted_before_they_are_used(tmp_path: Path, form: str) -> None:
    WRITERS[form](FEW, tmp_path / f"pairs.{form}")
    message = refusal(tmp_path / f"pairs.{form}", max_rows=4)
    assert "it has more than 4 rows" in message
    assert "counted): raise `max_rows` if that is meant" in message
    assert len(load_audited(PairSource(source="file", path=str(tmp_path), max_rows=7)).table) == 6


def test_the_limits_are_those_of_all_files_together(tmp_path: Path) -> None:
    for number in range(3):
        FEW.assign(question1=[f"{number} {text} {'x' * 400}" for text in "abcdef"]).to_csv(
            tmp_path / f"{number}.csv", index=False
        )
    assert "more than 2 rows" in refusal(tmp_path, max_rows=14)
    assert "2.csv holds more than" in refusal(tmp_path, max_bytes=6_500)
    assert len(load_audited(PairSource(source="file", path=str(tmp_path), max_bytes=10_000, max_rows=30)).table) == 18


def many_columns(columns: int) -> dict[str, list[int]]:
    return {f"c{at}": [at] for at in range(columns)}


@pytest.mark.parametrize("form", ["csv", "tsv", "quoted", "json", "parquet", "arrow"])
def test_a_table_of_too_many_columns_is_refused_at_once(tmp_path: Path, form: str) -> None:
    path = tmp_path / "pairs"
    match form:
        case "csv" | "tsv" | "quoted":
            columns, separator = 3_000_000, "\t" if form == "tsv" else ","
            name = '"a"' if form == "quoted" else "a"
            path.write_text(separator.join([name] * columns) + "\n" + separator.join("1" * columns) + "\n")
        case "json":
            columns = 20_000
            path.write_text((json.dumps(dict.fromkeys(many_columns(columns), 1)) + "\n") * 2)
        case _:
            columns = 20_000
            table = pa.table(many_columns(columns))
            parquet(table, path) if form == "parquet" else ipc(table, path, stream=True)
    start = time.monotonic()
    message = refusal(path)
    assert time.monotonic() - start < 8
    assert "columns, more than 10,000" in message or "first line has" in message


@pytest.mark.parametrize("levels", [100, 5_000])
def test_a_table_of_too_many_levels_is_refused(tmp_path: Path, levels: int) -> None:
    kind: pa.DataType = pa.int64()
    for _ in range(levels):
        kind = pa.struct([("a", kind)])
    # pyarrow's writer overflows its stack where there are very many.
    table = pa.table({"deep": pa.nulls(1, kind)}) if levels < 1_000 else None
    if table is None:
        element = bytes([0x48, 1, ord("a"), 0x15, 2, 0])
        schema = bytes([0x15, 4, 0x19, 0xFC]) + _varint(levels + 1) + element * levels + element[:3] + bytes([0])
        footer = schema + bytes([0x16, 0, 0x19, 0x0C, 0])
        (tmp_path / "pairs").write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    else:
        parquet(table, tmp_path / "pairs")
    assert "nested more than 64 levels deep" in refusal(tmp_path / "pairs")


def _varint(number: int) -> bytes:
    """As Thrift's compact protocol writes it."""
    written = b""
    while number > 0x7F:
        written, number = written + bytes([number & 0x7F | 0x80]), number >> 7
    return written + bytes([number])


def test_a_first_line_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pairs").write_text("x" * (9 << 20))
    assert "its first line has 9,437,184 bytes, more than 8,388,608: it is no header" in refusal(tmp_path / "pairs")


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        FEW.to_csv(tmp_path / f"{number}.csv", index=False)
    monkeypatch.setattr(files, "_MOST_FILES", 4)
    assert "has more than 4 data files" in refusal(tmp_path)
    monkeypatch.setattr(files, "_MOST_ENTRIES", 3)
    assert "(4 and 4 counted): name a folder that has only the pairs" in refusal(tmp_path)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pairs.csv")
    assert "is neither a file nor a folder" in refusal(tmp_path / "pairs.csv")
    assert "is neither a file nor a folder" in refusal("/dev/zero")


# --- time ------------------------------------------------------------------------------------------------------


@contextmanager
def server(headers: dict[str, str], pause: float) -> Iterator[str]:
    """A URL whose answer's body comes a byte at a time, and never ends."""
    closing = threading.Event()

    class Trickle(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            while not closing.wait(pause):
                try:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                except OSError:
                    return

        def log_message(self, *_: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Trickle)
    running.daemon_threads = True
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/pairs.csv"
    finally:
        closing.set()
        running.shutdown()
        running.server_close()


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Content-Type": "text/csv"}, 0.05),
        ({"Content-Type": "text/csv", "Content-Length": "1000000", "Accept-Ranges": "bytes"}, 0.05),
        ({"Content-Type": "text/html"}, 60.0),
    ],
    ids=["no length", "a length", "silent"],
)
def test_a_server_that_never_ends_is_left_in_time(headers: dict[str, str], pause: float) -> None:
    with server(headers, pause) as url:
        start = time.monotonic()
        message = refusal(url, max_seconds=0.5)
        assert time.monotonic() - start < 5
        assert url in message
        assert "seconds" in message
        assert "raise `max_seconds`" in message
        start = time.monotonic()
        with pytest.raises(PipelineError, match="seconds"):
            source_fingerprint(PairSource(source="file", path=url), 0.5)
        assert time.monotonic() - start < 5


def test_the_sensor_reads_no_more_than_a_source_may_have(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    FEW.to_csv(path, index=False)
    assert source_fingerprint(PairSource(source="file", path=str(path)), 40)
    with path.open("ab") as file:
        file.truncate(1 << 40)
    start = time.monotonic()
    with pytest.raises(PipelineError, match="holds more than 2,147,483,648 bytes"):
        source_fingerprint(PairSource(source="file", path=str(path)), 40)
    assert time.monotonic() - start < 5


def test_a_workbook_with_a_far_cell_fills_no_memory(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in [["question1", "question2", "is_duplicate"], ["a", "b", 1]]:
        sheet.append(row)
    sheet["XFD1048576"] = "far"
    file = io.BytesIO()
    book.save(file)
    (tmp_path / "pairs.xlsx").write_bytes(file.getvalue())
    start = time.monotonic()
    assert "1 of 2 rows are broken" in refusal(tmp_path / "pairs.xlsx")
    assert time.monotonic() - start < 20
