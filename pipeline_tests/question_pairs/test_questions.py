"""Checks that one definition of the same question holds everywhere: outer blanks and letter case aside."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.slices import QuestionGraph
from pipeline.quality.rules import questions_on_two_sides
from pipeline.question_pairs.audit import repetitions
from pipeline.question_pairs.options import SplitPlan
from pipeline.question_pairs.questions import (
    DistinctQuestions,
    meaning_groups,
    question_components,
    question_key,
    question_keys,
)
from pipeline.question_pairs.schema import DataOrigin, PairTable, Splits
from pipeline.question_pairs.splits import split_pairs
from pipeline.training.batches import TrainingPairs

BLANKS = [" ", "\t", "\n", "\u00a0", "\u2003", "\u3000", "\u2028", "\x85"]
"""Of ASCII and beyond."""

OUTER = st.text(st.sampled_from(BLANKS), max_size=2)
WORDS = st.sampled_from(["Why?", "How come?", "Ärger?", "ÉTÉ?", "Жук?", "世界？", "a  b", "a b", "", "🙂?"])


def dressed(words: str, before: str, after: str, case: str) -> str:
    """Another way to write the same question."""
    return before + {"as it is": words, "upper": words.upper(), "lower": words.lower()}[case] + after


TEXTS = st.builds(dressed, WORDS, OUTER, OUTER, st.sampled_from(["as it is", "upper", "lower"]))
PAIRS = st.lists(st.tuples(TEXTS, TEXTS, st.booleans()), min_size=1, max_size=12)
checked = settings(derandomize=True, deadline=None, max_examples=tries(150))


def table(rows: list[tuple[str, str, bool]], ids: list[tuple[int, int]] | None = None) -> PairTable:
    """Pairs of these texts and labels; every mention of a question has an id of its own unless given."""
    ids = ids or [(2 * row, 2 * row + 1) for row in range(len(rows))]
    frame = pd.DataFrame(
        {
            "pair_id": np.arange(len(rows)),
            "question1_id": np.array([one for one, _ in ids], dtype=np.int64),
            "question2_id": np.array([two for _, two in ids], dtype=np.int64),
            "question1": pd.Series([row[0] for row in rows], dtype="str"),
            "question2": pd.Series([row[1] for row in rows], dtype="str"),
            "is_duplicate": pd.Series([row[2] for row in rows], dtype=bool),
        }
    )
    return PairTable(frame, DataOrigin(source="made for a test", synthetic=True))


def key(text: str) -> str:
    """The definition, as plain as it can be said."""
    return text.strip().lower()


def groups(edges: Sequence[tuple[object, object]]) -> dict[object, int]:
    """The component of each node, by a plain search."""
    group: dict[object, int] = {node: number for number, node in enumerate({node for edge in edges for node in edge})}
    for one, two in edges:
        old, new = group[one], group[two]
        group = {node: new if number == old else number for node, number in group.items()}
    return group


def alike(numbers: list[int]) -> list[list[bool]]:
    """Which of them are equal."""
    return [[one == two for two in numbers] for one in numbers]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Why?", "why?"),
        ("WHY?", " why?\t"),
        ("Why?", "\u00a0Why?\u3000"),
        ("\u2003Ärger über Öl?\u2028", "äRGER ÜBER öl?"),
        ("ÇA VA?", "ça va?"),
        ("ЖУК", "жук"),
        ("", " \u00a0\n"),
    ],
)
def test_case_and_outer_blanks_make_no_other_question(one: str, two: str) -> None:
    assert question_key(one) == question_key(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Why?", "Why"),
        ("Why?", "Why ?"),
        ("a b", "a  b"),
        ("a b", "a\u00a0b"),
        ("résumé", "resume"),
        ("é", "e\u0301"),
        ("", "?"),
        # No blank, though nothing is seen of it.
        ("Why?", "\u200bWhy?"),
    ],
)
def test_all_else_does(one: str, two: str) -> None:
    assert question_key(one) != question_key(two)


@checked
@given(st.lists(TEXTS, max_size=8))
def test_the_definition_is_strip_and_lower_for_one_text_and_for_many(texts: list[str]) -> None:
    expected = [key(text) for text in texts]
    assert [question_key(text) for text in texts] == expected
    for kind in (pa.string(), pa.large_string()):
        assert question_keys(pa.array(texts, kind)).to_pylist() == expected


@checked
@given(st.text(), OUTER, OUTER)
def test_outer_blanks_never_count_and_a_key_is_its_own_key(text: str, before: str, after: str) -> None:
    assert question_key(before + text + after) == question_key(text)
    assert question_key(question_key(text)) == question_key(text)


@checked
@given(PAIRS)
def test_an_index_numbers_texts_as_they_are_written_and_questions_by_their_key(
    rows: list[tuple[str, str, bool]],
) -> None:
    index = DistinctQuestions.of(table(rows))
    assert [(index.texts[i], index.texts[j]) for i, j in zip(index.first, index.second, strict=True)] == [
        row[:2] for row in rows
    ]
    in_order = [row[0] for row in rows] + [row[1] for row in rows]
    assert index.texts == list(dict.fromkeys(in_order))
    numbers = {found: number for number, found in enumerate(dict.fromkeys(map(key, in_order)))}
    assert index.questions == len(numbers)
    assert index.question.tolist() == [numbers[key(text)] for text in index.texts]
    assert index.first_question.tolist() == [numbers[key(one)] for one, _, _ in rows]
    assert index.second_question.tolist() == [numbers[key(two)] for _, two, _ in rows]
    for array in (index.first, index.second, index.question, index.first_question, index.second_question):
        assert array.dtype == np.int64


def test_an_index_of_nothing_is_empty() -> None:
    index = DistinctQuestions.of(table([]))
    assert (index.texts, index.questions) == ([], 0)
    assert index.meanings(np.zeros(0, dtype=np.int64)).tolist() == []


@checked
@given(PAIRS)
def test_texts_mean_the_same_by_their_key_or_by_chains_of_duplicates(rows: list[tuple[str, str, bool]]) -> None:
    data = table(rows)
    index = DistinctQuestions.of(data)
    expected = groups(
        [(key(one), key(two)) for one, two, label in rows if label] + [(key(t), key(t)) for t in index.texts]
    )
    found = index.meanings(data.labels).tolist()
    assert alike(found) == alike([expected[key(text)] for text in index.texts])
    # In training the same groups count.
    assert TrainingPairs.of(data).meanings.tolist() == found


def test_meaning_groups_join_duplicates_alone() -> None:
    first, second, labels = np.array([0, 1, 3]), np.array([1, 2, 4]), np.array([1, 1, 0])
    assert alike(meaning_groups(5, first, second, labels).tolist()) == alike([0, 0, 0, 3, 4])


@checked
@given(PAIRS, st.data())
def test_components_join_pairs_that_share_an_id_or_a_question(
    rows: list[tuple[str, str, bool]], data: st.DataObject
) -> None:
    number = st.integers(0, 20)
    ids = data.draw(st.lists(st.tuples(number, number), min_size=len(rows), max_size=len(rows)))
    edges: list[tuple[object, object]] = []
    for (one, two, _), (id1, id2) in zip(rows, ids, strict=True):
        edges += [(id1, id2), (id1, key(one)), (id2, key(two))]
    expected = groups(edges)
    found = question_components(table(rows, ids).pairs).tolist()
    assert alike(found) == alike([expected[id1] for id1, _ in ids])
    assert set(found) == set(range(len(set(found))))


@checked
@given(PAIRS)
def test_what_is_said_twice_is_what_has_equal_keys(rows: list[tuple[str, str, bool]]) -> None:
    data = table(rows)
    index = DistinctQuestions.of(data)
    found = repetitions(index.first_question, index.second_question, data.labels == 1)
    keys = [(key(one), key(two)) for one, two, _ in rows]
    for at, (one, two) in enumerate(keys):
        same = [other for other in range(len(rows)) if set(keys[other]) == {one, two}]
        assert found.repeated[at] == ((one, two) in keys[:at])
        assert found.mirrored[at] == (keys[same[0]] != (one, two))
        assert found.contradictory[at] == (len({rows[other][2] for other in same}) == 2)


def sides_of(splits: Splits) -> Iterator[PairTable]:
    yield from (splits.train, splits.dev, splits.eval)


def keys_of(data: PairTable) -> set[str]:
    return {key(str(text)) for name in ("question1", "question2") for text in data.pairs[name]}


def leaked(splits: Splits) -> int:
    """How often a question stands on one side more."""
    sides = [keys_of(side) for side in sides_of(splits)]
    return sum(map(len, sides)) - len(set().union(*sides))


@checked
@given(
    rows=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=20, max_size=60),
    dresses=st.lists(
        st.tuples(OUTER, OUTER, st.sampled_from(["as it is", "upper", "lower"])), min_size=120, max_size=120
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_two_texts_of_one_question_are_never_on_two_sides(
    rows: list[tuple[int, int]], dresses: list[tuple[str, str, str]], seed: int
) -> None:
    texts = iter(dresses)
    pairs = [tuple(dressed(f"Wer fährt in Öl {node}?", *next(texts)) for node in row) for row in rows]
    # Strangers make sure that any target can be met.
    strangers = [(f"stranger {number}", f"visitor {number}") for number in range(60)]
    data = table([(one, two, at % 3 == 0) for at, (one, two) in enumerate([*pairs, *strangers])])
    splits = split_pairs(data, SplitPlan(seed=seed))
    assert leaked(splits) == 0
    finding = questions_on_two_sides(splits, "question_disjoint")
    assert (finding.passed, finding.value) == (True, 0)
    # Split by row, the same questions stand on several sides, and the check finds every one of them.
    by_row = split_pairs(data, SplitPlan(strategy="reference", seed=seed))
    finding = questions_on_two_sides(by_row, "question_disjoint")
    assert (finding.passed, finding.value) == (leaked(by_row) == 0, leaked(by_row))


@checked
@given(PAIRS, PAIRS, PAIRS)
def test_a_question_has_one_number_in_all_splits(
    evaluated: list[tuple[str, str, bool]], train: list[tuple[str, str, bool]], dev: list[tuple[str, str, bool]]
) -> None:
    graph = QuestionGraph.of(table(evaluated), table(train), table(dev))
    rows = [*evaluated, *train, *dev]
    found = [*graph.first.tolist(), *graph.second.tolist()]
    assert alike(found) == alike(
        [hash(key(text)) for side in zip(*rows, strict=True) for text in side if isinstance(text, str)]
    )
    counts = dict.fromkeys([key(text) for row in rows for text in row[:2]], 0)
    for one, two, _ in rows:
        counts[key(one)] += 1
        counts[key(two)] += 1
    assert sorted(graph.frequency.tolist()) == sorted(counts.values())
