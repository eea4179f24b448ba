"""Checks that pairs which follow from labels never contradict one, and are all that follow within the bounds."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st
from small_silver import keys_of, pair_keys, real_splits, sample_splits, table_of

from pipeline.core.errors import PipelineError
from pipeline.question_pairs import closure
from pipeline.question_pairs.closure import closed_pairs
from pipeline.question_pairs.questions import question_key
from pipeline.question_pairs.schema import PairTable


def clusters_of(table: PairTable) -> dict[str, frozenset[str]]:
    """The cluster of each question, by a plain search."""
    cluster = {key: frozenset([key]) for key in keys_of(table) if key}
    for one, two, label in table.pairs[["question1", "question2", "is_duplicate"]].itertuples(index=False):
        first, second = question_key(one), question_key(two)
        if label and first and second:
            joined = cluster[first] | cluster[second]
            cluster |= dict.fromkeys(joined, joined)
    return cluster


def expected(table: PairTable, largest: int) -> tuple[set[frozenset[str]], dict[frozenset[str], set[frozenset[str]]]]:
    """Duplicates that follow, and by pair of clusters the others that do."""
    cluster, labelled = clusters_of(table), pair_keys(table)
    other = [pair for pair, labels in labelled.items() if False in labels and "" not in pair]
    contradictory = {cluster[min(pair)] for pair in other if cluster[min(pair)] == cluster[max(pair)]}
    usable = {one for one in cluster.values() if len(one) <= largest and one not in contradictory}
    duplicates = {frozenset(pair) for one in usable for pair in combinations(sorted(one), 2)} - labelled.keys()
    others: dict[frozenset[str], set[frozenset[str]]] = {}
    for pair in other:
        left, right = cluster[min(pair)], cluster[max(pair)]
        if left != right and {left, right} <= usable:
            found = {frozenset([one, two]) for one in left for two in right} - labelled.keys()
            others[frozenset([min(left), min(right)])] = found
    return duplicates, others


def found_pairs(table: PairTable) -> dict[bool, list[frozenset[str]]]:
    found: dict[bool, list[frozenset[str]]] = {True: [], False: []}
    for one, two, label in table.pairs[["question1", "question2", "is_duplicate"]].itertuples(index=False):
        found[bool(label)].append(frozenset([question_key(one), question_key(two)]))
    return found


def assert_follows(closed: PairTable, table: PairTable, largest: int, most: int) -> None:
    duplicates, others = expected(table, largest)
    found = found_pairs(closed)
    assert not pair_keys(table).keys() & {*found[True], *found[False]}, "a labelled pair"
    assert len(closed) == len({*found[True], *found[False]}), "a pair twice"
    assert set(found[True]) == duplicates
    cluster = clusters_of(table)
    of_clusters = Counter(frozenset(min(cluster[one]) for one in pair) for pair in found[False])
    assert of_clusters == Counter(
        {pair: min(most, len(free)) for pair, free in others.items() if min(most, len(free)) > 0}
    )
    assert set(found[False]) <= set().union(*others.values())


@settings(derandomize=True, deadline=None, max_examples=tries(150))
@given(
    rows=st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14), st.booleans()), min_size=1, max_size=30),
    largest=st.integers(2, 6),
    most=st.integers(0, 4),
    at_once=st.sampled_from([1, 7, 4_000_000]),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_follows_contradicts_no_label_and_nothing_is_missed(
    rows: list[tuple[int, int, bool]], largest: int, most: int, at_once: int, seed: int
) -> None:
    dress = (str, str.upper, "  {}\t".format)
    texts = ["", *(f"question {node}" for node in range(1, 15))]
    table = table_of(
        [(dress[at % 3](texts[a]), dress[(at + b) % 3](texts[b]), label) for at, (a, b, label) in enumerate(rows)]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closure, "_AT_ONCE", at_once)
        closed = closed_pairs(table, seed, largest, most)
        assert closed_pairs(table, seed, largest, most).data_version == closed.data_version
    assert_follows(closed, table, largest, most)


def test_a_chain_of_duplicates_and_one_other_pair() -> None:
    table = table_of([("a", "b", True), ("b", "C", True), ("d", "e", True), (" c", "d", False)])
    closed = closed_pairs(table, seed=0, per_cluster_pair=9)
    frame = closed.pairs
    assert frame[["question1", "question2", "is_duplicate"]].to_numpy().tolist() == [
        ["a", "C", True],
        ["a", "d", False],
        ["a", "e", False],
        ["b", "d", False],
        ["b", "e", False],
        ["C", "e", False],
    ]
    # Ids of the first mention, pairs numbered on from the table's.
    assert frame["pair_id"].tolist() == list(range(4, 10))
    assert frame[["question1_id", "question2_id"]].to_numpy().tolist()[:2] == [[0, 3], [0, 4]]
    assert closed.origin.source == "what follows from the labels of made for a test"
    assert closed.origin.synthetic
    pd.testing.assert_series_equal(frame.dtypes, table.pairs.dtypes)
    back = PairTable.from_arrow(closed.to_arrow())
    assert (back.data_version, back.origin) == (closed.data_version, closed.origin)
    together = table.followed_by(closed)
    assert len(closed_pairs(together, seed=0, per_cluster_pair=9)) == 0


def test_nothing_follows_from_a_cluster_that_contradicts_itself() -> None:
    rows = [
        ("a", "b", True),
        ("b", "c", True),
        ("c", "d", True),
        ("a", "d", False),
        ("x", "y", True),
        ("a", "x", False),
    ]
    assert len(closed_pairs(table_of(rows), seed=0)) == 0
    assert len(closed_pairs(table_of([*rows[:3], *rows[4:]]), seed=0)) > 0


def test_no_pair_has_a_held_out_question() -> None:
    table = table_of([("a", "b", True), ("b", "c", True), ("d", "e", True), ("a", "d", False)])
    closed = closed_pairs(table, seed=0, per_cluster_pair=9, held_out=[table_of([(" C", "unheard", True)])])
    assert "c" not in keys_of(closed)
    assert {frozenset("ae"), frozenset("bd"), frozenset("be")} == set(pair_keys(closed))


@pytest.mark.parametrize(("largest", "most"), [(1, 3), (10, -1)])
def test_bounds_without_a_meaning_are_refused_in_one_line(largest: int, most: int) -> None:
    with pytest.raises(PipelineError, match=r"nothing follows from clusters .*: take at least 2 and 0") as caught:
        closed_pairs(sample_splits().train, 0, largest, most)
    assert len(str(caught.value).splitlines()) == 1


def test_the_seed_decides_which_others() -> None:
    table = table_of([(f"a{at}", f"a{at + 1}", True) for at in range(8)] + [("a0", "b", False), ("b", "c", True)])
    draws = [closed_pairs(table, seed, per_cluster_pair=3) for seed in (1, 1, 2)]
    assert draws[0].data_version == draws[1].data_version != draws[2].data_version
    assert [len(found_pairs(draw)[False]) for draw in draws] == [3, 3, 3]


def test_no_pairs_give_none() -> None:
    assert len(closed_pairs(table_of([]), seed=0)) == 0


def test_the_bundled_sample_closes_without_a_contradiction() -> None:
    table = sample_splits().train
    assert_follows(closed_pairs(table, 42, 10, 3), table, 10, 3)


def test_real_pairs_close_without_a_contradiction(real_pairs_path: Path) -> None:
    splits = real_splits(real_pairs_path, 12_000)
    closed = closed_pairs(splits.train, 42, 10, 3, [splits.dev, splits.eval])
    assert_follows(closed, splits.train, 10, 3)
    assert np.mean(closed.labels) > 0
    for side in (splits.dev, splits.eval):
        assert keys_of(closed).isdisjoint(keys_of(side))
