"""Questions are read from any file that the dataset reader takes, and what isn't clear is asked for in one line."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import InputError, PipelineError
from pipeline.duplicates.corpus import Corpus, read_compared, read_corpus

QUESTIONS = ["How do I learn Python?", "Why is the sky blue?", 'He said "hi", why?']


def written(folder: Path, name: str) -> Path:
    frame, path = pd.DataFrame({"question": QUESTIONS}), folder / name
    match path.suffix:
        case ".csv":
            frame.to_csv(path, index=False)
        case ".tsv":
            frame.to_csv(path, index=False, sep="\t")
        case ".parquet":
            frame.to_parquet(path)
        case ".jsonl":
            frame.to_json(path, orient="records", lines=True)
        case ".gz":
            path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
        case _:
            path.write_text("\r\n".join(QUESTIONS) + "\r\n")
    return path


@pytest.mark.parametrize("name", ["q.csv", "q.tsv", "q.parquet", "q.jsonl", "q.csv.gz", "q.txt"])
def test_every_format_gives_the_same_questions(tmp_path: Path, name: str) -> None:
    corpus = read_corpus(str(written(tmp_path, name)))
    assert (corpus.name, corpus.texts, corpus.rows.tolist()) == (name, QUESTIONS, [0, 1, 2])
    assert corpus.version == Corpus.of("other", QUESTIONS).version


def test_rows_that_ask_the_same_are_one_question_and_blank_ones_none() -> None:
    corpus = Corpus.of("c", ["Why?", " ", "WHY? ", "How?", "", "Why?"])
    assert corpus.texts == ["Why?", "How?"]
    assert corpus.rows.tolist() == [0, -1, 0, 1, -1, 0]
    assert (corpus.blank, corpus.repeated, corpus.copies.tolist()) == (2, 2, [3, 1])


def test_both_questions_of_each_pair_are_taken_and_rows_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("question1,question2,is_duplicate\na,b,1\nb,c,0\n")
    corpus = read_corpus(str(path))
    assert (corpus.texts, corpus.rows.tolist(), corpus.per_row) == (["a", "b", "c"], [0, 1, 1, 2], 2)
    assert read_corpus(str(path), column="question2").texts == ["b", "c"]


def test_a_column_is_found_by_its_name_or_since_it_is_the_only_one(tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text("id,Title,body\n1,a,x\n2,b,y\n")
    assert read_corpus(str(path)).texts == ["a", "b"]
    assert read_corpus(str(path), column="body").texts == ["x", "y"]
    path.write_text("subject\na\nb\n")
    assert read_corpus(str(path)).texts == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        (b"id,subject\n1,a\n", None, r"which column of .* holds the questions\? It has: id, subject; name one"),
        (b"id,subject\n1,a\n", "title", r"has no single column 'title'; it has: id, subject"),
        (b"text,question\na,b\n", None, r"which column of"),
        (b"a,a\n1,2\n", "a", r"has no single column 'a'; it has it twice"),
        (b"question\n\n  \n", None, r"has no questions: all of its \d rows are blank"),
        (b"question,x\na,b,c\n", "question", r"1 rows have another number of fields than the header"),
        ("question\nGrüße\n".encode("latin-1"), None, r"line 2 is no UTF-8: save the file as UTF-8"),
        ("question\nWhy?\n".encode("utf-16"), None, r"it is text in UTF-16: save it as UTF-8"),
        (b"", None, r"is empty"),
    ],
)
def test_what_can_t_be_read_is_said_in_one_line(
    tmp_path: Path, content: bytes, column: str | None, message: str
) -> None:
    path = tmp_path / "q.csv"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=message) as error:
        read_corpus(str(path), column)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) <= 300


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Grüße\nWhy?".encode("latin-1"), "line 1 is no UTF-8"),
        ("a\n".encode("utf-16"), "looks like UTF-16"),
        (b"a\0b\n", "NUL bytes"),
        (b"\n\n", "has no questions"),
    ],
)
def test_a_file_of_lines_in_another_encoding_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "q.txt"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=message):
        read_corpus(str(path))


def test_a_column_that_holds_no_texts_is_refused_and_numbers_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text((json.dumps({"question": ["a", "b"]}) + "\n") * 2)
    with pytest.raises(InputError) as caught:
        read_corpus(str(path))
    assert caught.value.values["column"] == "question"
    path.write_text(json.dumps({"question": 5}) + "\n" + json.dumps({"question": None}) + "\n")
    assert read_corpus(str(path)).texts == ["5"]


def test_a_folder_of_files_is_one_corpus_and_kinds_are_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.csv").write_text("question\nTWO\nthree\n")
    corpus = read_corpus(str(tmp_path))
    assert (corpus.texts, corpus.rows.tolist()) == (["one", "two", "three"], [0, 1, 1, 2])
    (tmp_path / "c.csv").write_text("question1,question2\na,b\n")
    with pytest.raises(InputError) as caught:
        read_corpus(str(tmp_path))
    assert caught.value.values == {"source": str(tmp_path)}


def test_a_file_of_pairs_keeps_all_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("id,sentence1,sentence2,note\n7,a,b,=1+1\n8,,d,\n")
    compared = read_compared(str(path))
    assert compared.table.column_names == ["id", "sentence1", "sentence2", "note"]
    assert compared.pairs == [("a", "b"), ("", "d")]
    assert read_compared(str(path), "sentence2", "note").pairs == [("b", "=1+1"), ("d", "")]
    with pytest.raises(InputError) as caught:
        read_compared(str(path), "question1")
    assert caught.value.values["column"] == "question1"


def test_the_version_of_a_corpus_is_its_questions_in_their_order() -> None:
    versions = {Corpus.of("c", texts).version for texts in (["ab", "c"], ["a", "bc"], ["c", "ab"], ["ab", "c", "d"])}
    assert len(versions) == 4
    assert np.array_equal(Corpus.of("c", []).rows, [])
