"""Bad input through the assets and the command line: one clear line, and what was there before stays as it was."""

import gzip
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.files import PROJECT_ROOT
from pipeline.orchestration.assets import dataset
from pipeline.orchestration.resources import StoreResource, VersionedIOManager
from pipeline.orchestration.steps import load_settings
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.sources import load_pairs

HEADER = b"id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
ROWS = b"".join(f"{at}\t{2 * at}\t{2 * at + 1}\tWhy {at}?\tHow {at}?\t{at % 2}\n".encode() for at in range(40))


def half_a_parquet() -> bytes:
    frame = pd.DataFrame({"question1": ["a"] * 99, "question2": ["b"] * 99, "is_duplicate": [0] * 99})
    whole: bytes = frame.to_parquet()
    return whole[: len(whole) // 2]


FILES: dict[str, tuple[bytes, str]] = {
    "an empty file": (b"", "is empty: it needs a header line"),
    "a header only": (HEADER, "has a header but no question pairs"),
    "a header without its line's end": (HEADER.rstrip(), "has a header but no question pairs"),
    "a missing column": (
        b"question1\tquestion2\tscore\na\tb\t1\n",
        "lacks the column is_duplicate; it has: question1, question2, score",
    ),
    "wrong columns": (b"x,y\n1,2\n", "lacks the column question1, question2, is_duplicate; it has: x, y"),
    "blanks in the header": (b"question1, question2, is_duplicate\na, b, 1\n", "has: question1, ' question2', ' is_"),
    "no header": (ROWS, "has no header: its first line, '0, 0, 1, Why 0?"),
    "a label that is none": (HEADER + ROWS + b"41\t90\t91\ta\tb\tmaybe\n", "1 with unknown label"),
    "a label that is a number": (HEADER + ROWS + b"41\t90\t91\ta\tb\t2\n", "(data row 41: '2')"),
    "a missing label": (HEADER + ROWS + b"41\t90\t91\ta\tb\t\n", "1 with missing label"),
    "a row that is cut": (HEADER + ROWS + b"41\t90\t91\ta", "1 with another number of fields than the header"),
    "a NUL byte": (HEADER + ROWS + b"41\t90\t91\ta\0\tb\t1\n", "1 of 41 rows are broken: 1 with NUL byte"),
    "only NUL bytes": (b"\0" * 5000, "none of Parquet, Arrow, JSON lines, TSV and CSV"),
    "broken UTF-8": (HEADER + ROWS + b"41\t90\t91\ta\xc3(\tb\t1\n", "line 42 is no UTF-8: save the file as UTF-8"),
    "broken UTF-8 in the header": (b"question1\xff,question2,is_duplicate\n", "line 1 is no UTF-8"),
    "UTF-16": ((HEADER + ROWS).decode().encode("utf-16"), "it is text in UTF-16: save it as UTF-8"),
    "an unclosed quote": (b'question1,question2,is_duplicate\na,b,1\n"c,d,0\ne,f,1\n', "a quote in line 3 is opened"),
    "a Parquet cut in half": (half_a_parquet(), "can't read question pairs"),
    "a Parquet without its start": (half_a_parquet()[4:], "can't read question pairs"),
    "a gzip cut in half": (gzip.compress(HEADER + ROWS)[:-40], "Truncated compressed stream"),
    "a damaged gzip": (gzip.compress(HEADER + ROWS)[:-8] + b"\0" * 8, "can't read question pairs"),
    "a zip archive": (b"PK\x03\x04" + bytes(100), "it is a damaged zip archive: copy or pack it again"),
    "a JSON array": (b'[{"question1": "a"}]', "starts like a JSON array: write JSON lines"),
    "JSON that breaks off": (
        b'{"question1": "a", "question2": "b", "is_duplicate": 1}\n{"que',
        "can't read question pairs",
    ),
    "JSON of a changing type": (
        b'{"question1": "a", "question2": "b", "is_duplicate": 1}\n'
        b'{"question1": "a", "question2": "b", "is_duplicate": "x"}\n',
        "1 with unknown label (data row 2: 'x')",
    ),
    "a list where a text belongs": (
        b'{"question1": ["a"], "question2": "b", "is_duplicate": 1}\n',
        "the column question1 holds list",
    ),
    "a text where questions belong": (b'{"questions": "a", "is_duplicate": 1}\n', "the column questions holds"),
    "one question of two": (b'{"questions": {"text": ["a"]}, "is_duplicate": 1}\n', "1 with not two questions"),
}  # fmt: skip


def refusal(path: Path | str) -> str:
    with pytest.raises(PipelineError) as caught:
        load_pairs(PairSource(source="file", path=str(path)))
    message = str(caught.value)
    assert message.splitlines() == [message]
    assert str(path) in message
    assert len(message) < 700
    return message


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    content, said = FILES[name]
    path = tmp_path / "pairs"
    path.write_bytes(content)
    assert said in refusal(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "no file of question pairs" in refusal(tmp_path / "nowhere.tsv")
    (tmp_path / "README.md").write_text("no data")
    assert "has no data file" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe.csv")
    assert "neither a file nor a folder" in refusal(tmp_path / "pipe.csv")
    assert "neither a file nor a folder" in refusal("/dev/zero")


def test_a_row_that_is_longer_than_a_block_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(b"question1,question2,is_duplicate\n" + b"a,b,1\n" * 9 + b"a" * (20 << 20) + b",b,1\n")
    assert "a row is longer than 8,388,608 bytes" in refusal(path)


BOMB = """
import re, sys
from pipeline.core.errors import PipelineError
from pipeline.question_pairs.sources import PairSource, load_pairs
try:
    load_pairs(PairSource(source="file", path=sys.argv[1]))
except PipelineError as error:
    print(error)
    print(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads the peak memory as Linux tells it")
def test_ten_gigabytes_in_ten_megabytes_fill_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    member = gzip.compress(b"question1,question2,is_duplicate\n" + b"a,b,1\n" * 17_000_000)
    with path.open("wb") as file:
        for _ in range(100):
            file.write(member)
    assert path.stat().st_size < 30e6
    result = subprocess.run(
        [sys.executable, "-c", BOMB, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    message, peak = result.stdout.splitlines()
    assert message == (
        f"{path} holds more than 2,147,483,648 bytes of data, which are left of `max_bytes`: raise it if that is meant"
    )
    assert int(peak) * 1024 < 1e9


def test_a_parquet_whose_few_bytes_stand_for_many_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    text = "a" * 10_000
    pd.DataFrame({"question1": [text] * 20_000, "question2": "b", "is_duplicate": 1}).to_parquet(path)
    assert path.stat().st_size < 1e6
    with pytest.raises(
        PipelineError, match=r"it holds more than 10,000,000 bytes of data \(200,502,500 counted\): raise `max_bytes`"
    ):
        load_pairs(PairSource(source="file", path=str(path), max_bytes=10_000_000))


def state(home: Path) -> dict[str, str]:
    """SHA-256 of each file below a folder."""
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(home.rglob("*")) if p.is_file()}


def materialize(home: Path, *overrides: str) -> dg.ExecuteInProcessResult:
    """Materialise the dataset and its splits in this process."""
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [dataset.raw_quora_dataset, dataset.splits],
            instance=instance,
            run_config=load_settings(overrides=overrides).run_config(["raw_quora_dataset", "splits"]),
            resources={"io_manager": VersionedIOManager(home=str(home)), "store": StoreResource(home=str(home))},
            raise_on_error=False,
        )


def few(path: Path) -> None:
    path.write_bytes(HEADER + ROWS.splitlines(keepends=True)[0])


def one_class(path: Path) -> None:
    path.write_bytes(HEADER + ROWS.replace(b"\t1\n", b"\t0\n"))


@pytest.mark.parametrize(
    ("write", "step", "said"),
    [
        (lambda path: path.write_bytes(half_a_parquet()), "raw_quora_dataset", "can't read question pairs"),
        (lambda path: path.write_bytes(HEADER), "raw_quora_dataset", "no question pairs"),
        (few, "splits", "1 pairs can't be divided with eval_fraction 0.1"),
        (one_class, "splits", "all 40 pairs of pairs are not duplicates"),
    ],
)
def test_a_failed_step_replaces_nothing_of_its_own(
    pipeline_home: Path, tmp_path: Path, write: Callable[[Path], None], step: str, said: str
) -> None:
    assert materialize(pipeline_home).success
    before = state(pipeline_home)
    path = tmp_path / "pairs"
    write(path)
    result = materialize(pipeline_home, "raw_quora_dataset.source=file", f"raw_quora_dataset.path={path}")
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert failure.step_key == step
    data = failure.step_failure_data.user_failure_data
    assert data is not None
    assert data.description is not None
    assert said in data.description
    assert data.description.splitlines() == [data.description]
    after = state(pipeline_home)
    of_other_steps = {name for name in after if step == "splits" and "raw_quora_dataset" in name}
    assert {name: digest for name, digest in after.items() if name not in of_other_steps} == {
        name: digest for name, digest in before.items() if name not in of_other_steps
    }


def test_the_account_of_the_rows_is_in_the_metadata(pipeline_home: Path, tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_bytes(
        HEADER.replace(b"is_duplicate", b"duplicate")
        + ROWS
        + b"40\t0\t1\tWhy 0?\tHow 0?\t1\n"
        + b"41\t90\t91\ta\tb\t7\n"
    )
    result = materialize(
        pipeline_home, "raw_quora_dataset.source=file", f"raw_quora_dataset.path={path}",
        "raw_quora_dataset.max_rejected_share=0.1", "raw_quora_dataset.repeated_pairs=drop",
        "raw_quora_dataset.columns={is_duplicate: duplicate}",
    )  # fmt: skip
    assert result.success
    (event,) = result.asset_materializations_for_node("raw_quora_dataset")
    metadata: dict[str, Any] = {key: value.value for key, value in event.metadata.items()}
    assert metadata["pairs_read"] == 42
    assert metadata["dagster/row_count"] == 40
    assert metadata["pairs_rejected"] == metadata["pairs_dropped"] == metadata["pairs_repeated"] == 1
    assert metadata["pairs_contradictory"] == 2
    assert "| dropped: repeated | 1 | data row 41: 'Why 0?' / 'How 0?' |" in metadata["account"]
    assert "data row 42: '7'" in metadata["account"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("raw_quora_dataset.source=file", "raw_quora_dataset.path={path}"), "1 with NUL byte in a question"),
        (("raw_quora_dataset.source=hub",), "HF_HUB_OFFLINE is set"),
        (("base_model.model={folder}",), "only pickled ones (pytorch_model.bin)"),
    ],
)
def test_the_command_line_ends_with_that_line(
    pipeline_home: Path, tmp_path: Path, settings: tuple[str, ...], said: str
) -> None:
    path, folder = tmp_path / "pairs.tsv", tmp_path / "model"
    path.write_bytes(FILES["a NUL byte"][0])
    folder.mkdir()
    for name in ("config.json", "pytorch_model.bin"):
        (folder / name).write_text("{}")
    step = settings[0].partition(".")[0]
    command = [sys.executable, "-m", "pipeline", "materialize", "--select", step]
    for setting in settings:
        command += ["--set", setting.format(path=path, folder=folder)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(
        command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, env=environment, timeout=240
    )
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"Error: {step}: ")
    assert said in last
    assert "Traceback" not in result.stderr
    assert state(pipeline_home) == {}
