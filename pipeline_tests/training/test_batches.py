"""Plans and batches: every pair once an epoch, the same for the same seed, within the budget, each question once."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.question_pairs.schema import DataOrigin, PairTable, ids_by_text
from pipeline.training.batches import BatchPlan, PairCollator, TrainingPairs


def table(rows: list[tuple[str, str, bool]]) -> PairTable:
    first, second, labels = (list(column) for column in zip(*rows, strict=True))
    one, other = ids_by_text(*(pa.chunked_array([pa.array(texts, pa.large_string())]) for texts in (first, second)))
    columns = {
        "pair_id": np.arange(len(rows)),
        "question1_id": one,
        "question2_id": other,
        "question1": first,
        "question2": second,
        "is_duplicate": labels,
    }
    return PairTable(pd.DataFrame(columns), DataOrigin(source="made up", synthetic=True))


plans = settings(max_examples=tries(60), deadline=None, derandomize=True)
arguments = given(
    lengths=st.lists(st.integers(2, 40), min_size=8, max_size=80).map(np.array),
    epochs=st.integers(1, 3),
    size=st.integers(1, 5),
    budget=st.one_of(st.none(), st.integers(20, 200)),
    seed=st.integers(0, 5),
    parts=st.integers(1, 3),
)


@plans
@arguments
def test_every_epoch_visits_every_pair_once(
    lengths: np.ndarray, epochs: int, size: int, budget: int | None, seed: int, parts: int
) -> None:
    plan = BatchPlan.draw(lengths, epochs, size * parts, budget, seed, parts)
    n = len(lengths)
    assert plan.ends[-1] == epochs * n
    for epoch in range(epochs):
        assert sorted(plan.order[epoch * n : (epoch + 1) * n]) == list(range(n))
        # No step holds pairs of two epochs.
        assert (epoch + 1) * n in plan.ends[parts - 1 :: parts]
    batches = [plan.batch(index) for index in range(len(plan.ends))]
    assert np.concatenate(batches).tolist() == plan.order.tolist()
    assert plan.steps * parts == len(batches)


@plans
@arguments
def test_batches_keep_to_their_size_and_budget(
    lengths: np.ndarray, epochs: int, size: int, budget: int | None, seed: int, parts: int
) -> None:
    plan = BatchPlan.draw(lengths, epochs, size * parts, budget, seed, parts)
    for index in range(len(plan.ends)):
        batch = plan.batch(index)
        # Where every batch is a single pair, two may have to be joined for whole steps.
        assert 1 <= len(batch) <= max(size, 2 if parts > 1 else 1)
        assert budget is None or lengths[batch].sum() <= budget or len(batch) <= (2 if parts > 1 else 1)


@plans
@arguments
def test_the_seed_decides_and_the_version_tells(
    lengths: np.ndarray, epochs: int, size: int, budget: int | None, seed: int, parts: int
) -> None:
    plan, again, other = (
        BatchPlan.draw(lengths, epochs, size * parts, budget, s, parts) for s in (seed, seed, seed + 100)
    )
    assert plan.version == again.version
    assert plan.order.tolist() == again.order.tolist()
    assert plan.version != other.version


def test_a_budget_that_does_not_bind_changes_nothing() -> None:
    lengths = np.full(100, 10)
    free, wide = (BatchPlan.draw(lengths, 2, 8, budget, 1) for budget in (None, 80))
    tight = BatchPlan.draw(lengths, 2, 8, 79, 1)
    assert free.version == wide.version != tight.version
    assert free.steps == 2 * 13


def test_evaluations_come_at_fixed_fractions_of_an_epoch() -> None:
    plan = BatchPlan.draw(np.full(96, 5), epochs=2, batch_size=8, token_budget=None, seed=0)
    assert sorted(plan.evaluation_steps(1)) == [12, 24]
    assert sorted(plan.evaluation_steps(4)) == [3, 6, 9, 12, 15, 18, 21, 24]
    assert plan.epoch_after(18) == 1.5
    assert (plan.pairs_after(0), plan.pairs_after(3)) == (0, 24)


def test_the_largest_number_of_evaluations_is_one_a_step() -> None:
    plan = BatchPlan.draw(np.full(16, 5), epochs=1, batch_size=8, token_budget=None, seed=0)
    assert sorted(plan.evaluation_steps(100)) == [1, 2]


def test_a_batch_holds_each_distinct_question_once_shortest_first() -> None:
    pairs = TrainingPairs.of(
        table([("a", "bb", True), ("bb", "ccc", True), ("dddd", "a", False), ("dddd", "dddd", True)])
    )
    asked: list[np.ndarray] = []

    def featurize(questions: np.ndarray) -> dict[str, object]:
        asked.append(questions)
        return {}

    lengths = np.array([len(question) for question in pairs.index.texts])
    batch = PairCollator(pairs, lengths, featurize)([3, 0, 2])
    texts = [pairs.index.texts[i] for i in asked[0]]
    assert texts == ["a", "bb", "dddd"]
    assert [(texts[i], texts[j]) for i, j in zip(batch["first"], batch["second"], strict=True)] == [
        ("dddd", "dddd"),
        ("a", "bb"),
        ("dddd", "a"),
    ]
    assert batch["label"].tolist() == [1, 1, 0]
    # a and bb are known duplicates, by a pair of the batch; dddd is not one of them.
    assert torch.equal(batch["meaning"][0], batch["meaning"][1])
    assert batch["meaning"][0] != batch["meaning"][2]


def test_meanings_join_duplicates_by_chains_and_nothing_else() -> None:
    pairs = TrainingPairs.of(table([("a", "b", True), ("b", "c", True), ("c", "d", False), ("e", "f", False)]))
    meaning = dict(zip(pairs.index.texts, pairs.meanings.tolist(), strict=True))
    assert meaning["a"] == meaning["b"] == meaning["c"]
    assert len({meaning[q] for q in "adef"}) == 4


def test_too_few_pairs_for_all_processes_are_refused() -> None:
    with pytest.raises(ValueError, match="2 pairs can't be shared out to 3"):
        BatchPlan.draw(np.array([5, 5]), 1, 3, None, 0, parts=3)
