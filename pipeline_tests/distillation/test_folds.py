"""Checks that folds have no question in common, are about equally large, and that what can't be cut is refused."""

from pathlib import Path

import numpy as np
import pytest
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st
from small_silver import keys_of, real_splits, sample_splits, table_of

from pipeline.core.errors import PipelineError
from pipeline.core.progress import LogLine, ProgressEvent
from pipeline.distillation.folds import fold_of_pairs
from pipeline.question_pairs.questions import question_components
from pipeline.question_pairs.schema import PairTable


def assert_no_question_in_two_folds(table: PairTable, fold: np.ndarray) -> None:
    asked = [keys_of(table.take(np.flatnonzero(fold == number))) for number in np.unique(fold)]
    assert sum(map(len, asked)) == len(set().union(*asked))
    ids = [
        set(table.pairs.loc[fold == number, ["question1_id", "question2_id"]].to_numpy().ravel().tolist())
        for number in np.unique(fold)
    ]
    assert sum(map(len, ids)) == len(set().union(*ids))


@settings(derandomize=True, deadline=None, max_examples=tries(60))
@given(
    edges=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=60),
    folds=st.integers(2, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_question_stands_in_two_folds_and_none_is_larger_than_it_has_to_be(
    edges: list[tuple[int, int]], folds: int, seed: int
) -> None:
    dress = (str, str.upper, "  {}\t".format)
    rows = [
        (dress[at % 3](f"question {a}"), dress[(at + b) % 3](f"question {b}"), True) for at, (a, b) in enumerate(edges)
    ]
    # As many strangers as folds, so that it can be cut.
    table = table_of([*rows, *((f"stranger {at}", f"visitor {at}", False) for at in range(folds))])
    fold = fold_of_pairs(table, folds, seed)
    assert fold.dtype == np.int64
    assert len(fold) == len(table)
    assert set(fold.tolist()) == set(range(folds))
    assert_no_question_in_two_folds(table, fold)
    # Graham's bound for the largest first: at most 4/3 of the best, which is at least the largest and a share.
    best = max(int(np.bincount(question_components(table.pairs)).max()), int(np.ceil(len(table) / folds)))
    assert np.bincount(fold).max() <= 4 / 3 * best + 1
    np.testing.assert_array_equal(fold_of_pairs(table, folds, seed), fold)


def test_the_seed_decides_among_equals() -> None:
    table = table_of([(f"a {at}", f"b {at}", True) for at in range(90)])
    cuts = [fold_of_pairs(table, 3, seed).tolist() for seed in (1, 1, 2)]
    assert cuts[0] == cuts[1] != cuts[2]
    assert np.bincount(cuts[0]).tolist() == [30, 30, 30]


def test_a_component_that_is_larger_than_a_share_is_allowed_and_said() -> None:
    rows = [("hub", f"spoke {at}", False) for at in range(50)]
    table = table_of([*rows, *((f"a {at}", f"b {at}", True) for at in range(10))])
    events: list[ProgressEvent] = []
    fold = fold_of_pairs(table, 3, 0, events.append)
    assert sorted(np.bincount(fold).tolist()) == [5, 5, 50]
    assert events == [
        LogLine(
            "50 of 60 pairs hang together by their questions, more than a fold's share of 20: they are a fold by "
            "themselves, and the folds are not equally large"
        )
    ]
    fold_of_pairs(table_of(rows[:0] + [(f"a {at}", f"b {at}", True) for at in range(10)]), 3, 0, events.append)
    assert len(events) == 1


@pytest.mark.parametrize(
    ("pairs", "folds", "said"),
    [
        (0, 2, "0 pairs of made for a test can't be cut into 2 folds: .* only 0 components"),
        (2, 3, "2 pairs of made for a test can't be cut into 3 folds: .* only 2 components"),
        (9, 1, "can't be cut into 1 fold: a teacher needs others"),
    ],
)
def test_what_cant_be_divided_is_refused_in_one_line(pairs: int, folds: int, said: str) -> None:
    with pytest.raises(PipelineError, match=said) as caught:
        fold_of_pairs(table_of([(f"a {at}", f"b {at}", True) for at in range(pairs)]), folds, 0)
    assert len(str(caught.value).splitlines()) == 1


def test_the_bundled_sample_is_cut_evenly() -> None:
    table = sample_splits().train
    fold = fold_of_pairs(table, 3, 42)
    assert_no_question_in_two_folds(table, fold)
    assert np.ptp(np.bincount(fold)) < 0.01 * len(table)


def test_real_pairs_are_cut_evenly(real_pairs_path: Path) -> None:
    table = real_splits(real_pairs_path, 12_000).train
    fold = fold_of_pairs(table, 5, 42)
    assert_no_question_in_two_folds(table, fold)
    assert np.ptp(np.bincount(fold)) <= 1
    rates = [table.take(np.flatnonzero(fold == number)).positive_rate for number in range(5)]
    assert max(rates) - min(rates) < 0.05
