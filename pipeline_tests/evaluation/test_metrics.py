"""Compares the metrics with sentence-transformers' evaluator and with a sweep over all thresholds."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers.sentence_transformer.evaluation import BinaryClassificationEvaluator
from small_data import pair_table

from pipeline.core.errors import InputError, ModelError, PipelineError
from pipeline.evaluation.measurement import LOWER_IS_BETTER, SIMILARITIES
from pipeline.evaluation.metrics import similarity_metrics
from pipeline.evaluation.pair_scores import embedding_metrics, evaluate_pairs, pair_scores
from pipeline.models.encoding import embed_questions


def random_embeddings(seed: int, rounded: bool, n: int = 150) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs whose duplicates are closer together; rounded ones have many equal scores."""
    random = np.random.default_rng(seed)
    labels = (random.random(n) < 0.4).astype(np.int64)
    first = random.normal(size=(n, 6))
    second = first + random.normal(size=(n, 6)) * np.where(labels, 0.6, 1.4)[:, None]
    if rounded:
        # Away from zero, so that every vector has a direction.
        first, second = np.round(first) + 0.5, np.round(second) + 0.5
    return first.astype(np.float32), second.astype(np.float32), labels


class FixedEmbeddings(torch.nn.Sequential):
    """Stands in for a model: returns a given embedding for each text, and records the texts."""

    def __init__(self, by_text: dict[str, np.ndarray]) -> None:
        super().__init__(torch.nn.Identity())
        self.by_text = by_text
        self.asked: list[str] = []

    def encode(self, sentences: list[str], **options: Any) -> np.ndarray:
        self.asked += sentences
        return np.stack([self.by_text[text] for text in sentences])


@pytest.mark.parametrize("rounded", [False, True], ids=["distinct scores", "tied scores"])
@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_sentence_transformers(seed: int, rounded: bool) -> None:
    first, second, labels = random_embeddings(seed, rounded)
    texts1 = [f"first {i}" for i in range(len(labels))]
    texts2 = [f"second {i}" for i in range(len(labels))]
    model = FixedEmbeddings({**dict(zip(texts1, first, strict=True)), **dict(zip(texts2, second, strict=True))})
    evaluator = BinaryClassificationEvaluator(texts1, texts2, labels.tolist(), similarity_fn_names=list(SIMILARITIES))
    # Tensors, as torch warns that a list of arrays is slow.
    evaluator.embed_inputs = lambda model, texts: torch.from_numpy(model.encode(texts))
    theirs = evaluator.compute_metrics(model)
    ours = embedding_metrics(first, second, labels)
    assert set(ours) == set(theirs) == {"cosine", "manhattan", "euclidean", "dot"}
    for name, metrics in ours.items():
        for metric, value in metrics.model_dump().items():
            assert value == pytest.approx(float(theirs[name][metric]), abs=1e-6), f"{name}_{metric}"


def test_tied_scores_are_really_tied_in_the_comparison() -> None:
    first, second, _ = random_embeddings(0, rounded=True)
    manhattan = pair_scores(first, second)["manhattan"]
    assert len(np.unique(manhattan)) < len(manhattan) / 3


def test_distances_are_positive_and_rank_near_pairs_first() -> None:
    scores = pair_scores(np.array([[1, 0], [1, 0]], dtype=np.float32), np.array([[1, 0], [4, 4]], dtype=np.float32))
    assert scores["manhattan"].tolist() == pytest.approx([0, 7], abs=1e-4)
    assert scores["euclidean"].tolist() == pytest.approx([0, 5], abs=1e-4)
    assert scores["cosine"].tolist() == pytest.approx([1, 0.5**0.5], abs=1e-6)
    assert scores["dot"].tolist() == [1, 4]
    for name, values in scores.items():
        assert (values[0] < values[1]) == (name in LOWER_IS_BETTER or name == "dot")


tied_or_free_scores = st.one_of(
    st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0]), st.floats(-1000, 1000, width=32, allow_subnormal=False)
)
scored_pairs = st.one_of(
    st.lists(st.tuples(tied_or_free_scores, st.booleans()), min_size=2, max_size=30),
    # All scores the same.
    st.builds(
        lambda score, labels: [(score, label) for label in labels],
        tied_or_free_scores,
        st.lists(st.booleans(), min_size=2, max_size=30),
    ),
)


@settings(derandomize=True, deadline=None, max_examples=tries(200, 5_000))
@given(rows=scored_pairs, lower_is_better=st.booleans())
def test_best_accuracy_and_f1_are_those_of_a_sweep_over_all_thresholds(
    rows: list[tuple[float, bool]], lower_is_better: bool
) -> None:
    scores = np.array([score for score, _ in rows], dtype=np.float32)
    labels = np.array([label for _, label in rows], dtype=np.int64)
    if len(set(labels)) == 1:
        with pytest.raises(InputError):
            similarity_metrics(scores, labels, lower_is_better)
        return
    found = similarity_metrics(scores, labels, lower_is_better)

    def at(threshold: float) -> tuple[int, Fraction, Fraction]:
        """How many pairs count as duplicates at this threshold, accuracy and F1."""
        predicted = scores <= threshold if lower_is_better else scores >= threshold
        hits = int((predicted & (labels == 1)).sum())
        accuracy = Fraction(int((predicted == (labels == 1)).sum()), len(labels))
        return int(predicted.sum()), accuracy, Fraction(2 * hits, int(predicted.sum() + labels.sum()))

    nothing = -np.inf if lower_is_better else np.inf
    sweep = [at(threshold) for threshold in {nothing, *scores.tolist()}]
    best_accuracy, best_f1 = max(row[1] for row in sweep), max(row[2] for row in sweep)
    assert found.accuracy == pytest.approx(float(best_accuracy), abs=1e-12)
    assert found.f1 == pytest.approx(float(best_f1), abs=1e-12)

    # The metrics are those at the thresholds, which are the strictest of equally good ones.
    count, accuracy, _ = at(found.accuracy_threshold)
    assert accuracy == best_accuracy
    assert count == min(row[0] for row in sweep if row[1] == best_accuracy)
    count, _, f1 = at(found.f1_threshold)
    assert f1 == best_f1
    assert count == min(row[0] for row in sweep if row[2] == best_f1)
    hits = f1 * (count + int(labels.sum())) / 2
    assert found.precision == pytest.approx(float(hits / count), abs=1e-12)
    assert found.recall == pytest.approx(float(hits / int(labels.sum())), abs=1e-12)

    # Average precision: precision at each threshold, weighted by the recall that it adds.
    expected, hits_before = 0.0, 0
    for threshold in sorted(set(scores.tolist()), reverse=not lower_is_better):
        called = scores <= threshold if lower_is_better else scores >= threshold
        hits_there = int((called & (labels == 1)).sum())
        expected += (hits_there - hits_before) / int(labels.sum()) * hits_there / int(called.sum())
        hits_before = hits_there
    assert found.ap == pytest.approx(expected, abs=1e-12)


def test_a_perfect_ranking_gets_ones_and_a_threshold_in_the_gap() -> None:
    found = similarity_metrics(np.array([0.9, 0.8, 0.4, 0.1], dtype=np.float32), np.array([1, 1, 0, 0]))
    assert (found.accuracy, found.f1, found.precision, found.recall, found.ap) == (1, 1, 1, 1, 1)
    assert found.accuracy_threshold == pytest.approx(0.6, abs=1e-6)
    assert found.f1_threshold == pytest.approx(0.6, abs=1e-6)


@pytest.mark.parametrize("lower_is_better", [False, True])
@pytest.mark.parametrize("units", [(1, 0), (2, 1)])
def test_adjacent_floats_are_told_apart(units: tuple[int, int], lower_is_better: bool) -> None:
    # Their midpoint is rounded to one of them, which must be the right one.
    high, low = (np.float32(1) + np.float32(unit) * np.finfo(np.float32).eps for unit in units)
    scores = np.array([high, low], dtype=np.float32)
    labels = np.array([0, 1] if lower_is_better else [1, 0])
    found = similarity_metrics(scores, labels, lower_is_better)
    for threshold in (found.accuracy_threshold, found.f1_threshold):
        predicted = scores <= threshold if lower_is_better else scores >= threshold
        assert predicted.tolist() == labels.astype(bool).tolist()


def test_the_worked_example_of_the_documentation_holds() -> None:
    found = similarity_metrics(
        np.array([0.95, 0.90, 0.80, 0.70, 0.60, 0.40], dtype=np.float32), np.array([1, 1, 0, 1, 0, 0])
    )
    assert found.accuracy == pytest.approx(5 / 6)
    assert found.accuracy_threshold == pytest.approx(0.85)
    assert found.f1 == pytest.approx(6 / 7)
    assert found.f1_threshold == pytest.approx(0.65)
    assert (found.precision, found.recall) == (0.75, 1)
    assert found.ap == pytest.approx((1 + 1 + 3 / 4) / 3)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_embeddings_that_are_not_finite_are_refused_and_counted(broken: float, side: int) -> None:
    *embeddings, labels = random_embeddings(1, rounded=False, n=10)
    embeddings[side][3, 2] = broken
    with pytest.raises(ModelError) as caught:
        embedding_metrics(embeddings[0], embeddings[1], labels)
    assert caught.value.values == {"broken": 1, "questions": 10}


def test_an_empty_split_is_refused() -> None:
    nothing = np.empty((0, 4), dtype=np.float32)
    with pytest.raises(InputError):
        embedding_metrics(nothing, nothing, np.empty(0, dtype=np.int64))


@pytest.mark.parametrize(("label", "only"), [(0, "not duplicates"), (1, "duplicates")])
def test_a_single_class_is_refused(label: int, only: str) -> None:
    first, second, _ = random_embeddings(2, rounded=False, n=12)
    with pytest.raises(InputError) as caught:
        embedding_metrics(first, second, np.full(12, label))
    assert caught.value.values == {"pairs": 12, "only": only}


def test_evaluating_a_table_embeds_each_distinct_question_once() -> None:
    first, second, labels = random_embeddings(3, rounded=False, n=20)
    texts = {f"question {i}": vector for i, vector in enumerate(np.concatenate([first, second]))}
    names = list(texts)
    # Each question is in two pairs.
    question1, question2 = names[:20] * 2, names[20:] + names[21:] + names[20:21]
    is_duplicate = np.concatenate([labels, 1 - labels]).astype(bool)
    model = FixedEmbeddings(texts)
    found = evaluate_pairs(model, pair_table(question1, question2, is_duplicate.tolist()))
    assert sorted(model.asked) == sorted(names)
    expected = embedding_metrics(
        np.stack([texts[text] for text in question1]),
        np.stack([texts[text] for text in question2]),
        is_duplicate.astype(np.int64),
    )
    assert found == expected


def test_texts_are_embedded_as_they_are_written() -> None:
    # The first two are the same question, but a model may tell them apart.
    texts = {"Why?": np.array([1.0, 0]), " why? ": np.array([0, 1.0]), "How?": np.array([1.0, 1])}
    model = FixedEmbeddings(texts)
    evaluate_pairs(model, pair_table(["Why?", " why? "], ["How?", "Why?"], [True, False]))
    assert sorted(model.asked) == sorted(texts)


def test_embeddings_come_back_in_the_order_of_the_questions() -> None:
    texts = {"short": np.array([1.0]), "the longest of them all": np.array([2.0]), "in between": np.array([3.0])}
    embeddings = embed_questions(FixedEmbeddings(texts), list(texts), token_budget=32)
    assert embeddings.dtype == np.float32
    assert embeddings.tolist() == [[1], [2], [3]]


def test_evaluating_a_table_without_rows_is_refused() -> None:
    with pytest.raises(PipelineError):
        evaluate_pairs(FixedEmbeddings({}), pair_table([], [], []))
