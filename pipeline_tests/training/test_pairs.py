"""Which pairs a recipe learns from: labelled ones, those that follow from them, and what a teacher has scored."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_silver import ORIGIN, keys_of, sample_splits, table_of

from pipeline.core.errors import PipelineError
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.questions import question_key
from pipeline.question_pairs.schema import Division, PairTable
from pipeline.question_pairs.scored import SCORED_SCHEMA, ScoredPairs
from pipeline.question_pairs.target_vectors import TargetVectors
from pipeline.training.fingerprint import training_fingerprint
from pipeline.training.job import TrainingJob
from pipeline.training.pairs import UNLABELLED, TrainingPairs
from pipeline.training.recipe import Recipe

BASE = ModelInfo(kind="folder", name="tiny", location="/tiny", version="0" * 16)
MSE: dict[str, Any] = {"loss": "cosent", "loss_weights": {"distillation_mse": 1.0}}
EMBEDDINGS: dict[str, Any] = {"loss": "cosent", "loss_weights": {"distillation_embeddings": 20.0}}
VECTORS = TargetVectors(
    ["how old is it?", "Who is she?"], np.array([[1, 0], [0.6, 0.8]], dtype=np.float16), BASE.version
)
GOLD = table_of([("How old is it?", "What is its age?", True), ("Who is she?", "Where is he?", False)])
SCORED = ScoredPairs(
    pd.DataFrame(
        [
            # The first labelled pair, the other way round and written otherwise.
            ("what is its age? ", "how old is it?", 0.9, True, True, 0, "gold"),
            ("How old is it?", "Who is she?", 0.2, False, False, 0, "bm25"),
            ("What is its age?", "Where is he?", 0.4, False, False, 1, "neighbours"),
        ],
        columns=SCORED_SCHEMA.names,
    ),
    ORIGIN,
)


def job(scored: ScoredPairs | None = SCORED, train: PairTable = GOLD, **knobs: Any) -> TrainingJob:
    return TrainingJob(train, train.take(np.arange(0)), BASE, Recipe(batch_size=2, **knobs), scored)


def rows(pairs: TrainingPairs) -> list[tuple[str, str, int, float]]:
    texts = pairs.index.texts
    return [
        (texts[first], texts[second], int(label), round(float(target), 4))
        for first, second, label, target in zip(
            pairs.index.first, pairs.index.second, pairs.labels, pairs.targets, strict=True
        )
    ]


def test_labelled_pairs_have_labels_and_the_teachers_probability_where_it_has_scored_them() -> None:
    first, second = rows(TrainingPairs.of_job(job(**MSE)))
    assert first == ("How old is it?", "What is its age?", 1, 0.9)
    assert second[:3] == ("Who is she?", "Where is he?", 0)
    assert np.isnan(second[3])


def test_silver_pairs_have_the_teachers_probability_and_no_label() -> None:
    silver = [("How old is it?", "Who is she?", UNLABELLED, 0.2), ("What is its age?", "Where is he?", UNLABELLED, 0.4)]
    assert rows(TrainingPairs.of_job(job(learn_from="both", **MSE)))[2:] == silver
    assert rows(TrainingPairs.of_job(job(learn_from="silver", loss="distillation_cross_entropy"))) == silver


def test_without_a_loss_that_reads_scores_they_change_nothing() -> None:
    plain, scored = job(None, loss="cosent"), job(SCORED, loss="cosent")
    assert rows(TrainingPairs.of_job(scored))[0][:3] == rows(TrainingPairs.of_job(plain))[0][:3]
    assert np.isnan(TrainingPairs.of_job(scored).targets).all()
    assert scored.fingerprint == plain.fingerprint
    assert plain.fingerprint == training_fingerprint(plain.recipe, GOLD.data_version, plain.dev.data_version, "0" * 16)


def test_scores_that_are_read_decide_what_a_training_is() -> None:
    other = ScoredPairs(SCORED.pairs.assign(score=SCORED.scores / 2), ORIGIN)
    assert len({job(SCORED, **MSE).fingerprint, job(other, **MSE).fingerprint, job(loss="cosent").fingerprint}) == 3


def test_a_recipe_that_learns_from_a_teacher_needs_scored_pairs() -> None:
    with pytest.raises(PipelineError, match="launch the jobs `teacher` and `silver`"):
        job(None, **MSE)


def taught(vectors: TargetVectors | None, base: ModelInfo = BASE, **knobs: Any) -> TrainingJob:
    return TrainingJob(GOLD, GOLD.take(np.arange(0)), base, Recipe(batch_size=2, **knobs), SCORED, vectors)


def test_texts_have_the_teachers_vectors_where_it_has_given_them_one() -> None:
    pairs = TrainingPairs.of_job(taught(VECTORS, **EMBEDDINGS))
    row_of = {text: row for row, text in enumerate(pairs.index.texts)}
    assert pairs.vectors is not None
    np.testing.assert_array_equal(pairs.vectors[row_of["How old is it?"]], VECTORS.vectors[0])
    assert np.isnan(pairs.vectors[row_of["Where is he?"]]).all()


def test_without_a_loss_that_reads_vectors_they_change_nothing() -> None:
    plain, with_vectors = taught(None, loss="cosent"), taught(VECTORS, loss="cosent")
    assert TrainingPairs.of_job(with_vectors).vectors is None
    assert with_vectors.vectors_version is None
    assert with_vectors.fingerprint == plain.fingerprint


def test_vectors_that_are_read_decide_what_a_training_is() -> None:
    other = TargetVectors(VECTORS.texts, VECTORS.vectors[::-1].copy(), BASE.version)
    jobs = [taught(VECTORS, **EMBEDDINGS), taught(other, **EMBEDDINGS), taught(None, loss="cosent")]
    assert len({job.fingerprint for job in jobs}) == 3


def test_a_recipe_that_reads_vectors_needs_them_in_the_space_of_its_base_model() -> None:
    with pytest.raises(PipelineError, match="there are no vectors of a teacher"):
        taught(None, **EMBEDDINGS)
    with pytest.raises(PipelineError, match="the recipe has vector_epochs, and there are no vectors of a teacher"):
        taught(None, vector_epochs=1)
    with pytest.raises(PipelineError, match="in the space of the base model 0000000000000000, and tiny is 1111"):
        taught(VECTORS, BASE.model_copy(update={"version": "1" * 16}), **EMBEDDINGS)


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"learn_from": "both", "loss": "cosent"}, "silver pairs have no labels for the loss cosent"),
        ({"learn_from": "silver", **MSE}, "choose distillation_mse or distillation_cross_entropy, or learn_from: both"),
        ({"learn_from": "both", "loss": "cosent", "loss_weights": {"distillation_mse": 0.0}}, "no labels"),
        ({"closure_cluster": 1}, "closure_cluster is 1"),
    ],
)
def test_a_recipe_without_a_loss_for_its_pairs_is_refused(knobs: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Recipe(**knobs)


def test_pairs_that_follow_from_labels_have_no_held_out_question() -> None:
    splits = sample_splits()
    asked = TrainingJob(splits.train, splits.dev, BASE, Recipe(closure_cluster=10))
    pairs = TrainingPairs.of_job(asked)
    added = rows(pairs)[len(splits.train) :]
    assert len(added) > 20
    held_out = keys_of(splits.dev) | keys_of(splits.eval)
    assert all(question_key(text) not in held_out for first, second, *_ in added for text in (first, second))
    assert {label for _, _, label, _ in added} == {0, 1}


def test_where_questions_stand_on_two_sides_nothing_is_concluded_from_labels() -> None:
    origin = ORIGIN.model_copy(update={"division": Division(plan="0" * 16, strategy="reference")})
    shared = PairTable(GOLD.pairs, origin)
    with pytest.raises(PipelineError, match="may be eval pairs: set it to 0"):
        TrainingPairs.of_job(job(None, shared, closure_cluster=10))
