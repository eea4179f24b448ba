"""Checks that the reference split is the library's, that others share no question, and the hashed one stays put."""

from pathlib import Path
from typing import Any, Literal

import datasets
import numpy as np
import pandas as pd
import pytest
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from small_data import sample_pairs

from pipeline.core.errors import InputError
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.questions import question_components
from pipeline.question_pairs.schema import DataOrigin, PairTable, Splits
from pipeline.question_pairs.sides import require_sound_splits
from pipeline.question_pairs.sources import load_pairs
from pipeline.question_pairs.splits import split_pairs

SIDES = ("train", "dev", "eval")
Strategy = Literal["reference", "question_disjoint"]
STRATEGIES: tuple[Strategy, Strategy] = ("reference", "question_disjoint")


@pytest.fixture(scope="module")
def sample() -> PairTable:
    return sample_pairs()


def table_of(edges: list[tuple[int, int]], texts: list[tuple[str, str]] | None = None) -> PairTable:
    """A pair for each edge between two question ids; a question's text follows from its id unless given."""
    texts = texts or [(f"question {a}", f"question {b}") for a, b in edges]
    frame = pd.DataFrame(
        {
            "pair_id": np.arange(len(edges)),
            "question1_id": np.array([a for a, _ in edges], dtype=np.int64),
            "question2_id": np.array([b for _, b in edges], dtype=np.int64),
            "question1": pd.Series([a for a, _ in texts], dtype="str"),
            "question2": pd.Series([b for _, b in texts], dtype="str"),
            "is_duplicate": np.arange(len(edges)) % 3 == 0,
        }
    )
    return PairTable(frame, DataOrigin(source="made for a test", synthetic=True))


def strangers(n: int) -> PairTable:
    """Pairs that have no question in common."""
    return table_of([(2 * row, 2 * row + 1) for row in range(n)])


def chains(sizes: list[int]) -> list[tuple[int, int]]:
    """For each size a component of so many pairs, each pair sharing a question with the next."""
    edges: list[tuple[int, int]] = []
    start = 0
    for size in sizes:
        edges += [(start + at, start + at + 1) for at in range(size)]
        start += size + 1
    return edges


def rows_of(splits: Splits) -> dict[str, list[int]]:
    return {side: getattr(splits, side).pairs["pair_id"].tolist() for side in SIDES}


def questions_of(table: PairTable) -> tuple[set[str], set[int]]:
    pairs = table.pairs
    texts = {str(text).strip().lower() for name in ("question1", "question2") for text in pairs[name]}
    return texts, {*pairs["question1_id"].tolist(), *pairs["question2_id"].tolist()}


def assert_complete(splits: Splits, n: int) -> None:
    rows = rows_of(splits)
    assert sorted(rows["train"] + rows["dev"] + rows["eval"]) == list(range(n))


def assert_disjoint(splits: Splits) -> None:
    questions = {side: questions_of(getattr(splits, side)) for side in SIDES}
    for one, two in (("train", "dev"), ("train", "eval"), ("dev", "eval")):
        assert questions[one][0].isdisjoint(questions[two][0]), f"{one} and {two} share a text"
        assert questions[one][1].isdisjoint(questions[two][1]), f"{one} and {two} share an id"


def library_split(n: int, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    parts = datasets.Dataset.from_dict({"row": np.arange(n)}).train_test_split(test_size=fraction, seed=seed)
    train, test = (parts[side].with_format("numpy")[:]["row"].tolist() for side in ("train", "test"))
    return train, test


@pytest.mark.parametrize("n", [2, 3, 10, 11, 99, 101, 1_000, 4_001])
def test_the_reference_split_is_the_librarys_row_for_row(n: int) -> None:
    rows = rows_of(split_pairs(strangers(n), SplitPlan(strategy="reference", dev_fraction=0)))
    assert (rows["train"], rows["eval"]) == library_split(n, 0.1, 42)
    assert rows["dev"] == []


@pytest.mark.parametrize(("fraction", "seed"), [(0.2, 42), (0.1, 0), (0.35, 7), (0.5, 2**32 - 1)])
def test_the_reference_split_follows_fraction_and_seed(fraction: float, seed: int) -> None:
    plan = SplitPlan(strategy="reference", eval_fraction=fraction, dev_fraction=0, seed=seed)
    rows = rows_of(split_pairs(strangers(997), plan))
    assert (rows["train"], rows["eval"]) == library_split(997, fraction, seed)


@pytest.mark.slow
def test_the_whole_release_is_cut_as_published() -> None:
    rows = rows_of(split_pairs(strangers(404_290), SplitPlan(strategy="reference", dev_fraction=0)))
    assert (len(rows["train"]), len(rows["eval"])) == (363_861, 40_429)
    assert (rows["train"], rows["eval"]) == library_split(404_290, 0.1, 42)


def test_a_dev_side_comes_out_of_training_alone() -> None:
    table = strangers(1_000)
    without = rows_of(split_pairs(table, SplitPlan(strategy="reference", dev_fraction=0)))
    rows = rows_of(split_pairs(table, SplitPlan(strategy="reference", dev_fraction=0.1)))
    assert rows["eval"] == without["eval"]
    assert len(rows["dev"]) == 90
    dev = set(rows["dev"])
    assert rows["train"] == [row for row in without["train"] if row not in dev]


@settings(derandomize=True, deadline=None, max_examples=tries(60))
@given(
    n=st.integers(min_value=20, max_value=300),
    eval_fraction=st.floats(min_value=0.01, max_value=0.6),
    dev_fraction=st.just(0.0) | st.floats(min_value=0.01, max_value=0.6),
    seed=st.integers(min_value=0, max_value=2**32 - 1),
    strategy=st.sampled_from(STRATEGIES),
)
def test_every_row_lands_on_exactly_one_side(
    n: int, eval_fraction: float, dev_fraction: float, seed: int, strategy: Strategy
) -> None:
    plan = SplitPlan(strategy=strategy, eval_fraction=eval_fraction, dev_fraction=dev_fraction, seed=seed)
    splits = split_pairs(strangers(n), plan)
    assert_complete(splits, n)
    assert len(splits.eval) == int(np.ceil(n * eval_fraction))
    assert len(splits.dev) == int(np.ceil((n - len(splits.eval)) * dev_fraction))
    assert rows_of(split_pairs(strangers(n), plan)) == rows_of(splits)


@settings(derandomize=True, deadline=None, max_examples=tries(40))
@given(
    n=st.integers(min_value=20, max_value=200),
    limit=st.integers(min_value=1, max_value=300),
    seed=st.integers(min_value=0, max_value=1_000),
    strategy=st.sampled_from(STRATEGIES),
)
def test_a_limit_keeps_the_head_of_training_and_touches_nothing_else(
    n: int, limit: int, seed: int, strategy: Strategy
) -> None:
    whole = rows_of(split_pairs(strangers(n), SplitPlan(strategy=strategy, seed=seed)))
    splits = split_pairs(strangers(n), SplitPlan(strategy=strategy, seed=seed, train_limit=limit))
    rows = rows_of(splits)
    assert (rows["eval"], rows["dev"]) == (whole["eval"], whole["dev"])
    assert rows["train"] == whole["train"][:limit]
    assert splits.notes["training pairs left out by train_limit"] == max(0, len(whole["train"]) - limit)


@settings(derandomize=True, deadline=None, max_examples=tries(60))
@given(
    sizes=st.lists(st.integers(min_value=1, max_value=4), min_size=30, max_size=100),
    linked_by=st.sampled_from(["id", "text"]),
    seed=st.integers(min_value=0, max_value=2**32 - 1),
)
def test_no_question_stands_on_two_sides(sizes: list[int], linked_by: str, seed: int) -> None:
    # Forty strangers make sure that any target can be met to the pair.
    edges = chains([*sizes, *[1] * 40])
    order = np.random.default_rng(seed).permutation(len(edges))
    edges = [edges[at] for at in order]
    dress = (str, str.upper, "  {}\t".format, str.title)
    if linked_by == "text":
        # The same question under another id each time, in another case or between blanks.
        texts = [tuple(dress[(row + node) % 4](f"question {node}") for node in edge) for row, edge in enumerate(edges)]
        table = table_of([(2 * row, 2 * row + 1) for row in range(len(edges))], [(one, two) for one, two in texts])
    else:
        table = table_of(edges, [(f"text {2 * row}", f"text {2 * row + 1}") for row in range(len(edges))])
    splits = split_pairs(table, SplitPlan(seed=seed))
    assert_complete(splits, len(edges))
    assert_disjoint(splits)
    assert splits.notes["question components"] == len(sizes) + 40
    n_eval = int(np.ceil(len(edges) * 0.1))
    assert len(splits.eval) == n_eval
    assert len(splits.dev) == int(np.ceil((len(edges) - n_eval) * 0.1))


def test_components_join_what_shares_a_question_by_id_or_text() -> None:
    edges = [(0, 1), (2, 3), (1, 4), (5, 6), (7, 8)]
    texts = [("a", "b"), ("c", "d"), ("x", "e"), (" C ", "f"), ("g", "h")]
    assert question_components(table_of(edges, texts).pairs).tolist() == [0, 1, 0, 1, 2]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_seed_decides(strategy: Strategy) -> None:
    table = table_of(chains([1, 2, 3] * 100))
    cuts = [rows_of(split_pairs(table, SplitPlan(strategy=strategy, seed=seed))) for seed in (42, 42, 43)]
    assert cuts[0] == cuts[1]
    assert all(set(cuts[0][side]) != set(cuts[2][side]) for side in SIDES)


def test_training_pairs_of_a_component_are_not_left_side_by_side() -> None:
    rows = rows_of(split_pairs(table_of(chains([3] * 200)), SplitPlan()))["train"]
    assert np.mean(np.abs(np.diff(rows)) == 1) < 0.05


@pytest.mark.parametrize("seed", range(10))
def test_an_oversized_component_goes_to_training(seed: int) -> None:
    table = table_of(chains([60, *[1] * 600]))
    splits = split_pairs(table, SplitPlan(seed=seed))
    assert set(range(60)) <= set(splits.train.pairs["pair_id"])
    assert splits.notes["oversized components, all in training"] == 1
    assert splits.notes["pairs in oversized components"] == splits.notes["largest component (pairs)"] == 60
    assert_complete(splits, 660)
    assert_disjoint(splits)


def test_a_component_of_50_pairs_may_be_held_out() -> None:
    table = table_of(chains([50, *[1] * 600]))
    splits = [split_pairs(table, SplitPlan(seed=seed, eval_fraction=0.4)) for seed in range(10)]
    assert any(set(range(50)) <= set(cut.eval.pairs["pair_id"]) for cut in splits)
    assert {cut.notes["oversized components, all in training"] for cut in splits} == {0}


@pytest.mark.parametrize(
    ("sizes", "eval_fraction", "dev_fraction", "side"),
    [([10] * 10, 0.15, 0.0, "eval"), ([10] * 10, 0.1, 0.15, "dev"), ([500], 0.1, 0.0, "eval")],
)
def test_a_side_that_whole_components_cannot_fill_is_named(
    sizes: list[int], eval_fraction: float, dev_fraction: float, side: str
) -> None:
    plan = SplitPlan(eval_fraction=eval_fraction, dev_fraction=dev_fraction)
    with pytest.raises(InputError) as caught:
        split_pairs(table_of(chains(sizes)), plan)
    assert caught.value.values["split"] == side
    assert f"{side}_fraction" in str(caught.value)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("n", "eval_fraction", "dev_fraction"),
    [(0, 0.1, 0.0), (1, 0.1, 0.0), (2, 0.1, 0.1), (10, 0.95, 0.0), (3, 0.5, 0.5)],
)
def test_too_few_rows_are_refused_in_one_line(
    strategy: Strategy, n: int, eval_fraction: float, dev_fraction: float
) -> None:
    plan = SplitPlan(strategy=strategy, eval_fraction=eval_fraction, dev_fraction=dev_fraction)
    with pytest.raises(InputError, match=r"pairs? .*_fraction"):
        split_pairs(strangers(n), plan)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("label", [True, False])
def test_pairs_of_one_class_are_refused_in_one_line(strategy: Strategy, label: bool) -> None:
    table = strangers(100)
    one_class = PairTable(table.pairs.assign(is_duplicate=label), table.origin)
    with pytest.raises(InputError) as caught:
        split_pairs(one_class, SplitPlan(strategy=strategy))
    assert caught.value.values == {"pairs": 100, "positive_rate": float(label)}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_three_rows_are_enough_for_three_sides(strategy: Strategy) -> None:
    splits = split_pairs(strangers(3), SplitPlan(strategy=strategy))
    assert (len(splits.train), len(splits.dev), len(splits.eval)) == (1, 1, 1)


@pytest.mark.parametrize(
    "setting", [{"eval_fraction": 0}, {"eval_fraction": 1}, {"dev_fraction": 1}, {"train_limit": 0}, {"seed": -1}]
)
def test_a_plan_out_of_range_is_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SplitPlan.model_validate(setting)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_side_says_which_dataset_it_was_cut_from(sample: PairTable, strategy: Strategy) -> None:
    splits = split_pairs(sample, SplitPlan(strategy=strategy))
    for side in SIDES:
        origin = getattr(splits, side).origin
        assert origin.model_copy(update={"division": None}) == sample.origin
        assert origin.dataset_version == sample.data_version
        assert origin.division
        assert origin.division.strategy == strategy


@pytest.mark.parametrize("seed", [42, 0, 1])
def test_the_bundled_sample_is_cut_disjoint_and_close_to_the_plan(sample: PairTable, seed: int) -> None:
    splits = split_pairs(sample, SplitPlan(eval_fraction=0.2, dev_fraction=0.1, seed=seed))
    assert_complete(splits, len(sample))
    assert_disjoint(splits)
    assert len(splits.eval) == pytest.approx(0.2 * len(sample), rel=0.01)
    assert len(splits.dev) == pytest.approx(0.1 * 0.8 * len(sample), rel=0.01)
    for side in SIDES:
        pd.testing.assert_frame_equal(getattr(splits, side).pairs, sample.take(np.array(rows_of(splits)[side])).pairs)


def test_real_pairs_are_cut_disjoint_with_like_rates_of_duplicates(real_pairs_path: Path) -> None:
    table = load_pairs(PairSource(source="file", path=str(real_pairs_path)))
    table = PairTable(table.pairs.assign(pair_id=np.arange(len(table))), table.origin)
    spreads = []
    for seed in (42, 0, 1):
        splits = split_pairs(table, SplitPlan(seed=seed))
        assert_complete(splits, len(table))
        assert_disjoint(splits)
        assert len(splits.eval) == pytest.approx(0.1 * len(table), rel=0.01)
        assert len(splits.dev) == pytest.approx(0.09 * len(table), rel=0.01)
        rates = [getattr(splits, side).positive_rate for side in SIDES]
        spreads.append(max(rates) - min(rates))
    assert max(spreads) < 0.03, spreads


# --- question_hash: sides that stay put while the data grow ---


def hashed(table: PairTable, **plan: Any) -> Splits:
    return split_pairs(table, SplitPlan(strategy="question_hash", **plan))


def sides_by_texts(splits: Splits) -> dict[frozenset[str], str]:
    """The side of each pair that is on one, by its two questions."""
    return {
        frozenset(str(pair[name]).strip().lower() for name in ("question1", "question2")): side
        for side in SIDES
        for pair in getattr(splits, side).pairs.to_dict("records")
    }


@settings(derandomize=True, deadline=None, max_examples=tries(60))
@given(
    sizes=st.lists(st.integers(min_value=1, max_value=6), min_size=60, max_size=120),
    joined=st.lists(st.tuples(st.integers(0, 250), st.integers(0, 250)), max_size=60),
    seed=st.integers(min_value=0, max_value=2**32 - 1),
)
def test_a_pair_that_was_held_out_is_never_trained_on_however_the_data_grow(
    sizes: list[int], joined: list[tuple[int, int]], seed: int
) -> None:
    # New pairs join what was apart, come first, and others change their order and their ids.
    edges = chains(sizes)
    grown = [*joined, *(edges[at] for at in np.random.default_rng(seed).permutation(len(edges)))]
    before, after = (hashed(table_of(some), eval_fraction=0.2, dev_fraction=0.2, seed=seed) for some in (edges, grown))
    earlier, later = sides_by_texts(before), sides_by_texts(after)
    for pair, side in earlier.items():
        # What is trained on may be left out later, and so may a dev pair; an eval pair stays one.
        assert later.get(pair) in ({side} if side == "eval" else {side, None}), (pair, side)
    for splits in (before, after):
        assert_disjoint(splits)
        assert require_sound_splits(splits) == ""


def test_questions_that_the_source_gives_one_id_count_as_one() -> None:
    edges = chains([3] * 200)
    table = table_of(edges, [(f"text {2 * row}", f"text {2 * row + 1}") for row in range(len(edges))])
    splits = hashed(table, eval_fraction=0.2)
    assert_disjoint(splits)
    assert int(splits.notes["pairs left out, which would put a question on two sides"]) > 0


def test_pairs_without_common_questions_are_all_used_and_have_the_shares_that_were_asked_for() -> None:
    splits = hashed(strangers(20_000), eval_fraction=0.2, dev_fraction=0.1)
    assert_complete(splits, 20_000)
    assert len(splits.eval) == pytest.approx(4_000, rel=0.05)
    assert len(splits.dev) == pytest.approx(1_600, rel=0.07)
    assert len(hashed(strangers(20_000), dev_fraction=0).dev) == 0


def test_the_seed_decides_the_hashed_sides_and_a_limit_takes_the_same_pairs_as_before() -> None:
    table = table_of(chains([1, 2, 3] * 100))
    one, other = (sides_by_texts(hashed(table, seed=seed)) for seed in (42, 43))
    assert one != other
    assert one == sides_by_texts(hashed(table, seed=42))
    few = rows_of(hashed(table, train_limit=50))
    assert few["train"] == rows_of(hashed(table))["train"][:50]


def test_too_few_pairs_for_a_hashed_side_are_refused_in_one_line() -> None:
    with pytest.raises(InputError) as caught:
        hashed(strangers(8), eval_fraction=0.01, dev_fraction=0.2)
    assert caught.value.values == {"split": "eval", "pairs": 8}


def test_real_pairs_that_come_in_six_parts_stay_on_their_sides(real_pairs_path: Path) -> None:
    table = load_pairs(PairSource(source="file", path=str(real_pairs_path)))
    once: dict[frozenset[str], str] = {}
    for part in range(1, 7):
        splits = hashed(table.take(np.arange(len(table) * part // 6)), dev_fraction=0.05)
        now = sides_by_texts(splits)
        assert not [pair for pair, side in now.items() if side == "train" and once.get(pair) in ("dev", "eval")]
        once |= now
    rates = [getattr(splits, side).positive_rate for side in SIDES]
    assert abs(rates[2] - table.positive_rate) < 0.02, rates
    assert len(splits.eval) == pytest.approx(0.1 * len(table), rel=0.03)
    left_out = int(splits.notes["pairs left out, which would put a question on two sides"])
    assert left_out < 0.08 * len(table)
