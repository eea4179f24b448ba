"""Training by a teacher's vectors: their way into the student's space, and what they change in a training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sentence_transformers import SentenceTransformer
from small_data import sample_pairs
from tiny_models import make_model

from pipeline.core.errors import SettingError
from pipeline.core.progress import ignore
from pipeline.models.base_model import resolve_base_model
from pipeline.models.info import ModelInfo
from pipeline.models.options import BaseModelChoice
from pipeline.training import teacher
from pipeline.training.batches import TrainingPairs
from pipeline.training.fine_tune import fine_tune
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import RunFolder
from pipeline.training.teacher import aligned, target_vectors
from pipeline.vectors.blocks import unit

TAUGHT: dict[str, Any] = {"loss": "cosent", "loss_weights": {"distillation_embeddings": 20.0}, "teacher_model": "t"}


def random_units(seed: int, n: int, dimensions: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(n, dimensions)))


def rotation(seed: int, dimensions: int) -> np.ndarray:
    q: np.ndarray = np.linalg.qr(np.random.default_rng(seed).normal(size=(dimensions, dimensions)))[0]
    return q


@given(st.integers(0, 1000), st.integers(2, 12))
@settings(max_examples=30, deadline=None)
def test_a_rotated_space_is_rotated_back(seed: int, dimensions: int) -> None:
    towards = random_units(seed, 40, dimensions)
    turned = (towards @ rotation(seed + 1, dimensions)).astype(np.float32)
    np.testing.assert_allclose(aligned(turned, towards), towards, atol=1e-5)


@given(st.integers(0, 1000), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_angles_are_kept_where_the_other_space_has_enough_dimensions(seed: int, dimensions: int) -> None:
    vectors, towards = random_units(seed, 30, dimensions), random_units(seed + 1, 30, 8)
    found = aligned(vectors, towards)
    assert found.shape == (30, 8)
    np.testing.assert_allclose(found @ found.T, vectors @ vectors.T, atol=1e-5)


def test_of_a_larger_space_the_principal_components_are_kept() -> None:
    inside = random_units(0, 50, 4)
    # Four dimensions of five hold nearly all of it.
    wide = unit(np.concatenate([inside, np.full((50, 1), 0.01)], axis=1)) @ rotation(1, 5)
    found = aligned(wide.astype(np.float32), random_units(2, 50, 4))
    np.testing.assert_allclose(found @ found.T, inside @ inside.T, atol=1e-3)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[ModelInfo, ModelInfo]:
    """A student's base model, and a teacher with more dimensions."""
    folder = make_model(tmp_path_factory.mktemp("teacher") / "wide", pooling=("mean", "max", "cls"))
    base, large = (resolve_base_model(BaseModelChoice(model=str(path))) for path in (tiny_model, folder))
    return base, large


def test_the_vectors_are_the_teachers_own_in_the_students_space(models: tuple[ModelInfo, ModelInfo]) -> None:
    base, large = models
    questions = TrainingPairs.of(sample_pairs().take(np.arange(96))).index.texts
    found = target_vectors(large, base, questions, "cpu", ignore).astype(np.float32)
    theirs, own = (SentenceTransformer(info.location, device="cpu").encode(questions) for info in (large, base))
    assert theirs.shape[1] != own.shape[1]
    assert found.shape == own.shape
    np.testing.assert_allclose(found, aligned(theirs, own), atol=2e-3)
    assert (target_vectors(large, base, questions, "cpu", ignore) == found.astype(np.float16)).all()


def test_a_question_without_a_direction_has_no_target(
    models: tuple[ModelInfo, ModelInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = random_units(1, 5, 4)
    vectors[2] = 0
    monkeypatch.setattr(teacher, "_embed", lambda *arguments: vectors)
    found = target_vectors(*models, ["?"] * 5, "cpu", ignore)
    assert np.isnan(found).all(axis=1).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"loss": "distillation_embeddings"}, "distillation_embeddings needs teacher_model"),
        ({**TAUGHT, "teacher_model": None}, "distillation_embeddings needs teacher_model"),
        ({**TAUGHT, "loss_weights": {"distillation_embeddings": 0.0}}, "no loss reads a teacher's vectors"),
        ({"teacher_model": "t"}, "no loss reads a teacher's vectors"),
        ({"teacher_revision": "main"}, "teacher_revision is 'main' without teacher_model"),
        ({"loss": "distillation_mse"}, "the loss distillation_mse, .* was removed"),
        ({"loss_weights": {"distillation_cross_entropy": 1.0}}, "the loss distillation_cross_entropy, .* was removed"),
    ],
)
def test_the_loss_and_the_teacher_belong_together(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Recipe.model_validate(knobs)


def test_a_removed_loss_without_a_weight_is_ignored() -> None:
    assert Recipe(loss="cosent", loss_weights={"distillation_mse": 0.0}) == Recipe(loss="cosent")


def test_a_training_is_given_the_teacher_that_its_recipe_names(models: tuple[ModelInfo, ModelInfo]) -> None:
    base, large = models
    pairs = sample_pairs().take(np.arange(8))
    for recipe, given_teacher in ((Recipe(**TAUGHT), None), (Recipe(), large)):
        with pytest.raises(SettingError) as caught:
            TrainingJob(pairs, pairs, base, recipe, given_teacher)
        assert caught.value.values["teacher_model"] == recipe.teacher_model


def test_the_teachers_version_decides_what_a_training_is_and_its_name_does_not(
    models: tuple[ModelInfo, ModelInfo],
) -> None:
    base, large = models
    pairs = sample_pairs().take(np.arange(8))
    job = TrainingJob(pairs, pairs, base, Recipe(**TAUGHT), large)
    moved = replace(job, recipe=Recipe(**{**TAUGHT, "teacher_model": "elsewhere", "teacher_revision": "main"}))
    assert moved.fingerprint == job.fingerprint
    assert replace(job, teacher=base).fingerprint != job.fingerprint


@pytest.mark.slow
def test_a_student_comes_nearer_to_its_teacher(models: tuple[ModelInfo, ModelInfo], tmp_path: Path) -> None:
    base, large = models
    pairs = sample_pairs()
    knobs: dict[str, Any] = {
        "batch_size": 16,
        "learning_rate": 1e-3,
        "epochs": 4,
        "device": "cpu",
        "load_best_model_at_end": False,
    }
    recipe = Recipe(**knobs, loss="distillation_embeddings", teacher_model=large.location)
    job = TrainingJob(pairs.take(np.arange(96)), pairs.take(np.arange(96, 144)), base, recipe, large)
    folder = RunFolder.claim(tmp_path, RunIdentity("run", 1), job.fingerprint)
    result = fine_tune(job, folder)
    assert result.teacher_version == large.version
    assert result.recipe["teacher_model"] == large.location
    questions = TrainingPairs.of(job.train).index.texts
    targets = target_vectors(large, base, questions, "cpu", ignore).astype(np.float32)
    before, after = (
        float((unit(SentenceTransformer(info.location, device="cpu").encode(questions)) * targets).sum(axis=1).mean())
        for info in (base, result.model)
    )
    assert 1 - after < 0.7 * (1 - before)
    assert fine_tune(job, folder) == result
