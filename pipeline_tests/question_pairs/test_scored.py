"""Checks that a table of scored pairs survives storage, and that none is made of values that can't be right."""

import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st
from small_data import sample_pairs

from pipeline.core.errors import PipelineError
from pipeline.question_pairs.schema import DataOrigin, PairTable
from pipeline.question_pairs.scored import SCORED_SCHEMA, ScoredPairs, distinct_pairs, scored_gold

ORIGIN = DataOrigin(source="größe.tsv", synthetic=False, dataset_version="0" * 16)
Row = tuple[str, str, float, bool, bool, int, str]

GOLD: Row = ("Why is the sky blue?", "What makes the sky blue?", 0.9, True, True, 0, "gold")
SILVER: Row = ("Why is the sea salty?", "Why is the sky blue?", 0.1, False, False, 0, "bm25")


def scored(*rows: Row) -> ScoredPairs:
    frame = pd.DataFrame(list(rows), columns=SCORED_SCHEMA.names)
    types = {"score": "float64", "is_gold": "bool", "is_duplicate": "bool", "fold": "int64"}
    return ScoredPairs(frame.astype(types), ORIGIN)


def with_cell(column: str, value: Any, row: Row = SILVER) -> ScoredPairs:
    at = SCORED_SCHEMA.names.index(column)
    return scored(GOLD, (*row[:at], value, *row[at + 1 :]))


def trip(table: ScoredPairs) -> ScoredPairs:
    buffer = io.BytesIO()
    pq.write_table(table.to_arrow(), buffer, row_group_size=3)
    return ScoredPairs.from_arrow(pq.read_table(buffer))


@settings(derandomize=True, deadline=None, max_examples=tries(60))
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
            st.floats(0, 1),
            st.booleans(),
            st.booleans(),
            st.integers(0, 2**63 - 1),
        ),
        max_size=8,
    )
)
def test_a_trip_through_parquet_keeps_version_rows_and_origin(drawn: list[tuple[str, float, bool, bool, int]]) -> None:
    rows: list[Row] = [
        (f"{text} {at}", f"{at} {text}", score, gold, gold and label, fold, "gold" if gold else "neighbours")
        for at, (text, score, gold, label, fold) in enumerate(drawn)
    ]
    table = scored(*rows)
    back = trip(table)
    assert [tuple(row) for row in back.pairs.itertuples(index=False)] == rows
    assert (back.data_version, back.origin) == (table.data_version, ORIGIN)


@pytest.mark.parametrize(
    ("column", "value"),
    [("question1", "Why?"), ("question2", "why?"), ("score", 0.2), ("fold", 1), ("found_by", "neighbours")],
)
def test_a_change_of_any_cell_changes_the_version(column: str, value: Any) -> None:
    assert with_cell(column, value).data_version != scored(GOLD, SILVER).data_version
    assert scored(SILVER, GOLD).data_version != scored(GOLD, SILVER).data_version


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("score", float("nan"), "row 2 of scored pairs has the score nan, which is no probability"),
        ("score", float("inf"), "the score inf"),
        ("score", 1.0000001, "the score 1.0000001"),
        ("score", -1e-9, "the score -1e-09"),
        ("found_by", "magic", "found by 'magic'"),
        ("found_by", "gold", "found by 'gold' and is silver"),
        ("is_gold", True, "found by 'bm25' and is gold"),
        ("is_duplicate", True, "is silver and has a label"),
        ("fold", -1, "has the fold -1"),
    ],
)
def test_values_that_cant_be_right_are_refused_in_one_line(column: str, value: Any, said: str) -> None:
    with pytest.raises(PipelineError, match=said) as caught:
        with_cell(column, value)
    assert len(str(caught.value).splitlines()) == 1
    assert "score the pairs again" in str(caught.value)


@pytest.mark.parametrize(
    "again",
    [
        ("Why is the sky blue?", "What makes the sky blue?"),
        ("What makes the sky blue?", "Why is the sky blue?"),
        (" what makes the SKY blue?\t", "WHY is the sky blue?"),
    ],
)
def test_a_pair_stands_there_once_whichever_way_round(again: tuple[str, str]) -> None:
    with pytest.raises(PipelineError, match=r"rows 1 and 3 of scored pairs are one pair .*keep one of them"):
        scored(GOLD, SILVER, (*again, *SILVER[2:]))
    with pytest.raises(PipelineError, match="rows 1 and 2 of scored pairs are one pair"):
        scored(GOLD).followed_by(scored((*again, *SILVER[2:])))


def test_what_is_stored_is_looked_at_again() -> None:
    table = scored(GOLD, SILVER).to_arrow()
    at = SCORED_SCHEMA.get_field_index("score")
    damaged = table.set_column(at, SCORED_SCHEMA.field("score"), pa.array([0.5, 2.0]))
    with pytest.raises(PipelineError, match=r"row 2 of scored pairs has the score 2.0"):
        ScoredPairs.from_arrow(damaged)


def test_another_table_is_refused_in_one_line() -> None:
    pairs = sample_pairs().take(np.arange(3))
    for table in (pairs.to_arrow(), pa.table({"a": [1]}), scored(GOLD).to_arrow().replace_schema_metadata({})):
        with pytest.raises(PipelineError, match=r"not those of scored pairs: score the pairs again") as caught:
            ScoredPairs.from_arrow(table)
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(PipelineError, match="not those of question pairs"):
        PairTable.from_arrow(scored(GOLD).to_arrow())


def test_columns_of_another_name_or_type_are_refused() -> None:
    frame = scored(GOLD, SILVER).pairs
    with pytest.raises(PipelineError, match=r"has the columns .*it needs question1"):
        ScoredPairs(frame.drop(columns="fold"), ORIGIN)
    with pytest.raises(PipelineError, match="the column is_gold of scored pairs holds int64, not bool"):
        ScoredPairs(frame.astype({"is_gold": "int64"}), ORIGIN)
    with pytest.raises(PipelineError, match=r"the column score of scored pairs holds .*, not double"):
        ScoredPairs(frame.astype({"score": "str"}), ORIGIN)


def test_rows_are_taken_by_position_or_by_a_mask() -> None:
    table = scored(GOLD, SILVER)
    assert table.take(np.array([1, 0])).pairs["found_by"].tolist() == ["bm25", "gold"]
    gold = table.take(table.is_gold)
    assert (gold.scores.tolist(), gold.pairs.index.tolist()) == ([0.9], [0])
    assert gold.followed_by(table.take(~table.is_gold)).data_version == table.data_version


def test_labelled_pairs_count_once_and_not_at_all_with_both_labels() -> None:
    rows = [("a", "b", 1), ("c", "d", 0), (" B", "A", 1), ("e", "f", 1), ("F", "e", 0), ("g", "g", 1)]
    frame = pd.DataFrame(
        {
            "pair_id": np.arange(len(rows)),
            "question1_id": np.arange(len(rows)) * 2,
            "question2_id": np.arange(len(rows)) * 2 + 1,
            "question1": pd.Series([row[0] for row in rows], dtype="str"),
            "question2": pd.Series([row[1] for row in rows], dtype="str"),
            "is_duplicate": [bool(row[2]) for row in rows],
        }
    )
    table = PairTable(frame, ORIGIN)
    assert distinct_pairs(table).tolist() == [0, 1, 5]
    gold = scored_gold(table, np.linspace(0, 1, 6), np.arange(6))
    assert gold.pairs["question1"].tolist() == ["a", "c", "g"]
    assert gold.pairs["is_duplicate"].tolist() == [True, False, True]
    assert (gold.scores.tolist(), gold.pairs["fold"].tolist()) == ([0.0, 0.2, 1.0], [0, 1, 5])
    assert gold.is_gold.all()
    assert trip(gold).data_version == gold.data_version


def test_the_bundled_sample_can_be_scored() -> None:
    table = sample_pairs()
    gold = scored_gold(table, np.full(len(table), 0.5), np.zeros(len(table), dtype=np.int64))
    assert 0 < len(gold) <= len(table)
    assert len(distinct_pairs(PairTable(table.pairs.iloc[:0], table.origin))) == 0
