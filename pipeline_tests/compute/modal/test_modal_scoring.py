"""A cross-encoder is trained in a container, and scores parts of many pairs in containers side by side."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from modal_loopback import LoopbackModal
from modal_training import UNIX_TIME, VOLUME, Training
from sentence_transformers import CrossEncoder
from tiny_model import WIDTH

from pipeline.compute.base import PairTexts
from pipeline.compute.driver import train
from pipeline.compute.local import LocalCompute
from pipeline.compute.modal.client import ModalCompute
from pipeline.core.errors import PipelineError
from pipeline.core.files import file_sha256
from pipeline.core.progress import Advanced, ProgressEvent, ignore
from pipeline.question_pairs.scored import ScoredPairs
from pipeline.question_pairs.target_vectors import TargetVectors
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Recipe

pytestmark = pytest.mark.slow

PARTS: list[PairTexts] = [
    (["How do I learn Python?", "Why?"], ["What is the best way to learn Python?", "Why not?"]),
    (["🙂"], [""]),
    (["Where is my invoice?", "שלום", "x" * 1_000], ["Where can I find my invoice?", "?", "y"]),
]


@pytest.fixture
def teacher(training: Training) -> Training:
    """As `training`, of a cross-encoder."""
    recipe = training.recipe.model_dump() | {
        "architecture": "cross_encoder",
        "loss": "binary_cross_entropy",
        "swap_pairs": True,
        "epochs": 1,
    }
    return replace(training, recipe=Recipe.model_validate(recipe))


def test_it_is_trained_and_scores_there_as_here(
    teacher: Training, modal_compute: ModalCompute, modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    local = LocalCompute(tmp_path / "local")
    there, here = teacher.run(modal_compute), teacher.run(local)
    weights = Path(here.model.location) / "model.safetensors"
    assert file_sha256(modal_loopback.volume_files(VOLUME)["tiny-ft/model.safetensors"]) == file_sha256(weights)
    assert (there.model.version, there.dev_evaluations) == (here.model.version, here.dev_evaluations)
    assert there.recipe["architecture"] == "cross_encoder"
    modal_compute.verify(there)

    before = len(modal_loopback.requests("FunctionMap"))
    events: list[ProgressEvent] = []
    scores = list(modal_compute.score_pairs(there.model, PARTS, events.append))
    # All were handed over before the first was waited for.
    assert len(modal_loopback.requests("FunctionMap")) - before == len(PARTS)
    assert [event.done for event in events if isinstance(event, Advanced)] == [2, 1, 3]
    library = CrossEncoder(here.model.location, device="cpu")
    for (first, second), mine, theirs in zip(PARTS, local.score_pairs(here.model, PARTS, ignore), scores, strict=True):
        assert theirs.dtype == np.float32
        assert theirs.shape == (len(first),)
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
        expected = library.predict(list(zip(first, second, strict=True)), show_progress_bar=False)
        np.testing.assert_allclose(1 / (1 + np.exp(-theirs)), expected, atol=1e-5)

    # The model of this machine is uploaded; both orders of a pair have one mean.
    turned = [(second, first) for first, second in PARTS]
    there_and_back = zip(
        modal_compute.score_pairs(here.model, PARTS, ignore, both_ways=True),
        local.score_pairs(here.model, turned, ignore, both_ways=True),
        strict=True,
    )
    for one, other in there_and_back:
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert list(modal_compute.score_pairs(there.model, [], ignore)) == []
    assert list(local.score_pairs(here.model, [], ignore)) == []


def test_a_student_learns_there_from_scored_pairs_and_vectors_as_here(
    training: Training, modal_compute: ModalCompute, modal_loopback: LoopbackModal, tmp_path: Path
) -> None:
    gold = training.train.pairs
    scored = ScoredPairs(
        pd.DataFrame(
            {
                "question1": gold["question1"].iloc[:20],
                "question2": gold["question2"].iloc[20:40].to_numpy(),
                "score": np.linspace(0, 1, 20),
                "is_gold": False,
                "is_duplicate": False,
                "fold": 0,
                "found_by": "bm25",
            }
        ).reset_index(drop=True),
        training.train.origin,
    )
    texts = sorted({text.strip().lower() for text in gold["question1"]})
    vectors = np.eye(len(texts), WIDTH, dtype=np.float16)
    vectors[WIDTH:, 0] = 1
    targets = TargetVectors(texts, vectors, training.base_model.version)
    weights = {"distillation_mse": 1.0, "distillation_embeddings": 1.0}
    knobs = {"learn_from": "both", "loss": "cosent", "loss_weights": weights, "epochs": 1, "vector_epochs": 1}
    recipe = Recipe.model_validate(training.recipe.model_dump() | knobs)
    job = TrainingJob(training.train, training.dev, training.base_model, recipe, scored, targets)
    run = RunIdentity("run", UNIX_TIME)
    there = train(modal_compute, job, run, ignore)
    here = train(LocalCompute(tmp_path / "local"), job, run, ignore)
    assert there.scored_version == here.scored_version == scored.data_version
    assert there.vectors_version == here.vectors_version == targets.data_version
    assert there.model.version == here.model.version
    assert there.train_pairs == len(training.train) + 20


def test_a_model_without_a_head_is_refused_in_one_line(
    training: Training, modal_compute: ModalCompute, tmp_path: Path
) -> None:
    for compute in (modal_compute, LocalCompute(tmp_path)):
        with pytest.raises(PipelineError, match="is a SentenceTransformer model, which has no head that scores pairs"):
            list(compute.score_pairs(training.base_model, PARTS, ignore))
