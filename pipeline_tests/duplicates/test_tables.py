"""Results are written whole, in the format that a file's name says, and no text in them does harm."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.core.errors import ResourceError, SettingError
from pipeline.duplicates.tables import require_suffix, shown, write_table

TEXTS = ["=1+1", "+1", "-1", "@x", "\t=1", "plain", 'a,b\n"c"', "🙂", "", None]
TABLE = pa.table({"=name": pa.array(TEXTS, pa.large_string()), "n": list(range(len(TEXTS)))})


def test_no_cell_of_a_csv_is_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_table(path, TABLE)
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == ["'=name", "n"]
    assert [row[0] for row in rows] == ["'=1+1", "'+1", "'-1", "'@x", "'\t=1", "plain", 'a,b\n"c"', "🙂", "", ""]
    assert [int(row[1]) for row in rows] == list(range(len(TEXTS)))


def test_other_formats_keep_every_text_as_it_is(tmp_path: Path) -> None:
    for name in ("out.parquet", "out.jsonl"):
        write_table(tmp_path / name, TABLE)
    assert parquet.read_table(tmp_path / "out.parquet") == TABLE
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").split("\n")
    assert [json.loads(line)["=name"] for line in lines[:-1]] == TEXTS


def test_lists_are_written_as_json_in_a_csv(tmp_path: Path) -> None:
    write_table(tmp_path / "out.csv", pa.table({"tags": [["a", "=b"], []]}))
    assert (tmp_path / "out.csv").read_text() == '"tags"\n"[""a"", ""=b""]"\n"[]"\n'


@pytest.mark.parametrize("name", ["out", "out.xlsx", "out.csv.gz"])
def test_a_name_without_a_known_format_is_refused(name: str) -> None:
    with pytest.raises(SettingError) as caught:
        require_suffix(Path(name))
    assert caught.value.values == {"path": Path(name)}


def test_a_file_that_can_t_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResourceError):
        write_table(tmp_path / "file" / "out.csv", TABLE)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SettingError):
        write_table(tmp_path / "folder.csv", TABLE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.csv"]


def test_a_text_shown_on_a_terminal_is_one_line_that_commands_nothing() -> None:
    assert shown("a\x1b[31mred\x07\nb") == r"a\x1b[31mred\x07 b"
    assert shown("\u202eevil\u2066") == r"\u202eevil\u2066"
    assert shown("👩\u200d💻 שלום") == "👩\u200d💻 שלום"
    assert len(shown("x" * 100_000)) == 80
