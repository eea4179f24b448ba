"""Writes generated pairs as all kinds of programs do: every row is read or accounted for, or the file is one line."""

import csv
import io
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from effort import tries
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.errors import PipelineError
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.questions import question_key
from pipeline.question_pairs.sources import AuditedPairs, load_audited

LABELS = {
    True: ("1", "true", "TRUE", "True", "1.0", " 1"),
    False: ("0", "false", "FALSE", "False", "0.0", "0 "),
}
LETTERS = "ab7 ,;|\t\"'\\\n\ré世🌍?-=#/"
TEXTS = st.text(LETTERS, max_size=8) | st.sampled_from(
    [
        "How do I swim?",
        'He said "why"',
        '"All" is',
        'the end"',
        "NA",
        "null",
        "1",
        "true",
        "a,b,1",
        "a\tb\t0",
        "x\ny,z,1\nw",
    ]
)
FLAT_TEXTS = st.text("ab7 \"'\\é世?", min_size=1, max_size=8).filter(str.strip)


RULES: dict[str, dict[str, Any]] = {
    "minimal": {},
    "all": {"quoting": csv.QUOTE_ALL},
    "nonnumeric": {"quoting": csv.QUOTE_NONNUMERIC},
    "backslash": {"doublequote": False, "escapechar": "\\"},
    "single": {"quotechar": "'"},
}


@dataclass(frozen=True)
class Pair:
    question1: str
    question2: str
    is_duplicate: bool
    label: str


def pairs(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[Pair]]:
    pair = st.booleans().flatmap(
        lambda is_duplicate: st.builds(Pair, texts, texts, st.just(is_duplicate), st.sampled_from(LABELS[is_duplicate]))
    )
    return st.lists(pair, min_size=1, max_size=6)


@dataclass(frozen=True)
class Habits:
    """How a program writes a table.

    Attributes:
        separator: between fields.
        quotes: by `csv`'s rules: minimal, all, nonnumeric; `backslash`: quotes inside are not doubled but escaped;
            `single`: single quotes around fields; `raw`: no quotes at all.
        end: of a line.
        mark: bytes before the first line.
        declares: is the separator declared in a line of its own?
        ids: none, sound, or beginning at 0 in each file, in each column, or the same everywhere.
        order: permutation of the columns.
        extra: further columns.
        ends_with_line: has the last line an end?
    """

    separator: str
    quotes: str
    end: str
    mark: bytes
    declares: bool
    ids: str
    order: tuple[int, ...]
    extra: tuple[str, ...]
    ends_with_line: bool


def habits(quotes: tuple[str, ...]) -> st.SearchStrategy[Habits]:
    return st.builds(
        Habits,
        separator=st.sampled_from(",;\t|"),
        quotes=st.sampled_from(quotes),
        end=st.sampled_from(["\n", "\r\n", "\r"]),
        mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
        declares=st.booleans(),
        ids=st.sampled_from(["none", "sound", "per file", "per column", "constant"]),
        order=st.permutations(range(6)).map(tuple),
        extra=st.sampled_from([(), ("notes",), ("notes", "notes"), ("label",), ("source", "label")]),
        ends_with_line=st.booleans(),
    )


def columns(rows: list[Pair], first: int, made: Habits) -> dict[str, list[str]]:
    numbers = range(first, first + len(rows))
    match made.ids:
        case "sound":
            ids = {
                "id": list(numbers),
                "qid1": [10_000 + 2 * n for n in numbers],
                "qid2": [10_001 + 2 * n for n in numbers],
            }
        case "per file":
            own = list(range(len(rows)))
            ids = {"id": own, "qid1": own, "qid2": [100 + n for n in own]}
        case "per column":
            ids = {name: list(numbers) for name in ("id", "qid1", "qid2")}
        case "constant":
            ids = {name: [-1] * len(rows) for name in ("id", "qid1", "qid2")}
        case _:
            ids = {}
    table = {name: [str(number) for number in values] for name, values in ids.items()}
    table |= {
        "question1": [row.question1 for row in rows],
        "question2": [row.question2 for row in rows],
        "is_duplicate": [row.label for row in rows],
    }
    names = list(table)
    return {names[at]: table[names[at]] for at in made.order if at < len(names)}


def written(rows: list[Pair], first: int, made: Habits) -> bytes:
    table = columns(rows, first, made)
    header = [*table, *made.extra]
    lines = [list(line) for line in zip(*table.values(), strict=True)]
    for line, row in zip(lines, rows, strict=True):
        line += [row.label if name == "label" else "x" for name in made.extra]
    if made.quotes == "raw":
        text = made.end.join(made.separator.join(line) for line in [header, *lines]) + made.end
    else:
        file = io.StringIO(newline="")
        writer = csv.writer(file, delimiter=made.separator, lineterminator=made.end, **RULES[made.quotes])
        writer.writerows([header, *lines])
        text = file.getvalue()
    if not made.ends_with_line:
        text = text.removesuffix(made.end)
    declared = f"sep={made.separator}{made.end}" if made.declares else ""
    return made.mark + (declared + text).encode()


def load(files: list[bytes], **chosen: Any) -> AuditedPairs | str:
    """What is read of a folder of these files, or the line with which it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(files):
            (Path(folder) / f"{number}.csv").write_bytes(content)
        try:
            read = load_audited(PairSource(source="file", path=folder, **chosen))
        except PipelineError as error:
            message = str(error)
            assert message.splitlines() == [message]
            assert len(message) <= 280
            return message
    assert len(read.table) == read.audit.kept == read.audit.read - sum(read.audit.rejected.values())
    return read


def shared(rows: list[Pair], files: int) -> list[list[Pair]]:
    parts = [rows[at::files] for at in range(files)]
    return [part for part in parts if part]


many = settings(max_examples=tries(60), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@many
@given(rows=pairs(TEXTS), files=st.integers(1, 3), made=habits(("minimal", "all", "nonnumeric")))
def test_what_follows_the_rules_of_csv_is_read_as_it_was_or_asks_for_a_setting(
    rows: list[Pair], files: int, made: Habits
) -> None:
    if made.quotes == "minimal":
        # Python's own writer puts no quotes around another end of line than that of its lines.
        others = {ord(letter): None for letter in "\r\n" if letter not in made.end}
        rows = [
            replace(row, question1=row.question1.translate(others), question2=row.question2.translate(others))
            for row in rows
        ]
    parts = shared(rows, files)
    first, contents = 0, []
    for part in parts:
        contents.append(written(part, first, made))
        first += len(part)
    read = load(contents)
    if isinstance(read, str):
        # A text may have rows in it: which is meant is asked for.
        assert "`quoting`" in read, read
        read = load(contents, quoting="csv")
    assert not isinstance(read, str), read
    found = [tuple(row) for row in read.table.pairs[["question1", "question2", "is_duplicate"]].itertuples(index=False)]
    assert found == [(row.question1, row.question2, row.is_duplicate) for part in parts for row in part]
    frame = read.table.pairs
    ids, texts = frame[["question1_id", "question2_id"]].to_numpy(), frame[["question1", "question2"]].to_numpy()
    by_id: dict[int, str] = {}
    for number, text in zip(ids.ravel().tolist(), texts.ravel().tolist(), strict=True):
        assert by_id.setdefault(number, question_key(text)) == question_key(text)


@many
@given(rows=pairs(FLAT_TEXTS), made=habits(("raw",)), share=st.sampled_from([0.0, 0.9]))
def test_quotes_that_are_letters_swallow_no_row(rows: list[Pair], made: Habits, share: float) -> None:
    read = load([written(rows, 0, made)], max_rejected_share=share)
    if not isinstance(read, str):
        assert read.audit.read == len(rows)
    letters = load([written(rows, 0, made)], quoting="none")
    assert not isinstance(letters, str), letters
    found = letters.table.pairs[["question1", "question2"]].to_numpy().tolist()
    assert found == [[row.question1, row.question2] for row in rows]


@many
@given(
    rows=pairs(TEXTS),
    made=habits(("minimal", "all", "backslash", "single", "raw")),
    at=st.floats(0, 1),
    put=st.sampled_from(["", '"', '""', "'", "\\", "\n", "\r", "\0", '"\n']),
    share=st.sampled_from([0.0, 0.9]),
    quoting=st.sampled_from(["auto", "csv", "none"]),
)
def test_whatever_the_rules_are_rows_are_accounted_for(
    rows: list[Pair], made: Habits, at: float, put: str, share: float, quoting: str
) -> None:
    data = written(rows, 0, made)
    position = int(at * len(data))
    data = data[:position] + put.encode() + data[position:]
    read = load([data], max_rejected_share=share, quoting=quoting)
    if isinstance(read, str):
        return
    text = data.decode("utf-8-sig")
    if text.lstrip().startswith(("sep=", '"sep=')):
        text = text.lstrip().split(made.end, 1)[1]
    form = str(read.audit.facts["form"])
    lines = io.StringIO(text, newline="")
    if form.endswith("without quoting"):
        counted = csv.reader(lines, delimiter=made.separator, quoting=csv.QUOTE_NONE)
    else:
        counted = csv.reader(lines, delimiter=made.separator)
    assert read.audit.read == sum(1 for row in counted if row) - 1


JSON_LABELS: dict[bool, list[object]] = {True: [1, True, 1.0, "1", "true"], False: [0, False, 0.0, "0", "FALSE"]}


@many
@given(
    rows=st.lists(
        st.tuples(TEXTS, TEXTS, st.booleans(), st.integers(0, 4), st.permutations(range(4))), min_size=1, max_size=6
    ),
    late=st.booleans(),
)
def test_rows_of_json_may_mix_types_of_labels_and_the_order_of_columns(
    rows: list[tuple[str, str, bool, int, list[int]]], late: bool
) -> None:
    lines = []
    for number, (one, two, is_duplicate, kind, order) in enumerate(rows):
        fields = [
            ("question1", one),
            ("question2", two),
            ("is_duplicate", JSON_LABELS[is_duplicate][kind]),
            ("more", number),
        ]
        lines.append(json.dumps(dict(fields[at] for at in order)))
    if late:
        lines = ['{"question1": "a", "question2": "b"}'] * 101 + lines
    read = load([("\n".join(lines)).encode()], max_rejected_share=0.999 if late else 0.0)
    assert not isinstance(read, str), read
    found = [tuple(row) for row in read.table.pairs[["question1", "question2", "is_duplicate"]].itertuples(index=False)]
    assert found == [(one, two, is_duplicate) for one, two, is_duplicate, *_ in rows]
