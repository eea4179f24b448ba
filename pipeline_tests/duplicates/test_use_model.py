"""`compare`, `search` and `mine` as a person types them, in this process."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.command_line.cli import main
from pipeline.core.errors import counted

ODD_LINES = [
    "How do I learn Python?",
    "",
    "What is the best way to learn Python?",
    "HOW DO I LEARN PYTHON? ",
    "   ",
    "🙂🙃",
    "שלום, מה שלומך?",
    "=HYPERLINK(1)",
    "x" * 100_000,
    "How do I cook rice?",
    "How do I learn Python?",
]


class Command:
    """Runs a command, and keeps what it printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: Path) -> None:
        self._monkeypatch, self._capsys, self._model = monkeypatch, capsys, str(model)

    def __call__(self, *arguments: str, model: str | None = None, status: int = 0) -> str:
        command = [*arguments, "--model", model or self._model]
        self._monkeypatch.setattr(sys, "argv", ["pipeline", *command])
        self._capsys.readouterr()
        if status:
            with pytest.raises(SystemExit) as ended:
                main()
            assert ended.value.code == status
        else:
            main()
        printed = self._capsys.readouterr()
        self.errors = printed.err
        return printed.out


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], deciding_model: Path, pipeline_home: Path
) -> Command:
    return Command(monkeypatch, capsys, deciding_model)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "question"])
        writer.writerows(enumerate(ODD_LINES))
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_two_questions_are_compared(command: Command) -> None:
    said = command("compare", "Why is the sky blue?", "Why is the sky blue?")
    assert "Cosine   1.0000" in said
    assert "Same     yes: the threshold is" in said
    assert "of the pairs are duplicates" in said
    assert said.splitlines()[-1].startswith("Model    ")
    rare = command("compare", "Why is the sky blue?", "Why is the sky blue?", "--prior", "0.01")
    assert "assuming that 1.0% of the pairs are duplicates" in rare


def test_a_base_model_gives_a_cosine_and_says_what_it_lacks(command: Command, tiny_model: Path) -> None:
    said = command("compare", "a", "b", model=str(tiny_model))
    assert "Same     unknown: the model has no decision.json" in said
    command("compare", "a", "b", "--precision", "0.9", model=str(tiny_model), status=1)
    assert "has no decision.json" in command.errors


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_a_file_of_pairs_gets_probability_and_decision(command: Command, tmp_path: Path, suffix: str) -> None:
    source, out = tmp_path / "pairs.csv", tmp_path / f"out{suffix}"
    source.write_text("note,question1,question2,cosine\n=1,a b,A b,7\n-,a,,8\n")
    command("compare", "--in", str(source), "--out", str(out))
    first, second = rows_of(out)
    assert list(first) == ["note", "question1", "question2", "cosine", "model_cosine", "probability", "same"]
    assert first["note"] == ("'=1" if suffix == ".csv" else "=1")
    assert float(first["model_cosine"]) == pytest.approx(1, abs=1e-5)
    assert (str(first["same"]).lower(), str(first["cosine"]), str(second["cosine"])) == ("true", "7", "8")


def test_a_new_question_is_looked_for(command: Command, questions: Path, tmp_path: Path) -> None:
    said = command("search", "how do i learn python?", "--in", str(questions), "--top", "3")
    best = said.splitlines()[0]
    assert best.startswith("1.0000")
    assert best.endswith("How do I learn Python?  (row 1)")
    assert "same" in best
    assert "Searched 7 questions of questions.csv" in said
    out = tmp_path / "found.parquet"
    command("search", "rice", "--in", str(questions), "--top", "100", "--out", str(out))
    assert len(rows_of(out)) == 7
    command("search", "  ", "--in", str(questions), status=2)
    assert "the question is blank" in command.errors


def test_a_corpus_of_odd_lines_is_mined(command: Command, questions: Path, tmp_path: Path) -> None:
    pairs, clusters, report = tmp_path / "pairs.csv", tmp_path / "clusters.jsonl", tmp_path / "report.md"
    said = command(
        *("mine", str(questions), "--threshold", "0.2", "--out", str(pairs)),
        *("--clusters", str(clusters), "--report", str(report)),
    )
    assert "Read     9 questions of questions.csv, 2 of them repeated, 2 blank texts left out" in said
    found = rows_of(pairs)
    assert found
    assert {row["row1"] for row in found} <= {"1", "3", "6", "7", "8", "9", "10"}
    assert [float(row["cosine"]) for row in found] == sorted((float(row["cosine"]) for row in found), reverse=True)
    assert all(float(row["cosine"]) >= 0.2 for row in found)
    assert not any(row["question2"].startswith("=") or row["question1"].startswith("=") for row in found)
    members = rows_of(clusters)
    by_row = {row["row"]: row for row in members}
    assert by_row[1]["cluster"] == by_row[4]["cluster"] == by_row[11]["cluster"]
    for row in members:
        assert row["weakest_link"] <= row["cosine"] <= 1.0001
        assert row["is_representative"] == (row["cosine"] == 1)
    assert len(members) == len(by_row)
    text = report.read_text(encoding="utf-8")
    assert "| distinct questions | 7 |" in text
    assert max(map(len, text.splitlines())) < 600


@pytest.mark.parametrize(
    ("lines", "read", "removable"),
    [
        (["Why?"], "1 question of q.txt\n", 0),
        (["Why?"] * 6, "6 questions of q.txt, 5 of them repeated\n", 5),
        (["a", "b", "", "a"], "3 questions of q.txt, 1 of them repeated, 1 blank text left out\n", 1),
    ],
)
def test_a_corpus_of_one_and_one_that_is_all_the_same_are_mined_too(
    command: Command, tmp_path: Path, lines: list[str], read: str, removable: int
) -> None:
    source, pairs, clusters = tmp_path / "q.txt", tmp_path / "pairs.csv", tmp_path / "clusters.csv"
    source.write_text("\n".join(lines))
    said = command("mine", str(source), "--threshold", "1", "--out", str(pairs), "--clusters", str(clusters))
    assert f"Read     {read}" in said
    assert f"{counted(removable, 'row')} (" in said
    assert rows_of(pairs) == []
    assert len(rows_of(clusters)) == (removable + 1 if removable else 0)


def test_labelled_pairs_measure_what_was_mined(command: Command, small_pairs: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    said = command("mine", str(small_pairs), "--labelled", str(small_pairs), "--report", str(report), "--prior", "0.9")
    assert "Labelled precision" in said
    assert "Prior    " in said
    text = report.read_text()
    assert "## Among labelled pairs" in text
    assert "probability 1/2, with the prior" in text
    other = tmp_path / "other.csv"
    other.write_text("question1,question2,is_duplicate\nzz,yy,1\nxx,ww,0\n")
    command("mine", str(small_pairs), "--labelled", str(other), status=1)
    assert "no labelled pair has both questions in" in command.errors


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("compare", "a"), 2, "--in FILE, and got 1"),
        (("compare", "--in", "x.csv"), 2, "--in needs --out FILE"),
        (("compare", "a", "b", "--prior", "2"), 1, "a share of duplicates is between 0 and 1"),
        (("compare", "a", "b", "--precision", "0"), 1, "a precision of 0 is impossible"),
        (("search", "a", "--in", "/not/there.csv"), 1, "/not/there.csv"),
        (("mine", "/not/there.csv"), 1, "/not/there.csv"),
        (("mine", "QUESTIONS", "--out", "x.xlsx"), 1, "x.xlsx names no format"),
        (("mine", "QUESTIONS", "--threshold", "3"), 2, "--threshold: Input should be less than or equal to 1"),
        (("mine", "QUESTIONS", "--threshold", "0.9", "--precision", "0.9"), 2, "give one of them"),
        (("mine", "QUESTIONS", "--engine", "shards"), 2, "'shards' is not one of 'auto', 'exact', 'index'"),
        (("mine", "QUESTIONS", "--column", "body"), 1, "has no single column 'body'"),
    ],
)
def test_what_can_t_be_done_is_said_in_one_line(
    command: Command, questions: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    command(*(str(questions) if word == "QUESTIONS" else word for word in arguments), status=status)
    line = command.errors.strip().splitlines()[-1]
    assert line.startswith("Error: ")
    assert message in line
    assert len(line) <= 310


def test_a_base_model_needs_a_threshold_to_mine(command: Command, questions: Path, tiny_model: Path) -> None:
    command("mine", str(questions), model=str(tiny_model), status=1)
    assert "has no decision.json" in command.errors
    assert "Pairs" in command("mine", str(questions), "--threshold", "0.9", model=str(tiny_model))
