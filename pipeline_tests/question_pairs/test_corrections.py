"""Checks that reviewed pairs override the labels of a source, that each review is accounted for, and is reversible."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from audited_files import audited, refusal
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.core.tables import terminal_lines
from pipeline.duplicates.tables import write_table
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.sources import load_audited, source_fingerprint

HEADER = "question1,question2,is_duplicate\n"
PAIRS = "Why?,How?,1\nhow? , WHY?,1\nWhen?,Where?,0\nWho?,Whom?,1\nWhat?,Which?,0\n"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_text(HEADER + PAIRS)
    return path


@pytest.fixture
def reviewed(tmp_path: Path) -> Path:
    return tmp_path / "reviewed.csv"


def labels(path: Path, **settings: Any) -> list[bool]:
    return list(audited(path, **settings).table.pairs["is_duplicate"])


def test_a_review_counts_for_all_rows_with_its_questions_whichever_way_round(pairs: Path, reviewed: Path) -> None:
    reviewed.write_text(HEADER + "HOW?,why?,0\nwhere?,When?,1\n who?,Whom?,1\nWho?,Else?,0\nWhat?,Which?,\n")
    read = audited(pairs, corrections=str(reviewed))
    assert list(read.table.pairs["is_duplicate"]) == [False, False, True, True, False]
    assert read.audit.corrected == {"to duplicate": 1, "to not duplicate": 2}
    assert read.audit.corrections == {"that confirm the label": 1, "that match no pair": 1, "without a label": 1}
    table = list(terminal_lines(read.audit.table))
    assert "| corrected: to duplicate | 1 | data row 3: 'When?' / 'Where?' |" in table
    assert "| corrections: that match no pair | 1 | data row 4: 'Who?' / 'Else?' |" in table
    assert read.audit.facts["corrections"] == "reviewed.csv"


QUESTION = st.sampled_from(["a", "B", "b", " a", "c"])
ROWS = st.lists(st.tuples(QUESTION, QUESTION, st.booleans()), min_size=1, max_size=6)


def asked(*questions: str) -> frozenset[str]:
    return frozenset(question.strip().lower() for question in questions)


@settings(derandomize=True, deadline=None, max_examples=tries(60))
@given(rows=ROWS, reviews=st.dictionaries(st.frozensets(QUESTION, min_size=2, max_size=2), st.booleans(), max_size=4))
def test_what_is_corrected_is_what_a_plain_search_finds(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, bool]], reviews: dict[frozenset[str], bool]
) -> None:
    folder = tmp_path_factory.mktemp("pairs")
    said = {asked(*pair): label for pair, label in reviews.items()}
    reviewed = [(*sorted(pair), said[asked(*pair)]) for pair in reviews]
    for name, table in (("pairs", rows), ("reviewed", reviewed)):
        pd.DataFrame(table, columns=["question1", "question2", "is_duplicate"]).to_parquet(folder / name)
    read = audited(folder / "pairs", corrections=str(folder / "reviewed")) if reviews else audited(folder / "pairs")
    assert list(read.table.pairs["is_duplicate"]) == [said.get(asked(*row[:2]), row[2]) for row in rows]
    if reviews:
        matched = {pair for pair in said if any(asked(*row[:2]) == pair for row in rows)}
        changing = {pair for pair in matched if any(asked(*row[:2]) == pair and row[2] != said[pair] for row in rows)}
        assert read.audit.corrections["that match no pair"] == len(said) - len(matched)
        assert read.audit.corrections["that confirm the label"] == len(matched) - len(changing)


def test_without_the_setting_the_former_version_comes_back(pairs: Path, reviewed: Path) -> None:
    before = audited(pairs)
    reviewed.write_text(HEADER + "Why?,How?,0\n")
    after = audited(pairs, corrections=str(reviewed))
    assert after.table.data_version != before.table.data_version
    again = audited(pairs)
    assert again.table.data_version == before.table.data_version
    assert again.table.to_arrow().equals(before.table.to_arrow(), check_metadata=True)
    assert again.audit == before.audit
    corrected_by_hand = pairs.with_name("by_hand.csv")
    corrected_by_hand.write_text((HEADER + PAIRS).replace("How?,1", "How?,0").replace("WHY?,1", "WHY?,0"))
    assert audited(corrected_by_hand).table.data_version == after.table.data_version


def test_reviews_that_confirm_change_nothing(pairs: Path, reviewed: Path) -> None:
    reviewed.write_text(HEADER + "Why?,How?,1\nWhy?,How?,1\n")
    read = audited(pairs, corrections=str(reviewed))
    assert read.table.data_version == audited(pairs).table.data_version
    assert read.audit.corrections["that confirm the label"] == 1


def test_a_reviewed_contradiction_is_settled(pairs: Path, reviewed: Path) -> None:
    pairs.write_text(HEADER + PAIRS + "Why?,How?,0\n")
    assert audited(pairs).audit.found["contradictory"] == 3
    reviewed.write_text(HEADER + "Why?,How?,1\n")
    read = audited(pairs, corrections=str(reviewed), contradictory_pairs="fail")
    assert read.audit.found["contradictory"] == 0
    assert read.audit.corrected == {"to duplicate": 1, "to not duplicate": 0}


def test_a_correction_beyond_the_fraction_in_use_matches_its_pair(pairs: Path, reviewed: Path) -> None:
    reviewed.write_text(HEADER + "What?,Which?,1\n")
    read = audited(pairs, corrections=str(reviewed), fraction=0.5)
    assert read.audit.corrections["that match no pair"] == 0


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl", "tsv"])
def test_corrections_may_be_in_any_format(pairs: Path, tmp_path: Path, kind: str) -> None:
    reviews = pd.DataFrame({"question1": ["How?"], "question2": ["Why?"], "is_duplicate": ["no"]})
    path = tmp_path / f"reviewed.{kind}"
    match kind:
        case "parquet":
            reviews.to_parquet(path)
        case "jsonl":
            reviews.to_json(path, orient="records", lines=True)
        case _:
            reviews.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
    assert labels(pairs, corrections=str(path)) == [False, False, False, True, False]


def test_corrections_have_the_columns_of_the_pairs_or_those_that_are_known(tmp_path: Path) -> None:
    pairs = tmp_path / "tickets.csv"
    pairs.write_text("ticket,known,same\nWhy?,How?,linked\nWhen?,Where?,other\n")
    own = {
        "columns": {"question1": "ticket", "question2": "known", "is_duplicate": "same"},
        "labels": {"linked": 1, "other": 0},
    }
    for header, row in (("ticket,known,same", "Why?,How?,other"), ("question1,question2,label", "Why?,How?,0")):
        reviewed = tmp_path / "reviewed.csv"
        reviewed.write_text(f"{header}\n{row}\n")
        assert labels(pairs, corrections=str(reviewed), **own) == [False, False]


def test_a_folder_of_corrections_has_a_file_of_each_reviewer(pairs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "reviews"
    folder.mkdir()
    (folder / "a.csv").write_text(HEADER + "Why?,How?,0\n")
    (folder / "b.csv").write_text(HEADER + "When?,Where?,1\n")
    assert labels(pairs, corrections=str(folder)) == [False, False, True, True, False]
    (folder / "b.csv").write_text(HEADER + "When?,Where?,1\nHow?,Why?,1\n")
    assert "a.csv, data row 1 and b.csv, data row 2 correct one pair to both labels" in refusal(
        pairs, corrections=str(folder)
    )


def test_nothing_to_review_is_fine(pairs: Path, reviewed: Path) -> None:
    reviewed.write_text(HEADER)
    read = audited(pairs, corrections=str(reviewed))
    assert read.table.data_version == audited(pairs).table.data_version
    assert set(read.audit.corrections.values()) == {0}


def test_contradictory_corrections_are_refused_in_one_line(pairs: Path, reviewed: Path) -> None:
    reviewed.write_text(HEADER + "Why?,How?,0\nWho?,Whom?,0\nhow?,why?,1\n")
    message = refusal(pairs, corrections=str(reviewed))
    assert "reviewed.csv: data row 1 and data row 3 correct one pair to both labels ('how?' / 'why?')" in message


@pytest.mark.parametrize(("row", "said"), [("a,b,maybe", "unknown label (data row 1: 'maybe')"), ("a,b", "2 instead")])
def test_a_broken_correction_is_refused_whatever_share_of_pairs_may_be(
    pairs: Path, reviewed: Path, row: str, said: str
) -> None:
    reviewed.write_text(HEADER + row + "\n")
    message = refusal(pairs, corrections=str(reviewed), max_rejected_share=0.9)
    assert said in message
    assert "reviewed.csv" in message


def test_corrections_that_are_not_there_are_named_with_their_setting(pairs: Path, reviewed: Path) -> None:
    assert f"at {reviewed}: correct `corrections`" in refusal(pairs, corrections=str(reviewed))
    with pytest.raises(ValidationError, match="was given with a password"):
        PairSource(corrections="ftp://me:secret@host/reviewed.csv")


def test_questions_that_look_like_formulas_come_back_from_a_spreadsheet(tmp_path: Path) -> None:
    """Where the pairs are written as CSV, an apostrophe stands before what a spreadsheet would compute."""
    questions = ["=1+1?", "- why?", "'=A1?", "plain"]
    table = pd.DataFrame({"question1": questions, "question2": questions[::-1], "is_duplicate": [True] * 4})
    pairs, written = tmp_path / "pairs.parquet", tmp_path / "reviewed.csv"
    table.to_parquet(pairs)
    reviews = load_audited(PairSource(source="file", path=str(pairs))).table.to_arrow()
    write_table(written, reviews.select(["question1", "question2", "is_duplicate"]))
    assert "'=1+1?" in written.read_text()
    written.write_text(written.read_text().replace("true", "FALSE"))
    read = audited(pairs, corrections=str(written))
    assert read.audit.corrected["to not duplicate"] == 4
    assert read.audit.corrections["that match no pair"] == 0


def test_the_bundled_sample_can_be_corrected_too(reviewed: Path) -> None:
    sample = load_audited(PairSource()).table.pairs
    row = sample[sample["is_duplicate"]].iloc[[7]]
    row[["question2", "question1"]].assign(is_duplicate="no").to_csv(reviewed, index=False)
    read = load_audited(PairSource(corrections=str(reviewed)))
    changed = read.table.pairs["is_duplicate"].to_numpy() != sample["is_duplicate"].to_numpy()
    assert read.table.pairs[changed]["pair_id"].tolist() == row["pair_id"].tolist()


def test_a_changed_file_of_corrections_is_a_change_of_the_source(pairs: Path, reviewed: Path) -> None:
    reviewed.write_text(HEADER + "Why?,How?,0\n")
    for source in (PairSource(source="file", path=str(pairs)), PairSource()):
        alone = source_fingerprint(source, 40)
        with_corrections = source.model_copy(update={"corrections": str(reviewed)})
        first = source_fingerprint(with_corrections, 40)
        assert first is not None
        assert first != alone
        reviewed.write_text(reviewed.read_text() + f"{json.dumps(first)},b,1\n")
        assert source_fingerprint(with_corrections, 40) != first
        assert source_fingerprint(source, 40) == alone
