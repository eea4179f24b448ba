"""Checks that a data version says what the rows are, and nothing about how they lie in memory or on disk."""

import io
import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import DamagedError
from pipeline.core.files import VERSION_LENGTH
from pipeline.question_pairs.schema import PAIR_SCHEMA, DataOrigin, PairTable, ids_by_text, table_version

ORIGIN = DataOrigin(source="größe.tsv", synthetic=False, dataset_version="0" * 16)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
IDS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
Row = tuple[int, int, int, str, str, bool]
ROWS = st.lists(st.tuples(IDS, IDS, IDS, TEXT, TEXT, st.booleans()), min_size=1, max_size=8)


def table_of(rows: list[Row]) -> PairTable:
    columns = {name: [row[at] for row in rows] for at, name in enumerate(PAIR_SCHEMA.names)}
    frame = pd.DataFrame(columns)
    types = {"pair_id": "int64", "question1_id": "int64", "question2_id": "int64", "is_duplicate": "bool"}
    return PairTable(frame.astype(types), ORIGIN)


def changed(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + " "
    return value - 1 if value > 0 else value + 1


EXAMPLE: list[Row] = [
    (0, 1, 2, "Wie geht's?", "", True),
    (1, 3, 4, "", "世界 🌍", False),
    (2, 5, 6, 'a\nb\t"c"', "e\u0301", True),
]


@settings(derandomize=True, deadline=None, max_examples=tries(60))
@given(ROWS)
def test_a_trip_through_parquet_keeps_version_rows_and_origin(rows: list[Row]) -> None:
    table = table_of(rows)
    buffer = io.BytesIO()
    pq.write_table(table.to_arrow(), buffer, row_group_size=3)
    back = PairTable.from_arrow(pq.read_table(buffer))
    assert back.data_version == table.data_version
    assert [tuple(row) for row in back.pairs.itertuples(index=False)] == rows
    assert back.origin == ORIGIN


@settings(derandomize=True, deadline=None, max_examples=tries(60))
@given(ROWS, ROWS, ROWS, st.integers(min_value=1, max_value=5))
def test_slices_and_chunks_have_the_version_of_their_rows(
    before: list[Row], rows: list[Row], after: list[Row], chunk: int
) -> None:
    expected = table_of(rows).data_version
    whole = table_of(before + rows + after).to_arrow()
    sliced = whole.slice(len(before), len(rows))
    chunked = pa.Table.from_batches(sliced.combine_chunks().to_batches(max_chunksize=chunk))
    joined = pa.concat_tables([whole.slice(len(before) + at, 1) for at in range(len(rows))])
    assert table_version(sliced) == expected
    assert table_version(chunked) == expected
    assert table_version(joined) == expected


@settings(derandomize=True, deadline=None, max_examples=tries(100))
@given(ROWS, st.data())
def test_a_change_of_any_cell_changes_the_version(rows: list[Row], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(0, len(PAIR_SCHEMA) - 1))
    cells: list[Any] = list(rows[at])
    cells[column] = changed(cells[column])
    id0, id1, id2, text1, text2, label = cells
    other = [*rows[:at], (id0, id1, id2, text1, text2, label), *rows[at + 1 :]]
    assert table_of(other).data_version != table_of(rows).data_version


@settings(derandomize=True, deadline=None, max_examples=tries(100))
@given(ROWS, st.data())
def test_the_version_is_equal_only_for_equal_rows_in_equal_order(rows: list[Row], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))
    assert (table_of(shuffled).data_version == table_of(rows).data_version) == (shuffled == rows)


@settings(derandomize=True, deadline=None, max_examples=tries(60))
@given(st.lists(TEXT, min_size=2, max_size=4), st.lists(TEXT, min_size=2, max_size=4))
def test_where_one_text_ends_and_the_next_begins_counts(one: list[str], two: list[str]) -> None:
    versions = [table_version(pa.table({"text": pa.array(texts, pa.large_string())})) for texts in (one, two)]
    assert (versions[0] == versions[1]) == (one == two)


@pytest.mark.parametrize(
    ("one", "two"),
    [(["ab", "c"], ["a", "bc"]), (["", "a"], ["a", ""]), ([""], ["", ""]), (["é"], ["e\u0301"]), (["A"], ["a"])],
)
def test_texts_that_look_alike_in_a_row_have_their_own_versions(one: list[str], two: list[str]) -> None:
    versions = {table_version(pa.table({"text": pa.array(texts, pa.large_string())})) for texts in (one, two)}
    assert len(versions) == 2


def test_a_text_that_moves_to_the_next_column_changes_the_version() -> None:
    one, two = table_of([(0, 1, 2, "ab", "c", True)]), table_of([(0, 1, 2, "a", "bc", True)])
    assert one.data_version != two.data_version


def test_the_width_of_types_does_not_count_but_names_do() -> None:
    wide = pa.table({"n": pa.array([1, 0], pa.int64()), "t": pa.array(["a", "é"], pa.large_string())})
    narrow = pa.table({"n": pa.array([1, 0], pa.int8()), "t": pa.array(["a", "é"], pa.string())})
    assert table_version(narrow) == table_version(wide)
    assert table_version(wide.rename_columns(["m", "t"])) != table_version(wide)


FLOATS = st.lists(st.floats(allow_nan=False, width=32), min_size=1, max_size=6)


@settings(derandomize=True, deadline=None, max_examples=tries(100))
@given(FLOATS, FLOATS)
def test_floats_have_the_version_of_their_values_whatever_their_width(one: list[float], two: list[float]) -> None:
    wide, narrow = (pa.table({"score": pa.array(one, kind)}) for kind in (pa.float64(), pa.float32()))
    assert table_version(narrow) == table_version(wide)
    other = pa.table({"score": pa.array(two, pa.float64())})
    assert (table_version(other) == table_version(wide)) == (struct(two) == struct(one))
    joined = pa.concat_tables([wide.slice(at, 1) for at in range(len(one))])
    assert table_version(joined) == table_version(wide)


def struct(values: list[float]) -> list[str]:
    """Zero and minus zero are equal, but not the same value."""
    return [value.hex() for value in values]


def test_small_differences_between_floats_count() -> None:
    values = (0.25, 0.75, 0.0, -0.25, float(np.nextafter(0.25, 1)))
    versions = {table_version(pa.table({"score": pa.array([value])})) for value in values}
    assert len(versions) == len(values)


@pytest.mark.parametrize("values", [[], [0], [1, 0, -7], [2**40]])
def test_a_column_of_floats_is_not_one_of_integers(values: list[int]) -> None:
    whole, real = (pa.table({"n": pa.array(values, kind)}) for kind in (pa.int64(), pa.float64()))
    assert table_version(whole) != table_version(real)


@pytest.mark.parametrize("kind", [pa.int64(), pa.int8(), pa.float32(), pa.bool_(), pa.string(), pa.large_string()])
def test_nulls_have_no_place_in_a_version(kind: pa.DataType) -> None:
    table = pa.table({"there": pa.array([1, 2, 3]), "gaps": pa.array([None, None, None], kind)})
    with pytest.raises(ValueError, match="the column gaps has 3 nulls"):
        table_version(table)
    assert table_version(table.slice(0, 0)) != table_version(table.select(["there"]))


@pytest.mark.parametrize("values", [pa.array([b"bytes"]), pa.array([[1, 2]]), pa.array([0], pa.timestamp("s"))])
def test_a_column_of_another_type_has_no_version(values: pa.Array) -> None:
    with pytest.raises(TypeError, match=r"the column odd holds .*, of which no version is defined"):
        table_version(pa.table({"odd": values}))


def test_where_the_rows_came_from_does_not_count() -> None:
    table = table_of(EXAMPLE)
    other = PairTable(table.pairs, DataOrigin(source="elsewhere", synthetic=True))
    assert other.data_version == table.data_version


def test_a_version_is_16_hex_digits_and_stays_what_it_was() -> None:
    # Every stored file is named by its version: another value here orphans what people have stored.
    version = table_of(EXAMPLE).data_version
    assert re.fullmatch(rf"[0-9a-f]{{{VERSION_LENGTH}}}", version)
    assert version == "a570c428aedc47bf"


def test_a_table_without_rows_has_a_version_and_makes_the_trip() -> None:
    empty = table_of(EXAMPLE).take(np.array([], dtype=np.int64))
    back = PairTable.from_arrow(empty.to_arrow())
    assert len(back) == 0
    assert back.data_version == empty.data_version != table_of(EXAMPLE).data_version
    assert np.isnan(empty.positive_rate)


def test_take_gives_the_rows_in_the_order_asked_for() -> None:
    table = table_of(EXAMPLE)
    taken = table.take(np.array([2, 0]), "1" * 16)
    assert taken.pairs["pair_id"].tolist() == [2, 0]
    assert taken.pairs.index.tolist() == [0, 1]
    assert taken.origin == ORIGIN.model_copy(update={"dataset_version": "1" * 16})
    assert table.take(np.array([1])).origin == ORIGIN
    assert taken.data_version == table_of([EXAMPLE[2], EXAMPLE[0]]).data_version


def test_labels_and_their_mean() -> None:
    table = table_of(EXAMPLE)
    assert table.labels.tolist() == [1, 0, 1]
    assert table.labels.dtype == np.int64
    assert table.positive_rate == pytest.approx(2 / 3)


def test_the_arrow_table_has_the_schema() -> None:
    assert table_of(EXAMPLE).to_arrow().schema.equals(PAIR_SCHEMA)


@pytest.mark.parametrize("rename", [True, False])
def test_a_table_of_something_else_is_refused(rename: bool) -> None:
    table = table_of(EXAMPLE).to_arrow()
    foreign = table.rename_columns([f"c{at}" for at in range(6)]) if rename else table.replace_schema_metadata(None)
    with pytest.raises(DamagedError) as caught:
        PairTable.from_arrow(foreign)
    assert caught.value.make_again == "pairs"
    assert caught.value.values == {"columns": foreign.schema.names}


@settings(derandomize=True, deadline=None, max_examples=tries(60))
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "A", "", "é"]) | TEXT, st.sampled_from(["a", "b", ""]) | TEXT)))
def test_texts_are_numbered_in_order_of_first_appearance(texts: list[tuple[str, str]]) -> None:
    one = pa.chunked_array([pa.array([pair[0] for pair in texts], pa.large_string())])
    two = pa.chunked_array([pa.array([pair[1] for pair in texts], pa.large_string())])
    numbers: dict[str, int] = {}
    expected = [(numbers.setdefault(a, len(numbers)), numbers.setdefault(b, len(numbers))) for a, b in texts]
    first, second = ids_by_text(one, two)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected
    assert first.dtype == second.dtype == np.int64
