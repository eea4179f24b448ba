"""Checks that every row is accounted for, and that what is said twice is found and treated as the settings say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.core.errors import InputError
from pipeline.core.tables import terminal_lines
from pipeline.question_pairs.audit import repetitions
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.sources import AuditedPairs, load_audited, load_pairs

HEADER = "question1,question2,is_duplicate\n"


def audited(tmp_path: Path, body: str, **settings: Any) -> AuditedPairs:
    path = tmp_path / "pairs.csv"
    path.write_text(HEADER + body, encoding="utf-8")
    return load_audited(PairSource(source="file", path=str(path), **settings))


@settings(derandomize=True, deadline=None, max_examples=tries(200))
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=12))
def test_repetitions_are_what_a_plain_search_finds(rows: list[tuple[int, int, bool]]) -> None:
    first, second, labels = (np.array([row[at] for row in rows], dtype=kind) for at, kind in enumerate("qq?"))
    found = repetitions(first, second, labels)
    for at, (one, two, label) in enumerate(rows):
        same = [other for other in rows if {other[0], other[1]} == {one, two}]
        assert found.contradictory[at] == any(other[2] != label for other in same)
        assert found.repeated[at] == any(other[:2] == (one, two) for other in rows[:at])
        assert found.mirrored[at] == (same[0][:2] != (one, two))


TWICE = "a,b,1\na,b,1\nb,a,1\nb,a,1\nc,d,0\nd,c,1\ne,e,0\ne,e,0\n ,f,0\n"


@pytest.mark.parametrize(
    ("chosen", "kept", "dropped"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7, 8], {}),
        ({"repeated_pairs": "drop"}, [0, 2, 4, 5, 6, 8], {"repeated": 3}),
        ({"mirrored_pairs": "drop"}, [0, 1, 4, 6, 7, 8], {"mirrored": 3}),
        ({"contradictory_pairs": "drop"}, [0, 1, 2, 3, 6, 7, 8], {"contradictory": 2}),
        (
            {"repeated_pairs": "drop", "mirrored_pairs": "drop", "contradictory_pairs": "drop"},
            [0, 6, 8],
            {"contradictory": 2, "repeated": 3, "mirrored": 1},
        ),
    ],
)
def test_what_is_said_twice_is_counted_and_treated_as_set(
    tmp_path: Path, chosen: dict[str, str], kept: list[int], dropped: dict[str, int]
) -> None:
    pairs = audited(tmp_path, TWICE, **chosen)
    assert pairs.table.pairs["pair_id"].tolist() == kept
    assert pairs.audit.dropped == dropped
    assert pairs.audit.found == {"contradictory": 2, "repeated": 3, "mirrored": 3, "with a blank question": 1}
    assert pairs.audit.read == 9
    assert pairs.audit.kept == len(pairs.table) == len(kept)
    assert pairs.audit.examples["contradictory"][0] == "data row 5: 'c' / 'd'"


def test_the_same_question_is_told_by_its_words_and_not_by_its_case_and_outer_blanks(tmp_path: Path) -> None:
    body = "Why?,How?,1\nwhy?,\u00a0HOW?\u3000,1\nHOW?,WHY?,1\nWhen?,Where?,1\n when?,where?,0\nWhy ?,How?,1\n"
    audit = audited(tmp_path, body).audit
    assert audit.found == {"contradictory": 2, "repeated": 2, "mirrored": 1, "with a blank question": 0}
    pairs = audited(tmp_path, body, repeated_pairs="drop", mirrored_pairs="drop", contradictory_pairs="drop")
    # What is kept is the text as it is written.
    assert pairs.table.pairs["question1"].tolist() == ["Why?", "Why ?"]
    assert pairs.audit.dropped == {"contradictory": 2, "repeated": 1, "mirrored": 1}


@pytest.mark.parametrize(("fraction", "kept"), [(0.01, 1), (0.3, 3), (0.5, 5), (0.56, 6), (0.99, 9)])
def test_a_fraction_is_the_first_pairs_and_the_others_are_counted(tmp_path: Path, fraction: float, kept: int) -> None:
    pairs = audited(tmp_path, TWICE, fraction=fraction)
    assert pairs.table.pairs["pair_id"].tolist() == list(range(kept))
    assert pairs.audit.dropped == {"beyond the fraction to use": 9 - kept}
    assert (pairs.audit.read, pairs.audit.kept) == (9, kept)
    whole = audited(tmp_path, TWICE).table
    assert pairs.table.data_version == whole.take(np.arange(kept)).data_version
    assert pairs.table.origin.dataset_version == pairs.table.data_version
    assert f"| dropped: beyond the fraction to use | {9 - kept} | |" in terminal_lines(pairs.audit.table)


def test_a_pair_beyond_the_fraction_is_dropped_for_that_reason_alone(tmp_path: Path) -> None:
    pairs = audited(tmp_path, TWICE, fraction=0.4, repeated_pairs="drop")
    assert pairs.table.pairs["pair_id"].tolist() == [0, 2]
    assert pairs.audit.dropped == {"beyond the fraction to use": 5, "repeated": 2}


def test_rejected_rows_are_no_part_of_the_fraction(tmp_path: Path) -> None:
    pairs = audited(tmp_path, BROKEN, max_rejected_share=0.5, fraction=0.6)
    assert pairs.table.pairs["question1"].tolist() == ["a", "m", "o"]
    assert (sum(pairs.audit.rejected.values()), pairs.audit.dropped) == (5, {"beyond the fraction to use": 2})


def test_the_whole_is_the_same_data_as_without_a_fraction(tmp_path: Path) -> None:
    whole = audited(tmp_path, TWICE, fraction=1.0)
    assert whole.audit.dropped == {}
    assert whole.table.data_version == audited(tmp_path, TWICE).table.data_version


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.01, float("nan")])
def test_a_fraction_out_of_range_is_no_setting(fraction: float) -> None:
    with pytest.raises(ValidationError, match="fraction"):
        PairSource(fraction=fraction)


def test_a_fraction_of_the_bundled_sample_is_its_head() -> None:
    whole, part = load_pairs(PairSource()), load_pairs(PairSource(fraction=0.25))
    assert len(part) == np.ceil(len(whole) / 4)
    assert part.data_version == whole.take(np.arange(len(part))).data_version


def test_contradictory_pairs_can_fail(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        audited(tmp_path, TWICE, contradictory_pairs="fail")
    assert caught.value.values["rows"] == 2
    assert audited(tmp_path, "a,b,1\n", contradictory_pairs="fail").audit.kept == 1


BROKEN = "a,b,1\nc,d,\ne,f,2\ng,h,maybe\ni\x00,j,1\nk,l\nm,n,0\no,p,1\nq,r,0\ns,t,1\n"


def test_broken_rows_are_left_out_up_to_the_share_and_counted_by_reason(tmp_path: Path) -> None:
    pairs = audited(tmp_path, BROKEN, max_rejected_share=0.5)
    assert pairs.table.pairs["question1"].tolist() == ["a", "m", "o", "q", "s"]
    assert pairs.audit.rejected == {
        "another number of fields than the header": 1,
        "missing label": 1,
        "unknown label": 2,
        "NUL byte in a question": 1,
    }
    assert pairs.audit.examples["unknown label"] == ("data row 3: '2'", "data row 4: 'maybe'")
    assert (pairs.audit.read, pairs.audit.kept) == (10, 5)
    table = list(terminal_lines(pairs.audit.table))
    assert "| rejected: missing label | 1 | data row 2: 'c' |" in table
    assert "| kept | 5 | |" in table


@pytest.mark.parametrize("share", [0.0, 0.1, 0.49])
def test_more_broken_rows_than_the_share_are_refused_by_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        audited(Path(), BROKEN, max_rejected_share=share)
    rejected = {
        "another number of fields than the header": 1,
        "missing label": 1,
        "unknown label": 2,
        "NUL byte in a question": 1,
    }
    assert caught.value.values == {"path": "pairs.csv", "rejected": rejected, "read": 10}
    assert "2 with unknown label (data row 3: '2')" in str(caught.value)
    assert f"now {share:g}" in str(caught.value)


def test_rows_keep_their_numbers_when_others_are_rejected(tmp_path: Path) -> None:
    pairs = audited(tmp_path, "a,b,1\nc,d,x\ne,f,0\n", max_rejected_share=0.5).table.pairs
    assert pairs["pair_id"].tolist() == [0, 2]
    assert pairs["question1_id"].tolist() == [0, 2]


def test_ids_of_rejected_rows_need_not_be_numbers(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("id,question1,question2,is_duplicate\n7,a,b,1\nx,c,d,x\n9,e,f,0\n")
    source = PairSource(source="file", path=str(path), max_rejected_share=0.5)
    assert load_audited(source).table.pairs["pair_id"].tolist() == [7, 9]


def test_settings_that_drop_everything_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        audited(tmp_path, "a,b,1\nb,a,0\n", contradictory_pairs="drop")
    assert caught.value.values["dropped"] == {"contradictory": 2}


def test_the_bundled_sample_is_accounted_for() -> None:
    pairs = load_audited(PairSource())
    assert pairs.audit.read == pairs.audit.kept == len(pairs.table)
    assert pairs.audit.found["contradictory"] == 0


def test_a_pair_beyond_the_fraction_speaks_against_none_within_it(tmp_path: Path) -> None:
    pairs = audited(tmp_path, TWICE, fraction=0.2, contradictory_pairs="fail")
    assert pairs.audit.found["contradictory"] == 0
