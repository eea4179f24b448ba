"""Checks that what is guessed of a file (ids, quotes, columns, separators) is kept only while its rows bear it out."""

from pathlib import Path

import pandas as pd
import pytest
from audited_files import audited, refusal

from pipeline.question_pairs.questions import question_components

HEADER = "id,qid1,qid2,question1,question2,is_duplicate\n"


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


# --- ids -------------------------------------------------------------------------------------------------------


def folder_whose_ids_restart(folder: Path, files: int = 3, rows: int = 4) -> Path:
    folder.mkdir()
    for file in range(files):
        lines = [f"{row},{2 * row},{2 * row + 1},How to fix {file}-{row}?,Why {file}-{row}?,0\n" for row in range(rows)]
        written(folder / f"part{file}.csv", HEADER + "".join(lines))
    return folder


def test_ids_that_restart_in_each_file_are_left_out_and_the_account_says_why(tmp_path: Path) -> None:
    read = audited(folder_whose_ids_restart(tmp_path / "parts"))
    assert read.audit.facts["question ids"] == (
        "by text, as id 0 stands for several questions, such as 'How to fix 0-0?' (data row 1) and 'How to fix 1-0?' "
        "(data row 5)"
    )
    assert read.audit.facts["pair ids"] == "by row, as id 0 stands for several pairs, such as data rows 1 and 5"
    assert read.table.pairs["pair_id"].tolist() == list(range(12))
    # As many groups as pairs: no two share a question.
    assert len(set(question_components(read.table.pairs).tolist())) == 12
    without_ids = tmp_path / "without.csv"
    read.table.pairs[["question1", "question2"]].assign(is_duplicate=0).to_csv(without_ids, index=False)
    assert audited(without_ids).table.data_version == read.table.data_version


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("0,0,0,a,b,1\n1,1,1,c,d,0\n", "id 0 stands for several questions"),
        (
            "0,1,2,a,b,1\n1,3,1,c,d,0\n",
            "id 1 stands for several questions, such as 'a' (data row 1) and 'd' (data row 2)",
        ),
        ("0,-1,-1,a,b,1\n1,-1,-1,c,d,0\n", "id -1 stands for several questions"),
        ("0,1,2,a,b,1\n1,,3,c,d,0\n", "not every row of pairs.csv has a whole number"),
        ("0,1,2,a,b,1\n1,x,3,c,d,0\n", "not every row of pairs.csv has a whole number"),
    ],
)
def test_ids_that_are_none_are_left_out_and_the_account_says_why(tmp_path: Path, rows: str, said: str) -> None:
    read = audited(written(tmp_path / "pairs.csv", HEADER + rows))
    assert str(read.audit.facts["question ids"]).startswith(f"by text, as {said}")
    assert read.table.pairs["question1_id"].tolist() == [0, 2]
    assert read.table.pairs["question2_id"].tolist() == [1, 3]


def test_a_pair_id_that_stands_for_two_pairs_is_left_out_alone(tmp_path: Path) -> None:
    read = audited(written(tmp_path / "pairs.csv", HEADER + "7,1,2,a,b,1\n7,3,4,c,d,0\n"))
    assert read.table.pairs["pair_id"].tolist() == [0, 1]
    assert read.table.pairs["question1_id"].tolist() == [1, 3]
    assert read.audit.facts["question ids"] == "of the source"


def test_sound_ids_are_kept(tmp_path: Path) -> None:
    # A question in two spellings, a question with two ids, and a row that stands there twice contradict nothing.
    rows = "5,1,2,How?,Why?,1\n6,1,3, how? ,b,0\n7,9,4,Why?,c,0\n5,1,2,How?,Why?,1\n"
    read = audited(written(tmp_path / "pairs.csv", HEADER + rows))
    assert read.audit.facts["question ids"] == "of the source"
    assert "pair ids" not in read.audit.facts
    assert read.table.pairs["pair_id"].tolist() == [5, 6, 7, 5]
    assert read.table.pairs["question1_id"].tolist() == [1, 1, 9, 1]
    assert read.table.data_version == "98c78ff4962e22f9"


def test_files_of_which_one_has_no_ids_are_read_by_text(tmp_path: Path) -> None:
    folder = folder_whose_ids_restart(tmp_path / "parts", files=1)
    written(folder / "z.csv", "question1,question2,is_duplicate\na,b,1\n")
    assert audited(folder).audit.facts["question ids"] == "by text, as some of the files have none"


# --- quotes ----------------------------------------------------------------------------------------------------

TSV = "question1\tquestion2\tis_duplicate\n"
CSV = "question1,question2,is_duplicate\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        # Two rows become one.
        (TSV + 'a\tb\t0\n"Why" is it\tc\t1\nd\t"e\t0\nf\tg"\t1\n', None),
        (TSV + 'x\ty\t1\n"open\tb\t1\nc\td\t0\nclosed"\te\t1\n', 4),
        (TSV + '"open\tb\t1\nclosed"\te\t1\n', 3),
        (TSV + 'x\t"open\t1\nc\td\t0\ne\tf\t1\ng\tclosed"\t1\n', 3),
        (CSV + '"open,b,1\nc,d,0\nclosed",e,1\n', 3),
        (CSV + '"open,b,1\r\nc,d,TRUE\r\nclosed",e,1\r\n', 3),
        (CSV + '"open,b,1\rc,d,0\rclosed",e,1\r', 3),
        ("\ufeff" + CSV + '\n\n"open,b,1\nc,d,0.0\nclosed",e,1', 5),
        ("sep=;\nquestion1;question2;is_duplicate\n\"open;b;1\nc;d;0\nclosed\";e;1\n", 4),
        ("is_duplicate\tquestion1\tquestion2\n1\t\"open\tb\n0\tc\td\n1\tclosed\"\te\n", 3),
    ],
)  # fmt: skip
def test_a_quoted_text_that_swallows_rows_is_refused_with_its_line(tmp_path: Path, text: str, line: int | None) -> None:
    path = written(tmp_path / "pairs", text)
    if line is None:
        # Quotes that break the rules are letters in a TSV: nothing is swallowed.
        assert audited(path).audit.read == 4
        return
    message = refusal(path)
    assert "opens a text that holds whole rows" in message
    assert f"such as line {line}:" in message
    assert "set `quoting` to none" in message


def test_a_setting_says_how_quotes_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "pairs.tsv", TSV + '"open\tb\t1\nc\td\t0\nclosed"\te\t1\n')
    one = audited(path, quoting="csv").table.pairs
    assert one[["question1", "question2"]].to_numpy().tolist() == [["open\tb\t1\nc\td\t0\nclosed", "e"]]
    letters = audited(path, quoting="none")
    assert letters.table.pairs["question1"].tolist() == ['"open', "c", 'closed"']
    assert letters.audit.facts["form"] == "question pairs in TSV without quoting"
    csv = written(tmp_path / "pairs.csv", CSV + '"a",b "c,1\n')
    assert audited(csv, quoting="none").table.pairs.iloc[0].tolist()[3:5] == ['"a"', 'b "c']
    stray = written(tmp_path / "stray.tsv", TSV + '"a\tb\t1\n')
    assert "a quote in line 2" in refusal(stray, quoting="csv")


@pytest.mark.parametrize(
    "text",
    [
        'a,"first line\nsecond, with a comma, and another\nthird",1\n',
        '"list: a, b, c\nd",e,1\n',
        '"one\ntwo",e,1\n',
        'a,"one\r\n\r\ntwo",0\n',
    ],
)
def test_a_text_of_several_lines_stays_one(tmp_path: Path, text: str) -> None:
    read = audited(written(tmp_path / "pairs.csv", CSV + text))
    assert read.audit.read == 1
    assert any("\n" in value for value in read.table.pairs.iloc[0][["question1", "question2"]])


# --- columns ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [["is_duplicate", "label"], ["label", "is_duplicate"]])
def test_two_labels_that_contradict_each_other_are_named(tmp_path: Path, order: list[str]) -> None:
    rows = pd.DataFrame({"question1": list("abc"), "question2": list("def"), "is_duplicate": [1, 0, 1]})
    path = tmp_path / "pairs.csv"
    rows.assign(label=[1, 1, 1])[["question1", "question2", *order]].to_csv(path, index=False)
    message = refusal(path)
    assert "the columns is_duplicate and label contradict each other in 1 rows (data row 2: '0' and '1')" in message
    assert "{is_duplicate: is_duplicate}" in message
    for name, labels in (("is_duplicate", [1, 0, 1]), ("label", [1, 1, 1])):
        assert audited(path, columns={"is_duplicate": name}).table.labels.tolist() == labels


@pytest.mark.parametrize("label", [["1", "0", "1"], ["true", "False", "1.0"], ["", "0", ""], ["sport", "art", "sport"]])
def test_a_second_label_that_agrees_or_is_something_else_is_no_matter(tmp_path: Path, label: list[str]) -> None:
    rows = pd.DataFrame({"question1": list("abc"), "question2": list("def"), "is_duplicate": [1, 0, 1], "label": label})
    rows.to_csv(tmp_path / "pairs.csv", index=False)
    assert audited(tmp_path / "pairs.csv").table.labels.tolist() == [1, 0, 1]


def test_two_pairs_of_texts_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    rows = pd.DataFrame({"question1": ["a", "b"], "question2": ["c", "d"], "is_duplicate": [1, 0]})
    path = tmp_path / "pairs.parquet"
    rows.assign(sentence1=["a", "x"], sentence2=["c", "d"]).to_parquet(path)
    assert "the columns question1 and sentence1 contradict each other in 1 rows (data row 2: 'b' and 'x')" in refusal(
        path
    )
    said = {"question1": "sentence1", "question2": "sentence2"}
    assert audited(path, columns=said).table.pairs["question1"].tolist() == ["a", "x"]
    rows.assign(sentence1=["a", "b"], sentence2=["c", "d"]).to_parquet(path)
    assert audited(path).table.pairs["question1"].tolist() == ["a", "b"]


def test_positives_with_a_label_that_says_otherwise_are_named(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    rows = pd.DataFrame({"anchor": ["a", "b"], "positive": ["c", "d"]})
    rows.assign(label=[1, 0]).to_parquet(path)
    assert "positives are duplicates, but label says otherwise in 1 rows (data row 2): set `columns`" in refusal(path)
    said = {"question1": "anchor", "question2": "positive", "is_duplicate": "label"}
    assert audited(path, columns=said).table.labels.tolist() == [1, 0]
    rows.assign(label=[1, 1]).to_parquet(path)
    assert audited(path).table.labels.tolist() == [1, 1]


# --- separators and headers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nquestion1;question2;is_duplicate\na;b;1\n",
        "\ufeffsep=;\r\nquestion1;question2;is_duplicate\r\na;b;1\r\n",
        '"sep=\t"\nquestion1\tquestion2\tis_duplicate\na\tb\t1\n',
        "sep=|\nquestion1|question2|is_duplicate\na|b|1\n",
        "question1|question2|is_duplicate\na|b|1\n",
        "question1;question2;is_duplicate;notes, other\na;b;1;x, y, z\n",
        "question1,question2,is_duplicate,first;second\na,b,1,x;y;z\n",
        "question1\tquestion2\tis_duplicate\tnotes, other; more\na\tb\t1\tx,y;z\n",
    ],
)
def test_the_separator_is_the_one_that_is_declared_or_cuts_the_header_most_often(tmp_path: Path, text: str) -> None:
    pairs = audited(written(tmp_path / "pairs", text)).table.pairs
    assert pairs[["question1", "question2", "is_duplicate"]].to_numpy().tolist() == [["a", "b", True]]


@pytest.mark.parametrize(
    "text",
    [
        "1,2,How do I swim?,How can I learn to swim?,1\n",
        "How do I swim?\tHow can I learn to swim?\t1\n",
        "a;b;0\nc;d;1\n",
        "What is the best way to learn it,Which way is the best to learn it,yes\n",
    ],
)
def test_a_file_without_a_header_is_told_from_one_with_other_names(tmp_path: Path, text: str) -> None:
    message = refusal(written(tmp_path / "pairs", text))
    assert "has no header: its first line" in message
    assert "names the columns, such as question1, question2, is_duplicate" in message


def test_names_of_columns_are_no_row(tmp_path: Path) -> None:
    message = refusal(written(tmp_path / "pairs.csv", "first,second,same\na,b,1\n"))
    assert "lacks the column question1, question2, is_duplicate; it has: first, second, same" in message
