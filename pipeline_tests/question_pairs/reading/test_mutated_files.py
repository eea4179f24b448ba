"""Feeds 2,000 damaged files to the reader: each loads with all rows accounted for, or is refused in one line."""

import csv
import gzip
import io
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import PipelineError
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.sources import load_audited

FILES = 2_000
SECONDS = 20
"""A file of a few kilobytes that takes longer hangs."""

ROWS = pd.DataFrame(
    {
        "id": range(30),
        "qid1": range(0, 60, 2),
        "qid2": range(1, 60, 2),
        "question1": [f'What is "{at}", or 世界?' if at % 3 else f"Why {at}?" for at in range(30)],
        "question2": ["", "two\nlines", "NA", "tab\there", "🌍", "plain"] * 5,
        "is_duplicate": [0, 1] * 15,
    }
)


def arrow(rows: pd.DataFrame, stream: bool) -> bytes:
    table = pa.Table.from_pandas(rows, preserve_index=False)
    file = io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    return file.getvalue()


def nested() -> bytes:
    rows = [
        {"questions": {"id": [a, b], "text": [one, two]}, "is_duplicate": label}
        for a, b, one, two, label in ROWS[["qid1", "qid2", "question1", "question2", "is_duplicate"]]
        .to_numpy()
        .tolist()
    ]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


GLUE = "".join(
    "\t".join(str(field).replace("\n", " ").replace("\t", " ") for field in row) + "\n"
    for row in [list(ROWS.columns), *ROWS.to_numpy().tolist()]
)
SOUND: dict[str, bytes] = {
    "tsv": ROWS.to_csv(sep="\t", index=False).encode(),
    "csv": ROWS.to_csv(index=False).encode(),
    "glue": GLUE.encode(),
    "json": "".join(json.dumps(row) + "\n" for row in ROWS.to_dict("records")).encode(),
    "parquet": ROWS.to_parquet(index=False),
    "nested": nested(),
    "arrow-file": arrow(ROWS, stream=False),
    "arrow-stream": arrow(ROWS, stream=True),
    "gzip": gzip.compress(ROWS.to_csv(index=False).encode(), mtime=0),
}
NASTY = (
    b'"',
    b"\0",
    b"\n",
    b"\r",
    b"\t",
    b",",
    b"\xff",
    b"\xc3",
    b"\\",
    b'"",""',
    b"{",
    b"}",
    b"\xef\xbb\xbf",
    b"\xff" * 8,
)


def flip(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def insert(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + chance.choice(NASTY) + data[at:]


def overwrite(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    piece = chance.choice(NASTY)
    return data[:at] + piece + data[at + len(piece) :]


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def remove(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.randrange(1, 60) :]


def repeat(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randrange(1, 200)]
    at = chance.randrange(len(data))
    return data[:at] + piece + data[at:]


def splice(data: bytes, chance: random.Random) -> bytes:
    other = chance.choice(list(SOUND.values()))
    return data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, insert, overwrite, cut, remove, repeat, splice)


def mutated(seed: int) -> tuple[str, bytes]:
    """A sound file's name, and its bytes after one to three mutations."""
    chance = random.Random(seed)
    name = chance.choice(list(SOUND))
    data = SOUND[name]
    for _ in range(chance.choice((1, 1, 2, 3))):
        data = chance.choice(MUTATIONS)(data, chance) if data else data
    return name, data


@pytest.mark.parametrize("name", SOUND)
def test_the_sound_files_load(tmp_path: Path, name: str) -> None:
    path = tmp_path / "pairs"
    path.write_bytes(SOUND[name])
    assert len(load_audited(PairSource(source="file", path=str(path))).table) == len(ROWS)


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_no_damage_crashes_hangs_or_loses_a_row(tmp_path: Path, share: float) -> None:
    path = tmp_path / "pairs"
    loaded = refused = 0
    for seed in range(0 if share else 1, FILES, 2):
        name, data = mutated(seed)
        path.write_bytes(data)
        start = time.monotonic()
        message = ""
        try:
            pairs = load_audited(PairSource(source="file", path=str(path), max_rejected_share=share))
        except PipelineError as error:
            message = str(error)
        assert time.monotonic() - start < SECONDS, (seed, name)
        if message:
            refused += 1
            assert message.splitlines() == [message], (seed, name)
            assert str(path) in message, (seed, name)
            assert len(message) < 1_500, (seed, name, message)
            continue
        loaded += 1
        audit = pairs.audit
        assert len(pairs.table) == audit.kept == audit.read - sum(audit.rejected.values()), (seed, name)
        assert share or not audit.rejected, (seed, name)
        if (expected := plain_count(data, str(audit.facts["form"]))) is not None:
            assert audit.read == expected, (seed, name)
    assert loaded + refused == FILES // 2
    assert min(loaded, refused) > FILES // 40


def plain_count(data: bytes, form: str) -> int | None:
    """Rows of a text file, as Python's own readers count them; None for a binary one."""
    if form.endswith("in JSON lines"):
        return json_count(data.decode("utf-8-sig"))
    if not form.endswith(("in TSV", "in CSV", "in TSV without quoting")):
        return None
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    text = data.decode("utf-8-sig", errors="replace")
    separator = "," if form.endswith("CSV") else "\t"
    lines = io.StringIO(text, newline="")
    if form.endswith("quoting"):
        reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines, delimiter=separator)
    return sum(1 for row in reader if row) - 1


def json_count(text: str) -> int:
    count, decoder = 0, json.JSONDecoder()
    while text := text.lstrip():
        text = text[decoder.raw_decode(text)[1] :]
        count += 1
    return count
