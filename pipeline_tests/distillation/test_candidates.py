"""Checks what silver pairs promise: in one fold, not labelled, no held-out question; and that sources find well."""

import builtins
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st
from small_silver import (
    FOLDS,
    held_out,
    keys_of,
    pair_keys,
    questions_of,
    real_splits,
    sample_splits,
    table_of,
    word_vectors,
)

from pipeline.core.errors import PipelineError
from pipeline.core.progress import LogLine, ProgressEvent
from pipeline.distillation import bm25, neighbours
from pipeline.distillation.bm25 import pairs_by_bm25
from pipeline.distillation.candidates import Candidates, find_candidates, found_by_counts, require_promises
from pipeline.distillation.folds import fold_of_pairs
from pipeline.distillation.neighbours import pairs_by_neighbours
from pipeline.distillation.options import SilverOptions
from pipeline.distillation.questions import NO_FOLD, TrainingQuestions
from pipeline.duplicates.vectors import ArrayVectors
from pipeline.question_pairs.options import SplitPlan
from pipeline.question_pairs.questions import question_key
from pipeline.question_pairs.schema import PairTable, Splits
from pipeline.question_pairs.splits import split_pairs

BOTH = SilverOptions(sources="both", bm25_per_question=4, neighbours_per_question=4)
HELD: dict[str, PairTable] = {"the dev split": table_of([("x", "y", True)]), "the eval split": table_of([])}


@pytest.fixture(scope="module")
def sample() -> Splits:
    return sample_splits()


@pytest.fixture(scope="module")
def questions(sample: Splits) -> TrainingQuestions:
    return questions_of(sample)


@pytest.fixture(scope="module")
def found(sample: Splits, questions: TrainingQuestions) -> Candidates:
    return find_candidates(questions, held_out(sample), BOTH, word_vectors(questions.texts))


def assert_promises(candidates: Candidates, splits: Splits) -> None:
    """What a reader of silver pairs relies on, by texts alone."""
    scored = candidates.scored(np.full(len(candidates), 0.5))
    texts = [[question_key(text) for text in scored.pairs[name]] for name in ("question1", "question2")]
    pairs = [frozenset(pair) for pair in zip(*texts, strict=True)]
    assert len(set(pairs)) == len(pairs)
    assert {len(pair) for pair in pairs} == {2}
    assert pair_keys(splits.train).keys().isdisjoint(pairs)
    asked = frozenset().union(*pairs)
    assert asked <= keys_of(splits.train)
    for side in (splits.dev, splits.eval):
        assert asked.isdisjoint(keys_of(side))
    fold_of: dict[str, set[int]] = {}
    for pair, fold in zip(pairs, candidates.fold.tolist(), strict=True):
        for key in pair:
            fold_of.setdefault(key, set()).add(fold)
    assert {len(folds) for folds in fold_of.values()} == {1}
    assert scored.pairs["fold"].tolist() == candidates.fold.tolist()
    assert not scored.is_gold.any()


def test_no_candidate_breaks_a_promise_in_the_bundled_sample(found: Candidates, sample: Splits) -> None:
    assert len(found) > 1_000
    assert set(found.fold.tolist()) == set(range(FOLDS))
    assert_promises(found, sample)
    assert_is_in_order(found)


def assert_is_in_order(found: Candidates) -> None:
    assert (found.first < found.second).all()
    assert (np.diff(found.first * len(found.questions) + found.second) > 0).all()


def test_the_fold_of_a_candidate_is_that_of_the_labelled_pairs_of_its_questions(
    found: Candidates, sample: Splits
) -> None:
    fold = fold_of_pairs(sample.train, FOLDS, 42)
    of_key = {
        question_key(text): number
        for name in ("question1", "question2")
        for text, number in zip(sample.train.pairs[name], fold, strict=True)
    }
    for column, text in enumerate(found.texts()):
        assert [of_key[question_key(one)] for one in text.to_pylist()] == found.fold.tolist(), column


@settings(derandomize=True, deadline=None, max_examples=tries(40))
@given(
    rows=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.booleans()), min_size=12, max_size=60),
    held=st.sets(st.integers(0, 40), max_size=6),
    sources=st.sampled_from(["bm25", "neighbours", "both"]),
    top=st.integers(1, 6),
    seed=st.integers(0, 1_000),
)
def test_no_candidate_breaks_a_promise_whatever_the_pairs(
    rows: list[tuple[int, int, bool]], held: set[int], sources: Any, top: int, seed: int
) -> None:
    def text(node: int) -> str:
        # Many questions have the same words, and so the same score.
        return f"How do I learn language {node % 7} with {node % 3} books, part {node}?"

    dress = (str, str.upper, "  {}\t".format)
    pairs = [(dress[at % 3](text(a)), dress[(at + 1) % 3](text(b)), label) for at, (a, b, label) in enumerate(rows)]
    train = table_of([*pairs, ("", text(50), False), *((f"How {at}?", f"Do books {at}?", False) for at in range(6))])
    dev = table_of([(text(node).upper(), "unheard of", True) for node in held])
    splits = Splits(train, dev, table_of([("x", "y", True)]))
    log: list[ProgressEvent] = []
    fold = fold_of_pairs(train, 2, seed)
    asked = TrainingQuestions.of(train, fold, held_out(splits), log.append)
    assert any(isinstance(event, LogLine) for event in log) == bool(keys_of(dev) & keys_of(train))
    options = SilverOptions(sources=sources, bm25_per_question=top, neighbours_per_question=top)
    try:
        candidates = find_candidates(asked, held_out(splits), options, word_vectors(asked.texts, 8))
    except PipelineError as error:
        assert "worth scoring" in str(error)  # noqa: PT017
        return
    assert_promises(candidates, splits)
    assert_is_in_order(candidates)


# --- what slips in is refused ---


def with_pair(found: Candidates, first: int, second: int, **changed: Any) -> Candidates:
    questions = replace(found.questions, **changed)
    return Candidates(questions, np.array([first]), np.array([second]), np.array(["bm25"], dtype=object))


def test_a_held_out_question_that_slips_in_is_refused(found: Candidates, sample: Splits) -> None:
    first, second = int(found.first[0]), int(found.second[0])
    texts = list(found.questions.texts)
    texts[second] = f"  {sample.eval.pairs['question2'].iloc[5].upper()}\n"
    broken = with_pair(found, first, second, texts=texts)
    with pytest.raises(PipelineError, match=r"silver pairs stand in the eval split \(1, such as .*report it"):
        require_promises(broken, held_out(sample))
    require_promises(with_pair(found, first, second), held_out(sample))


def test_questions_that_are_not_left_out_are_found_again_at_the_end(
    sample: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the code forgot them: the pairs would have questions of the dev split.
    leaky = Splits(sample.train, sample.train.take(np.arange(200)), sample.eval)
    monkeypatch.setattr(
        "pipeline.distillation.questions.stand_in", lambda texts, tables: np.zeros(len(texts), dtype=bool)
    )
    asked = questions_of(leaky)
    assert (asked.fold != NO_FOLD).all()
    monkeypatch.undo()
    with pytest.raises(PipelineError, match="questions of silver pairs stand in the dev split") as caught:
        find_candidates(asked, held_out(leaky), BOTH, word_vectors(asked.texts))
    assert len(str(caught.value).splitlines()) == 1
    found = find_candidates(questions_of(leaky), held_out(leaky), BOTH, word_vectors(asked.texts))
    assert_promises(found, leaky)


def test_labelled_pairs_equal_questions_and_two_folds_are_refused_at_the_end(found: Candidates, sample: Splits) -> None:
    questions = found.questions
    one, other = np.divmod(questions.gold, len(questions))
    at = int(np.flatnonzero(one != other)[0])
    of_folds = [int(np.flatnonzero(questions.fold == fold)[0]) for fold in (0, 1)]
    for first, second, said in (
        (int(one[at]), int(other[at]), "silver pairs are labelled pairs of the train split"),
        (3, 3, "silver pairs join a question with itself"),
        (of_folds[0], of_folds[1], "silver pairs have questions of two folds"),
    ):
        with pytest.raises(PipelineError, match=said):
            require_promises(with_pair(found, first, second), held_out(sample))
    nowhere = np.full(len(questions), NO_FOLD)
    with pytest.raises(PipelineError, match="have questions that stand in no fold"):
        require_promises(with_pair(found, 0, 1, fold=nowhere), held_out(sample))


def test_a_question_in_two_folds_is_refused() -> None:
    table = table_of([("a", "b", True), ("B ", "c", False)])
    with pytest.raises(PipelineError, match=r"the question 'b' stands in the folds 0 and 1: .*again"):
        TrainingQuestions.of(table, np.array([0, 1]), HELD)


def test_questions_of_reference_splits_that_stand_on_two_sides_are_left_out(sample: Splits) -> None:
    table = PairTable(sample.train.pairs, sample.train.origin)
    splits = split_pairs(table, SplitPlan(strategy="reference"))
    shared = keys_of(splits.train) & (keys_of(splits.dev) | keys_of(splits.eval))
    assert shared
    log: list[ProgressEvent] = []
    asked = TrainingQuestions.of(splits.train, fold_of_pairs(splits.train, 2, 0), held_out(splits), log.append)
    assert int((asked.fold == NO_FOLD).sum()) == len(shared)
    assert log == [
        LogLine(
            "questions of the train split that stand in the dev split or the eval split too are in no silver pair: "
            f"{len(shared):,}"
        )
    ]
    assert_promises(find_candidates(asked, held_out(splits), SilverOptions()), splits)


# --- what the sources find ---


def brute_force(scores: np.ndarray, questions: TrainingQuestions, top: int) -> list[tuple[int, int]]:
    """For each question the best of its fold, as plainly as it can be said."""
    gold = {tuple(map(int, np.divmod(number, len(questions)))) for number in questions.gold}
    found = []
    for one in range(len(questions)):
        others = [
            other
            for other in range(len(questions))
            if other != one
            and questions.fold[one] == questions.fold[other] != NO_FOLD
            and (min(one, other), max(one, other)) not in gold
            and scores[one, other] > -2
        ]
        found += [(one, other) for other in sorted(others, key=lambda at: (-scores[one, at], at))[:top]]
    return found


def as_sorted(pairs: tuple[np.ndarray, np.ndarray]) -> list[tuple[int, int]]:
    return sorted(zip(pairs[0].tolist(), pairs[1].tolist(), strict=True))


@pytest.fixture
def few(sample: Splits) -> TrainingQuestions:
    train = sample.train.take(np.arange(150))
    return TrainingQuestions.of(train, fold_of_pairs(train, 2, 0), HELD)


@pytest.mark.parametrize("top", [1, 3, 500])
def test_neighbours_are_those_of_comparing_each_with_each(
    few: TrainingQuestions, monkeypatch: pytest.MonkeyPatch, top: int
) -> None:
    vectors = word_vectors(few.texts)
    block = vectors.block(0, len(few))
    # Equal vectors have equal cosines, and go by number.
    block[1] = block[0]
    cosines = np.stack([np.einsum("ij,ij->i", np.broadcast_to(one, block.shape), block) for one in block])
    expected = sorted(brute_force(cosines, few, top))
    for rows, columns in ((2_048, 8_192), (7, 29), (100, 3)):
        monkeypatch.setattr(neighbours, "_ROWS", rows)
        monkeypatch.setattr(neighbours, "_COLUMNS", columns)
        assert as_sorted(pairs_by_neighbours(few, ArrayVectors(block), top)) == expected


@pytest.mark.parametrize("top", [1, 3, 500])
def test_bm25_finds_what_its_formula_says(few: TrainingQuestions, top: int) -> None:
    scores = np.full((len(few), len(few)), -9.0)
    for fold in few.folds():
        words = [Counter(bm25._WORD.findall(question_key(few.texts[at]))) for at in fold.members]
        counts = [sum(one.values()) for one in words]
        mean = np.mean(counts)
        containing = Counter(word for one in words for word in one)
        for asks, query in zip(fold.members, words, strict=True):
            for answers, there, length in zip(fold.members, words, counts, strict=True):
                # Lucene's: k1 = 1.5, b = 0.75.
                score = sum(
                    times
                    * np.log(1 + (len(words) - containing[word] + 0.5) / (containing[word] + 0.5))
                    * there[word]
                    / (there[word] + 1.5 * (1 - 0.75 + 0.75 * length / mean))
                    for word, times in query.items()
                )
                scores[asks, answers] = score or -9.0
    # The library adds in float32: compare what is found by its score, not by its place among equals.
    found = as_sorted(pairs_by_bm25(few, top))
    expected = brute_force(scores, few, top)
    assert Counter(one for one, _ in found) == Counter(one for one, _ in expected)
    least: dict[int, float] = {}
    for one, other in expected:
        least[one] = min(least.get(one, 99.0), scores[one, other])
    assert all(scores[one, other] >= least[one] - 1e-4 for one, other in found)
    assert not set(found) - set(brute_force(scores, few, len(few)))


def test_equal_scores_go_by_number() -> None:
    rows = [("red apple", "something else entirely", False), *(("red apple", f"red pear {at}", True) for at in "")]
    rows += [(f"red pear{' ' * at}{chr(65 + at)}", f"unrelated{at}", False) for at in range(6)]
    train = table_of(rows)
    asked = TrainingQuestions.of(train, np.zeros(len(train), dtype=np.int64), HELD)
    first, second = pairs_by_bm25(asked, 2)
    apple = asked.texts.index("red apple")
    pears = [asked.texts.index(text) for text in asked.texts if text.startswith("red pear")]
    assert second[first == apple].tolist() == pears[:2]


@pytest.mark.parametrize("tile", [2, 8_192])
@pytest.mark.parametrize("top", [1, 2, 4])
def test_equal_cosines_go_by_number(monkeypatch: pytest.MonkeyPatch, tile: int, top: int) -> None:
    monkeypatch.setattr(neighbours, "_COLUMNS", tile)
    train = table_of([(f"one {at}", f"other {at}", False) for at in range(5)])
    asked = TrainingQuestions.of(train, np.zeros(5, dtype=np.int64), HELD)
    same = ArrayVectors(np.repeat(word_vectors(["any"]).block(0, 1), 10, axis=0))
    first, second = pairs_by_neighbours(asked, same, top)
    for question in range(10):
        others = [other for other in range(10) if other // 2 != question // 2]
        assert second[first == question].tolist() == others[:top]


def test_questions_without_a_common_word_have_no_pair_by_bm25() -> None:
    train = table_of([("??", "!", False), ("one", "two", True), ("three", "", True), ("...", "four", True)])
    asked = TrainingQuestions.of(train, np.zeros(4, dtype=np.int64), HELD)
    assert as_sorted(pairs_by_bm25(asked, 3)) == []
    nothing = TrainingQuestions.of(table_of([("??", "!", False)]), np.zeros(1, dtype=np.int64), HELD)
    assert as_sorted(pairs_by_bm25(nothing, 3)) == []
    with pytest.raises(PipelineError, match="no pair of the 7 questions of made for a test is worth scoring"):
        find_candidates(asked, HELD, SilverOptions())


def test_the_index_finds_nearly_what_comparing_all_finds(questions: TrainingQuestions) -> None:
    vectors = word_vectors(questions.texts)
    log: list[ProgressEvent] = []
    exact = as_sorted(pairs_by_neighbours(questions, vectors, 3, "exact"))
    index = as_sorted(pairs_by_neighbours(questions, vectors, 3, "index", log.append))
    assert len(set(exact) & set(index)) > 0.95 * len(exact)
    assert sum("the index of" in event.text for event in log if isinstance(event, LogLine)) == FOLDS
    assert index == as_sorted(pairs_by_neighbours(questions, vectors, 3, "index"))


@pytest.fixture
def threads() -> Iterator[Any]:
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_the_same_inputs_give_the_same_candidates_on_any_number_of_threads(
    found: Candidates, sample: Splits, threads: Any
) -> None:
    for number in (1, 3):
        threads(number)
        again = questions_of(sample)
        other = find_candidates(again, held_out(sample), BOTH, word_vectors(again.texts))
        zeros = np.zeros(len(found))
        assert other.scored(zeros).data_version == found.scored(zeros).data_version


def test_a_pair_that_both_sources_find_belongs_to_the_first(found: Candidates, sample: Splits) -> None:
    asked = found.questions
    alone = find_candidates(asked, held_out(sample), BOTH.model_copy(update={"sources": "bm25"}))
    by_bm25 = found.found_by == "bm25"
    np.testing.assert_array_equal(alone.first, found.first[by_bm25])
    np.testing.assert_array_equal(alone.second, found.second[by_bm25])
    counts = found_by_counts(found.scored(np.zeros(len(found))))
    assert counts == {"bm25": len(alone), "neighbours": len(found) - len(alone)}
    assert counts["neighbours"] > 0


# --- refusals ---


def test_without_bm25s_it_is_said(
    questions: TrainingQuestions, sample: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "bm25s":
            raise ModuleNotFoundError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PipelineError, match=r"need bm25s.*pip install 'quora-finetuning-pipeline\[silver\]'") as caught:
        find_candidates(questions, held_out(sample), SilverOptions())
    assert len(str(caught.value).splitlines()) == 1


def test_vectors_of_other_questions_are_refused(questions: TrainingQuestions, sample: Splits) -> None:
    options = SilverOptions(sources="neighbours")
    with pytest.raises(PipelineError, match="need a vector of each training question"):
        find_candidates(questions, held_out(sample), options)
    with pytest.raises(PipelineError, match=r"2 vectors can't stand for [\d,]+ training questions"):
        find_candidates(questions, held_out(sample), options, word_vectors(["a", "b"]))


def test_another_number_of_scores_is_refused(found: Candidates) -> None:
    with pytest.raises(PipelineError, match=r"gave 1 score for [\d,]+ silver pairs: score these very pairs"):
        found.scored(np.zeros(1))
    with pytest.raises(PipelineError, match="the score nan"):
        found.scored(np.full(len(found), np.nan))


# --- real pairs ---


def test_no_candidate_of_real_pairs_breaks_a_promise(real_pairs_path: Path) -> None:
    splits = real_splits(real_pairs_path, 12_000)
    asked = questions_of(splits)
    candidates = find_candidates(asked, held_out(splits), BOTH, word_vectors(asked.texts))
    assert_promises(candidates, splits)
    assert_is_in_order(candidates)
    assert len(candidates) > 2 * len(splits.train)
    assert candidates.texts()[0].type == pa.large_string()
