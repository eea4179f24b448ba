"""Vectors of a teacher in the space of a student: angles are kept, and each fold is turned by itself."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_silver import questions_of, sample_splits, word_vectors

from pipeline.distillation.targets import aligned, target_vectors
from pipeline.duplicates.vectors import ArrayVectors
from pipeline.models.info import ModelInfo
from pipeline.models.unit_length import unit

BASE = ModelInfo(kind="folder", name="tiny", location="/tiny", version="0" * 16)


def random_units(seed: int, n: int, dimensions: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(n, dimensions)))


def rotation(seed: int, dimensions: int) -> np.ndarray:
    q: np.ndarray = np.linalg.qr(np.random.default_rng(seed).normal(size=(dimensions, dimensions)))[0]
    return q


@given(st.integers(0, 1000), st.integers(2, 12))
@settings(max_examples=30, deadline=None)
def test_a_space_that_was_turned_is_turned_back(seed: int, dimensions: int) -> None:
    towards = random_units(seed, 40, dimensions)
    turned = (towards @ rotation(seed + 1, dimensions)).astype(np.float32)
    np.testing.assert_allclose(aligned(turned, towards), towards, atol=1e-5)


@given(st.integers(0, 1000), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_angles_are_kept_where_the_other_space_has_dimensions_enough(seed: int, dimensions: int) -> None:
    vectors, towards = random_units(seed, 30, dimensions), random_units(seed + 1, 30, 8)
    found = aligned(vectors, towards)
    assert found.shape == (30, 8)
    np.testing.assert_allclose(found @ found.T, vectors @ vectors.T, atol=1e-5)


def test_of_a_larger_space_the_components_that_count_most_are_kept() -> None:
    inside = random_units(0, 50, 4)
    # Four dimensions of five hold it all, but for a little.
    wide = unit(np.concatenate([inside, np.full((50, 1), 0.01)], axis=1)) @ rotation(1, 5)
    found = aligned(wide.astype(np.float32), random_units(2, 50, 4))
    np.testing.assert_allclose(found @ found.T, inside @ inside.T, atol=1e-3)


def test_each_question_has_the_vector_of_members_that_have_not_seen_its_fold() -> None:
    questions = questions_of(sample_splits())
    base = word_vectors(questions.texts).block(0, len(questions))
    number = {text: row for row, text in enumerate(questions.texts)}
    asked: list[int] = []

    def vectors_of(fold: int, texts: Sequence[str]) -> list[np.ndarray]:
        rows = np.array([number[text] for text in texts])
        assert (questions.fold[rows] == fold).all()
        asked.append(fold)
        # A space of each fold's own.
        return [(base[rows] @ rotation(fold, base.shape[1])).astype(np.float32)]

    found = target_vectors(questions, vectors_of, BASE, ArrayVectors(base))
    assert asked == sorted(set(questions.fold.tolist()))
    assert found.base_model_version == BASE.version
    np.testing.assert_allclose(found.of(questions.texts), base, atol=2e-3)


def test_several_members_count_by_the_mean_of_their_cosines() -> None:
    questions = questions_of(sample_splits())
    members = [random_units(seed, len(questions), 3) for seed in (0, 1)]
    number = {text: row for row, text in enumerate(questions.texts)}

    def vectors_of(fold: int, texts: Sequence[str]) -> list[np.ndarray]:
        rows = [number[text] for text in texts]
        return [member[rows] for member in members]

    found = target_vectors(questions, vectors_of, BASE, ArrayVectors(random_units(2, len(questions), 8)))
    fold = np.flatnonzero(questions.fold == 0)[:20]
    got = found.of([questions.texts[row] for row in fold]).astype(np.float32)
    expected = np.mean([member[fold] @ member[fold].T for member in members], axis=0)
    np.testing.assert_allclose(got @ got.T, expected, atol=5e-3)


@pytest.mark.parametrize("number", [0, 1])
def test_a_question_without_a_direction_has_no_target(number: int) -> None:
    questions = questions_of(sample_splits())
    base = random_units(0, len(questions), 4)
    vectors = random_units(1, len(questions), 4)
    vectors[number] = 0
    of = {text: row for row, text in enumerate(questions.texts)}
    found = target_vectors(
        questions, lambda _, texts: [vectors[[of[text] for text in texts]]], BASE, ArrayVectors(base)
    )
    assert len(found) == len(questions) - 1
    assert np.isnan(found.of([questions.texts[number]])).all()
