"""Checks the training of a cross-encoder from outside: what it leaves, that it repeats, resumes, and makes do."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_folders import folder_for
from sentence_transformers import CrossEncoder
from sklearn.metrics import average_precision_score
from small_data import sample_pairs
from tiny_models import make_transformer

from pipeline.core.progress import CheckpointSaved, DevEvaluated, ProgressEvent, TrainingResumed, TrainingStep, ignore
from pipeline.models.base_model import resolve_base_model
from pipeline.models.cross_encoder import load_cross_encoder, make_cross_encoder
from pipeline.models.decision import DECISION_FILE_NAME
from pipeline.models.embedding import to_device
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.models.options import BaseModelChoice
from pipeline.models.pair_scoring import score_pairs
from pipeline.models.precision import Hardware
from pipeline.question_pairs.schema import PairTable
from pipeline.reporting.recipe_knobs import KNOBS_OF_CROSS_ENCODER_LOSSES, knobs_that_counted
from pipeline.training.fine_tune import _session, fine_tune
from pipeline.training.job import TrainingJob
from pipeline.training.manifest import read_manifest, verify_model
from pipeline.training.pairs import TrainingPairs
from pipeline.training.recipe import CROSS_ENCODER_LOSSES, LossName, Recipe
from pipeline.training.run_folder import RunFolder
from pipeline.training.score_losses import logit_loss
from pipeline.training.trainer import CrossEncoderPairTrainer

RECIPE = Recipe(
    architecture="cross_encoder", loss="binary_cross_entropy", swap_pairs=True, epochs=2, batch_size=8,
    checkpoint_steps=4, evaluations_per_epoch=2, learning_rate=1e-3, device="cpu", precision="fp32", allow_slow=True,
)  # fmt: skip
"""16 steps over 64 pairs, evaluated at 4, 8, 12 and 16."""


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> ModelInfo:
    """A plain transformers model, whose weights tell questions apart."""
    folder = make_transformer(tmp_path_factory.mktemp("base") / "small", "bert", model_max_length=48)
    return resolve_base_model(BaseModelChoice(model=str(folder)))


@pytest.fixture(scope="module")
def job(base_model: ModelInfo) -> TrainingJob:
    pairs = sample_pairs()
    return TrainingJob(pairs.take(np.arange(64)), pairs.take(np.arange(64, 112)), base_model, RECIPE)


def changed(job: TrainingJob, **knobs: Any) -> TrainingJob:
    return replace(job, recipe=RECIPE.model_copy(update=knobs))


def weights(result: FineTunedModel) -> bytes:
    return (Path(result.model.location) / "model.safetensors").read_bytes()


def texts(table: PairTable) -> tuple[list[str], list[str]]:
    return table.pairs["question1"].tolist(), table.pairs["question2"].tolist()


class Undisturbed:
    """One training from start to end; the others are held against it."""

    def __init__(self, job: TrainingJob, runs: Path) -> None:
        self.events: list[ProgressEvent] = []
        self.folder = folder_for(job, runs)
        self.result = fine_tune(job, self.folder, self.events.append)


@pytest.fixture(scope="module")
def undisturbed(job: TrainingJob, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(job, tmp_path_factory.mktemp("runs"))


# --- what it leaves ---------------------------------------------------------------------------------------------


def test_the_result_says_what_it_is_and_is_sealed(undisturbed: Undisturbed) -> None:
    result, folder = undisturbed.result, undisturbed.folder.path
    assert result.recipe["architecture"] == "cross_encoder"
    assert (result.steps, result.train_pairs, result.pair_visits, result.layout) == (16, 64, 128, "packed")
    assert (result.decision, result.model.properties) == (None, None)
    assert not (Path(result.model.location) / DECISION_FILE_NAME).exists()
    assert not (Path(result.model.location) / "eval").exists()
    assert read_manifest(folder).result == result
    verify_model(folder, result.model.version)
    assert list(folder.rglob("*.bin")) == []
    questions = {question for side in texts(sample_pairs().take(np.arange(112))) for question in side}
    cards = "".join(card.read_text() for card in folder.rglob("README.md"))
    assert [question for question in questions if question in cards] == []


def test_it_scores_as_the_library_s_cross_encoder_of_the_folder(undisturbed: Undisturbed, job: TrainingJob) -> None:
    first, second = texts(job.dev)
    model = load_cross_encoder(undisturbed.result.model, "cpu")
    theirs = CrossEncoder(undisturbed.result.model.location, device="cpu")
    expected = theirs.predict(list(zip(first, second, strict=True)), show_progress_bar=False)
    scores = score_pairs(model, first, second, token_budget=512)
    np.testing.assert_allclose(1 / (1 + np.exp(-scores)), expected, atol=1e-4)
    # The kept checkpoint is the best evaluation's.
    result = undisturbed.result
    best = max(evaluation.average_precision for evaluation in result.dev_evaluations)
    assert average_precision_score(job.dev.labels, expected) == pytest.approx(best, abs=1e-6)
    assert next(e.step for e in result.dev_evaluations if e.average_precision == best) == result.kept_step


def test_progress_tells_steps_checkpoints_and_dev_results(undisturbed: Undisturbed) -> None:
    events, result = undisturbed.events, undisturbed.result
    assert [event.step for event in events if isinstance(event, TrainingStep)] == list(range(1, 17))
    dev = [event for event in events if isinstance(event, DevEvaluated)]
    assert [(event.step, event.average_precision) for event in dev] == [
        (evaluation.step, evaluation.average_precision) for evaluation in result.dev_evaluations
    ]
    assert [event.step for event in dev] == [4, 8, 12, 16]


def test_people_are_shown_the_knobs_that_counted(undisturbed: Undisturbed) -> None:
    shown = knobs_that_counted(undisturbed.result)
    assert (shown["architecture"], shown["swap_pairs"]) == ("cross_encoder", True)
    assert not {"scale", "center", "margin", "group_size"} & shown.keys()
    embedding = undisturbed.result.model_copy(update={"recipe": Recipe().model_dump()})
    assert not {"architecture", "swap_pairs"} & knobs_that_counted(embedding).keys()


# --- that it repeats and resumes --------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights_and_another_one_others(
    undisturbed: Undisturbed, job: TrainingJob, tmp_path: Path
) -> None:
    torch.manual_seed(12345)
    again = fine_tune(job, folder_for(job, tmp_path))
    assert weights(again) == weights(undisturbed.result)
    assert again.losses == undisturbed.result.losses
    other = changed(job, seed=7, epochs=1)
    assert weights(fine_tune(other, folder_for(other, tmp_path))) != weights(undisturbed.result)


@pytest.mark.parametrize("interrupted_at", [4, 16], ids=["first checkpoint", "last checkpoint"])
def test_an_interrupted_training_resumes_to_the_same_weights(
    undisturbed: Undisturbed, job: TrainingJob, tmp_path: Path, interrupted_at: int
) -> None:
    folder = folder_for(job, tmp_path)

    def interrupt(event: ProgressEvent) -> None:
        if isinstance(event, CheckpointSaved) and event.step == interrupted_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(job, folder, interrupt)
    events: list[ProgressEvent] = []
    resumed = fine_tune(job, folder, events.append)
    assert events[0] == TrainingResumed(interrupted_at, 16, str(folder.checkpoints / str(interrupted_at)))
    assert weights(resumed) == weights(undisturbed.result)
    assert resumed.dev_evaluations == undisturbed.result.dev_evaluations


def test_a_training_out_of_patience_stops_and_stays_stopped(job: TrainingJob, tmp_path: Path) -> None:
    # Steps this small change no ranking.
    job = changed(job, learning_rate=1e-12, patience=1, warmup_fraction=0.0)
    folder = folder_for(job, tmp_path)
    result = fine_tune(job, folder)
    assert (result.steps, result.kept_step) == (8, 4)
    folder.manifest.unlink()
    assert fine_tune(job, folder).dev_evaluations == result.dev_evaluations


def test_the_average_of_the_weights_is_what_is_kept(job: TrainingJob, tmp_path: Path) -> None:
    job = replace(changed(job, average_decay=0.9, epochs=1), dev=job.dev.take(np.arange(0)))
    averaged = fine_tune(job, folder_for(job, tmp_path))
    plain = replace(job, recipe=job.recipe.model_copy(update={"average_decay": None}))
    assert weights(averaged) != weights(fine_tune(plain, folder_for(plain, tmp_path)))
    assert averaged.dev_evaluations == []


# --- batches ----------------------------------------------------------------------------------------------------


def logits_in_training(job: TrainingJob, folder: Path) -> tuple[str, np.ndarray]:
    """The layout, and the logits that the losses are given for a batch of all pairs, every second one swapped."""
    given: list[torch.Tensor] = []

    def keep(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        given.extend((logits, labels))
        return logits.sum()

    hardware, pairs = Hardware("cpu", "fp32"), TrainingPairs.of(job.train)
    with _session(job, pairs, hardware, 4_096, RunFolder(folder), ignore) as session:
        trainer = session.trainer
        trainer.loss._terms = [(1.0, keep)]
        trainer.model.eval()
        n = len(pairs)
        rows = np.arange(n) + n * (np.arange(n) % 2)
        batch = trainer._collator(rows)
        inputs = {**batch, "features": to_device(batch["features"], trainer.args.device)}
        trainer.compute_loss(trainer.model, inputs).backward()
        order = rows[np.argsort(trainer._collator.lengths[rows], kind="stable")] % n
    logits = np.empty(n, dtype=np.float32)
    logits[order] = given[0].detach().numpy()
    assert given[1].tolist() == job.train.labels[order].tolist()
    return session.layout, logits


@pytest.mark.parametrize("architecture", ["bert", "mpnet"])
def test_the_loss_is_given_the_scores_of_the_pairs_each_in_its_order(
    job: TrainingJob, tmp_path: Path, architecture: str
) -> None:
    folder = make_transformer(tmp_path / architecture, architecture, model_max_length=48)
    job = replace(job, base_model=resolve_base_model(BaseModelChoice(model=str(folder))))
    layout, logits = logits_in_training(job, tmp_path / "run")
    assert (layout == "packed") == (architecture == "bert")
    model = make_cross_encoder(job.base_model, "cpu", RECIPE.seed)
    first, second = texts(job.train)
    expected = np.where(
        np.arange(64) % 2 == 0, score_pairs(model, first, second, 512), score_pairs(model, second, first, 512)
    )
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@pytest.mark.slow
def test_memory_that_is_too_small_halves_the_budget(
    job: TrainingJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compute = CrossEncoderPairTrainer.forward_backward

    def forward_backward(self: CrossEncoderPairTrainer, indices: np.ndarray) -> None:
        if self._collator.tokens(indices).sum() > 200:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory")
        compute(self, indices)

    monkeypatch.setattr(CrossEncoderPairTrainer, "forward_backward", forward_backward)
    job = replace(changed(job, epochs=1), dev=job.dev.take(np.arange(0)))
    with caplog.at_level(logging.WARNING):
        result = fine_tune(job, folder_for(job, tmp_path))
    assert result.token_budget == 128
    assert (result.pair_visits, result.steps > 8) == (64, True)
    assert "out of memory with 256 tokens" in caplog.text


def test_pairs_that_were_cut_are_counted_once(job: TrainingJob, tmp_path: Path) -> None:
    found = []
    for swap in (False, True):
        asked = changed(job, swap_pairs=swap, max_seq_length=20)
        with _session(
            asked, TrainingPairs.of(job.train), Hardware("cpu", "fp32"), 4_096, RunFolder(tmp_path / "run"), ignore
        ) as session:
            found.append(session.truncated_questions)
    assert found[0] == found[1] > 0


# --- losses -----------------------------------------------------------------------------------------------------


def test_the_losses_are_what_their_names_say() -> None:
    logits = torch.randn(12, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 1, 0, 0, 1, 0, 0, 1, 0, 1, 0])
    recipe = RECIPE.model_copy(update={"scale": 15.0})
    probability = torch.sigmoid(logits)
    expected = -torch.where(labels == 1, probability, 1 - probability).log().mean()
    assert float(logit_loss("binary_cross_entropy", recipe)(logits, labels)) == pytest.approx(float(expected))
    wrong = [
        torch.exp(15 * (probability[other] - probability[duplicate]))
        for duplicate in labels.nonzero()
        for other in (1 - labels).nonzero()
    ]
    expected = torch.log(1 + torch.stack(wrong).sum())
    assert float(logit_loss("cosent", recipe)(logits, labels)) == pytest.approx(float(expected), rel=1e-5)
    with pytest.raises(ValueError, match="no loss 'angle'; there are: binary_cross_entropy, cosent"):
        logit_loss("angle", recipe)


class _Noting:
    """A recipe that notes which of its knobs are read."""

    def __init__(self) -> None:
        self.read: set[str] = set()

    def __getattr__(self, knob: str) -> Any:
        self.read.add(knob)
        return getattr(RECIPE, knob)


@pytest.mark.parametrize("name", CROSS_ENCODER_LOSSES)
def test_people_are_shown_the_knobs_that_a_loss_reads(name: LossName) -> None:
    recipe: Any = _Noting()
    logit_loss(name, recipe)
    assert KNOBS_OF_CROSS_ENCODER_LOSSES[name] == recipe.read
