"""Checks that a file of pairs is read the same in every format, whole, or refused in one line."""

import csv
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from pipeline.core.errors import PipelineError
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.schema import PairTable
from pipeline.question_pairs.sources import load_audited, load_pairs

HEADER = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]
ROWS = [
    (7, 101, 102, 'What is the "best" way, if any?', "What is best?\nI ask\nfor a friend.", 1),
    (5, 103, 104, "Is NA a word?", "NA", 0),
    (9, 110, 105, "null", "None", 0),
    (2, 106, 107, "", "Was heißt 世界\tauf Deutsch? 🌍", 1),
    (3, 108, 109, "nan", "  blanks stay  ", 0),
]


def frame() -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=HEADER)


def load(path: Path) -> PairTable:
    return load_pairs(PairSource(source="file", path=str(path)))


def load_text(tmp_path: Path, text: str, name: str = "pairs.csv") -> PairTable:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load(path)


def refusal(path: Path) -> str:
    with pytest.raises(PipelineError) as caught:
        load(path)
    message = str(caught.value)
    assert message.splitlines() == [message]
    assert str(path) in message
    return message


def write(folder: Path, name: str, kind: str) -> Path:
    path = folder / name
    if kind == "parquet":
        frame().to_parquet(path, index=False)
    else:
        separator = "\t" if kind == "tsv" else ","
        frame().to_csv(path, sep=separator, index=False, quoting=csv.QUOTE_ALL)
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("quora_duplicate_questions.tsv", "tsv"),
        ("pairs.csv", "csv"),
        ("tabs.csv", "tsv"),
        ("commas.tsv", "csv"),
        ("pairs.parquet", "parquet"),
        ("pairs.tsv", "parquet"),
        ("no_ending", "parquet"),
    ],
)
def test_the_same_pairs_are_read_from_any_format_under_any_name(tmp_path: Path, name: str, kind: str) -> None:
    table = load(write(tmp_path, name, kind))
    assert [tuple(row) for row in table.pairs.itertuples(index=False)] == [(*row[:5], bool(row[5])) for row in ROWS]
    expected = load(write(tmp_path, "reference.csv", "csv")).data_version
    assert table.data_version == table.origin.dataset_version == expected
    assert table.origin.source == name
    assert not table.origin.synthetic


def test_the_release_with_its_quotes_is_read(tmp_path: Path) -> None:
    table = load_text(
        tmp_path,
        '"id"\t"qid1"\t"qid2"\t"question1"\t"question2"\t"is_duplicate"\n'
        '"0"\t"1"\t"2"\t"He said ""why""?"\t"Two\nlines?"\t"1"\n',
        "quora_duplicate_questions.tsv",
    )
    assert table.pairs.iloc[0].tolist() == [0, 1, 2, 'He said "why"?', "Two\nlines?", True]


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_of_other_systems_are_read(tmp_path: Path, start: str, end: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes((start + end.join(["question1,question2,is_duplicate", "Why?,How?,0", ""])).encode())
    pairs = load(path).pairs
    assert pairs[["question1", "question2"]].to_numpy().tolist() == [["Why?", "How?"]]
    assert pairs["is_duplicate"].tolist() == [False]


def test_order_of_columns_and_further_columns_do_not_matter(tmp_path: Path) -> None:
    written = write(tmp_path, "pairs.csv", "csv")
    path = tmp_path / "turned.csv"
    frame()[HEADER[::-1]].assign(source="kirti").to_csv(path, index=False)
    assert load(path).data_version == load(written).data_version


@pytest.mark.parametrize("word", ["NA", "N/A", "null", "NULL", "None", "nan", "NaN", "n/a", "<NA>", "true", "1", "1e5"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_words_that_look_like_nothing_or_numbers_stay_texts(tmp_path: Path, word: str, kind: str) -> None:
    words = pd.DataFrame({"question1": [word, "x"], "question2": ["y", word], "is_duplicate": [0, 1]})
    path = tmp_path / "pairs"
    if kind == "csv":
        words.to_csv(path, index=False)
    else:
        words.to_parquet(path, index=False)
    pairs = load(path).pairs
    assert pairs["question1"].tolist() == [word, "x"]
    assert pairs["question2"].tolist() == ["y", word]
    assert pairs["question1_id"].iloc[0] == pairs["question2_id"].iloc[1]


def test_missing_texts_become_empty_and_no_row_is_dropped(tmp_path: Path) -> None:
    from_csv = load_text(tmp_path, 'question1,question2,is_duplicate\n,b,0\na,"",1\n')
    path = tmp_path / "pairs.parquet"
    columns = {"question1": [None, "a"], "question2": ["b", None], "is_duplicate": [False, True]}
    pd.DataFrame(columns).to_parquet(path)
    for table in (from_csv, load(path)):
        assert table.pairs["question1"].tolist() == ["", "a"]
        assert table.pairs["question2"].tolist() == ["b", ""]
    assert load(path).data_version == from_csv.data_version


def test_a_column_of_texts_without_any_is_read_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    pd.DataFrame({"question1": [None, None], "question2": ["b", "c"], "is_duplicate": [0, 1]}).to_parquet(path)
    assert load(path).pairs["question1"].tolist() == ["", ""]


def test_without_ids_texts_and_rows_are_numbered(tmp_path: Path) -> None:
    pairs = load_text(tmp_path, "question1,question2,is_duplicate\na,b,0\nb,c,1\nc,c,1\n").pairs
    assert pairs["pair_id"].tolist() == [0, 1, 2]
    assert pairs["question1_id"].tolist() == [0, 1, 2]
    assert pairs["question2_id"].tolist() == [1, 2, 2]


@pytest.mark.parametrize("bad", ["", "x", "1.5"])
def test_question_ids_with_gaps_are_not_used_at_all(tmp_path: Path, bad: str) -> None:
    pairs = load_text(tmp_path, f"qid1,qid2,question1,question2,is_duplicate\n50,60,a,b,0\n70,{bad},b,a,1\n").pairs
    assert pairs["question1_id"].tolist() == [0, 1]
    assert pairs["question2_id"].tolist() == [1, 0]


@pytest.mark.parametrize("labels", [("0", "1"), ("0.0", "1.0"), ("False", "True"), ("false", "TRUE"), (" 0", "1 ")])
def test_labels_may_be_written_in_several_ways(tmp_path: Path, labels: tuple[str, str]) -> None:
    table = load_text(tmp_path, f"question1,question2,is_duplicate\na,b,{labels[0]}\nc,d,{labels[1]}\n")
    assert table.pairs["is_duplicate"].tolist() == [False, True]


KNOWN_LABELS = [("no", "yes"), ("N", "Y"), ("f", "t"), ("not_duplicate", "duplicate"), ("Not duplicate ", " DUPLICATE")]


@pytest.mark.parametrize("labels", KNOWN_LABELS)
def test_common_words_are_understood_as_labels_and_the_account_says_so(tmp_path: Path, labels: tuple[str, str]) -> None:
    other, same = labels
    path = tmp_path / "pairs.csv"
    path.write_text(f"question1,question2,is_duplicate\na,b,{other}\nc,d,{same}\ne,f,1\n")
    read = load_audited(PairSource(source="file", path=str(path)))
    assert read.table.pairs["is_duplicate"].tolist() == [False, True, True]
    told = sorted(
        (f"{other.strip().lower()} as not duplicate in 1 pair", f"{same.strip().lower()} as duplicate in 1 pair")
    )
    assert read.audit.facts["labels"] == ", ".join(told)


def test_labels_of_ones_own_mean_what_the_settings_say(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("question1,question2,is_duplicate\na,b,Entailment\nc,d, neutral\ne,f,contradiction\ng,h,1\n")
    own = {"entailment": 1, "Neutral ": 0, "contradiction": 0}
    read = load_audited(PairSource(source="file", path=str(path), labels=own))
    assert read.table.pairs["is_duplicate"].tolist() == [True, False, False, True]
    assert read.audit.facts["labels"] == (
        "contradiction as not duplicate in 1 pair, entailment as duplicate in 1 pair, "
        "neutral as not duplicate in 1 pair"
    )
    plain = load_text(tmp_path, "question1,question2,is_duplicate\na,b,1\nc,d,0\ne,f,0\ng,h,1\n", "plain.csv")
    assert read.table.data_version == plain.data_version


def test_a_known_label_can_be_turned_round(tmp_path: Path) -> None:
    """As in a column that asks whether two questions differ."""
    path = tmp_path / "pairs.parquet"
    pd.DataFrame({"question1": ["a", "c"], "question2": ["b", "d"], "differ": [1, 0]}).to_parquet(path)
    turned = PairSource(
        source="file", path=str(path), columns={"is_duplicate": "differ"}, labels={"1": 0, "0": 1, "no": 1}
    )
    read = load_audited(turned)
    assert read.table.pairs["is_duplicate"].tolist() == [False, True]
    assert read.audit.facts["labels"] == "0 as duplicate in 1 pair, 1 as not duplicate in 1 pair"


def test_plain_labels_need_no_word_in_the_account(tmp_path: Path) -> None:
    assert (
        "labels" not in load_audited(PairSource(source="file", path=str(write(tmp_path, "a.csv", "csv")))).audit.facts
    )


def test_rows_with_labels_of_ones_own_are_found_inside_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text('question1,question2,is_duplicate\n"a,b,same\nc,d,same\ne,f,same",x,same\ng,h,other\n')
    with pytest.raises(PipelineError, match="a quote in line 2 opens a text that holds whole rows"):
        load_pairs(PairSource(source="file", path=str(path), labels={"same": 1, "other": 0}))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"same": 2}, "'same' is 2"),
        ({"Same": 1, "same ": 0}, "'same ' is given twice"),
        ({" ": 0}, "a blank label is a missing one"),
    ],
)
def test_meanings_of_labels_that_are_none_are_refused(labels: dict[str, int], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        PairSource(labels=labels)


@pytest.mark.parametrize("name", ["question1", "question2", "is_duplicate"])
def test_a_missing_column_is_named_beside_those_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / "pairs.csv"
    frame().drop(columns=name).to_csv(path, index=False)
    message = refusal(path)
    assert f"lacks the column {name};" in message
    assert "qid1" in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    message = refusal(tmp_path / "none.tsv")
    assert str(tmp_path / "none.tsv") in message
    assert "correct `path`" in message


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n\n", "\ufeff".encode()])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(content)
    assert "is empty" in refusal(path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_header_without_pairs_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "pairs"
    header_only = frame().iloc[:0]
    if kind == "csv":
        header_only.to_csv(path, index=False)
    else:
        header_only.to_parquet(path)
    assert "no question pairs" in refusal(path)


@pytest.mark.parametrize("label", ["2", "-1", "maybe", "0.5", "nan"])
def test_a_bad_label_is_quoted_with_its_row(tmp_path: Path, label: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(f"question1,question2,is_duplicate\na,b,0\nc,d,{label}\ne,f,1\ng,h,{label}\n", encoding="utf-8")
    message = refusal(path)
    assert "2 of 4 rows" in message
    assert "data row 2" in message
    assert repr(label) in message


def test_a_missing_label_in_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    pd.DataFrame({"question1": ["a", "b"], "question2": ["c", "d"], "is_duplicate": [1, None]}).to_parquet(path)
    assert "1 of 2 rows" in refusal(path)


@pytest.mark.parametrize(
    "content",
    [
        b"PAR1 is how Parquet starts, but this is none",
        b'question1,question2,is_duplicate\n"open quote,b,1\n',
        b"question1,question2,is_duplicate\n\xff\xfe,b,1\n",
        b"\xff\xfe\x00",
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(content)
    assert "can't read question pairs" in refusal(path)


def test_rows_with_another_number_of_fields_are_counted_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("question1,question2,is_duplicate\na,b,1\na,b,c,d,1\ne,f\n")
    message = refusal(path)
    assert "2 of 3 rows are broken: 2 with another number of fields than the header" in message
    assert "5 instead of 3 fields: 'a,b,c,d,1'" in message


def test_a_path_and_its_source_go_together() -> None:
    with pytest.raises(ValidationError, match="needs `path`"):
        PairSource(source="file")
    with pytest.raises(ValidationError, match="set source to 'file'"):
        PairSource(path="pairs.tsv")


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "pairs.csv", "csv")
    assert len(load(Path("~/pairs.csv"))) == len(ROWS)


def test_the_bundled_sample_is_the_default_and_says_so() -> None:
    table = load_pairs(PairSource())
    assert table.origin.synthetic
    assert table.origin.dataset_version == table.data_version
    assert table.data_version == "21c4189863b5543e"
    settings = PairSource(columns={"question1": "ticket"}, labels={"1": 0}, max_rows=1, max_bytes=1_024)
    assert load_pairs(settings).data_version == table.data_version


def test_the_seed_of_the_sample_that_earlier_releases_had_is_read_and_no_other() -> None:
    assert PairSource.model_validate({"sample_seed": 42}) == PairSource()
    with pytest.raises(ValidationError, match="sample_seed is 7, but this setting was removed"):
        PairSource.model_validate({"sample_seed": 7})


def test_all_real_pairs_are_read(real_pairs_path: Path) -> None:
    table = load(real_pairs_path)
    if real_pairs_path.name == "quora_pairs.parquet":
        assert len(table) == 53_195
    source = pd.read_parquet(real_pairs_path) if real_pairs_path.suffix == ".parquet" else None
    if source is not None:
        for name in ("question1", "question2"):
            assert table.pairs[name].tolist() == source[name].fillna("").tolist()
        assert table.labels.tolist() == source["is_duplicate"].astype(int).tolist()
    assert 0.3 < table.positive_rate < 0.5
