"""Checks a training from outside: what it leaves, that it repeats bit for bit, and that it resumes."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from run_folders import folder_for
from sentence_transformers import SentenceTransformer
from transformers import AutoModel

from pipeline.core.errors import InputError, MismatchError, PipelineError, ResourceError
from pipeline.core.progress import (
    CheckpointSaved,
    DevEvaluated,
    LogLine,
    ProgressEvent,
    TrainingResumed,
    TrainingStep,
)
from pipeline.evaluation.metrics import similarity_metrics
from pipeline.evaluation.results_csv import EPOCH_RESULTS_FILE_NAME, read_results
from pipeline.models.base_model import model_folder_version, resolve_base_model
from pipeline.models.decision import DECISION_FILE_NAME, read_decision
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.models.options import BaseModelChoice
from pipeline.question_pairs.schema import DataOrigin, PairTable
from pipeline.training import fine_tune as fine_tuning
from pipeline.training.fine_tune import fine_tune
from pipeline.training.job import TrainingJob
from pipeline.training.manifest import verify_model
from pipeline.training.recipe import Recipe

THINGS = ("bicycle", "kettle", "violin", "roof", "clock", "garden", "lamp", "boat")

RECIPE = Recipe(
    epochs=2, batch_size=8, save_steps=4, save_total_limit=2, device="cpu", learning_rate=1e-4, allow_slow=True
)
"""12 steps over 48 pairs, checkpoints at 4, 8 and 12, dropout as in the base model."""


def made_up_pairs(n: int, seed: int) -> PairTable:
    random = np.random.default_rng(seed)
    first = random.integers(len(THINGS), size=n)
    same = np.arange(n) % 2 == 0
    second = np.where(same, first, (first + random.integers(1, len(THINGS), size=n)) % len(THINGS))
    ids = np.arange(n)
    pairs = pd.DataFrame(
        {
            "pair_id": ids,
            "question1_id": 2 * ids,
            "question2_id": 2 * ids + 1,
            "question1": pd.Series([f"How can I repair my {THINGS[i]}?" for i in first], dtype=object),
            "question2": pd.Series([f"What is the way to fix a {THINGS[i]}?" for i in second], dtype=object),
            "is_duplicate": pd.Series(same, dtype=bool),
        }
    )
    return PairTable(pairs, DataOrigin(source="made-up pairs", synthetic=True))


TRAIN, DEV = made_up_pairs(48, seed=1), made_up_pairs(16, seed=2)
NO_DEV = made_up_pairs(0, seed=0)


@pytest.fixture(scope="module")
def base_model(tiny_model: Path) -> ModelInfo:
    return resolve_base_model(BaseModelChoice(model=str(tiny_model)))


@pytest.fixture(scope="module")
def job(base_model: ModelInfo) -> TrainingJob:
    return TrainingJob(TRAIN, DEV, base_model, RECIPE)


def changed(job: TrainingJob, **knobs: object) -> TrainingJob:
    return replace(job, recipe=RECIPE.model_copy(update=knobs))


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """Where run folders are made; emptied at once, as each takes hundreds of megabytes."""
    yield tmp_path
    shutil.rmtree(tmp_path)


class Undisturbed:
    """One training from start to end; the others are held against it."""

    def __init__(self, job: TrainingJob, runs: Path) -> None:
        self.events: list[ProgressEvent] = []
        self.folder = folder_for(job, runs, 1700000000)
        self.result = fine_tune(job, self.folder, self.events.append)
        self.weights = weights(self.result)


@pytest.fixture(scope="module")
def undisturbed(job: TrainingJob, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    runs = tmp_path_factory.mktemp("runs")
    yield Undisturbed(job, runs)
    shutil.rmtree(runs)


def weights(result: FineTunedModel) -> bytes:
    return (Path(result.model.location) / "model.safetensors").read_bytes()


def dev_scores(result: FineTunedModel) -> list[float]:
    return [evaluation.average_precision for evaluation in result.dev_evaluations]


def steps(events: list[ProgressEvent]) -> list[int]:
    return [event.step for event in events if isinstance(event, TrainingStep)]


@pytest.mark.slow
def test_a_run_leaves_checkpoints_a_model_and_a_manifest(undisturbed: Undisturbed) -> None:
    folder = undisturbed.folder.path
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert names == {"checkpoints", "tiny-ft", "manifest.json"}
    checkpoints = [path.name for path in (folder / "checkpoints").iterdir() if not path.name.startswith(".")]
    # The newest two, and the best on the dev split.
    assert sorted(checkpoints, key=int) == ["6", "8", "12"]
    assert list(folder.rglob("training_args.bin")) == []
    usual = (folder / "manifest.json").stat().st_mode
    assert {path.name for path in folder.rglob("*") if path.is_file() and path.stat().st_mode != usual} == set()
    # Its card is written by whoever has it trained.
    assert not (folder / "tiny-ft" / "README.md").exists()
    result = undisturbed.result
    assert (result.steps, result.train_pairs, result.model.kind) == (12, 48, "fine_tuned")
    assert result.train_version == TRAIN.data_version
    assert result.device.startswith("cpu")
    assert undisturbed.weights != (Path(result.base_model.location) / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_progress_tells_steps_checkpoints_and_dev_results(undisturbed: Undisturbed) -> None:
    events = undisturbed.events
    assert steps(events) == list(range(1, 13))
    assert [event.step for event in events if isinstance(event, CheckpointSaved)] == [4, 6, 8, 12]
    dev = [event for event in events if isinstance(event, DevEvaluated)]
    assert [event.step for event in dev] == [6, 12]
    assert [event.average_precision for event in dev] == dev_scores(undisturbed.result)
    rates = [event.learning_rate for event in events if isinstance(event, TrainingStep)]
    assert max(rates) <= RECIPE.learning_rate
    assert rates[-1] < rates[5]
    assert [step for step, _ in undisturbed.result.losses] == list(range(1, 13))


@pytest.mark.slow
def test_the_model_loads_in_both_libraries_and_they_agree(undisturbed: Undisturbed) -> None:
    path = undisturbed.result.model.location
    model = SentenceTransformer(path, device="cpu")
    assert model.encode(["How can I repair my kettle?"]).shape == (1, 32)
    inner = AutoModel.from_pretrained(path)
    ours = model[0].auto_model.state_dict()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in inner.state_dict().items())


@pytest.mark.slow
def test_the_eval_file_has_one_row_an_epoch(undisturbed: Undisturbed) -> None:
    rows = read_results(Path(undisturbed.result.model.location) / "eval" / EPOCH_RESULTS_FILE_NAME)
    assert [(epoch, step) for epoch, step, _ in rows] == [(1, 6), (2, 12)]
    assert [metrics["cosine"].ap for _, _, metrics in rows] == dev_scores(undisturbed.result)


def questions_in(card: Path) -> list[str]:
    """Questions of the data that a card copies."""
    columns = [table.pairs[name] for table in (TRAIN, DEV) for name in ("question1", "question2")]
    text = card.read_text()
    return sorted({question for question in pd.concat(columns) if question in text})


@pytest.mark.slow
def test_the_checkpoints_cards_hold_no_question_of_the_data(undisturbed: Undisturbed) -> None:
    assert [card for card in undisturbed.folder.checkpoints.rglob("README.md") if questions_in(card)] == []


@pytest.mark.slow
def test_a_finished_folder_gives_its_result_without_training(undisturbed: Undisturbed, job: TrainingJob) -> None:
    events: list[ProgressEvent] = []
    again = fine_tune(job, undisturbed.folder, events.append)
    assert again == undisturbed.result
    assert events == [LogLine(f"this training is finished already: {undisturbed.folder.path}")]


@pytest.mark.slow
def test_a_finished_folder_of_another_recipe_is_refused(undisturbed: Undisturbed, job: TrainingJob) -> None:
    with pytest.raises(MismatchError):
        fine_tune(changed(job, seed=7), undisturbed.folder)


@pytest.mark.slow
def test_the_speed_probe_leaves_no_trace_in_the_weights_and_a_repeat_is_bit_identical(
    undisturbed: Undisturbed, job: TrainingJob, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tuning, "_PROBE_FROM_STEPS", 1)
    job = changed(job, allow_slow=False)
    probed = fine_tune(job, folder_for(job, runs))
    assert weights(probed) == undisturbed.weights
    assert probed.data_version == undisturbed.result.data_version


@pytest.mark.slow
def test_the_same_arguments_give_the_same_weights_in_another_folder(
    undisturbed: Undisturbed, job: TrainingJob, runs: Path
) -> None:
    # What happened before in the process must not matter.
    torch.manual_seed(12345)
    again = fine_tune(job, folder_for(job, runs))
    assert weights(again) == undisturbed.weights
    assert again.losses == undisturbed.result.losses
    assert dev_scores(again) == dev_scores(undisturbed.result)


@pytest.mark.slow
@pytest.mark.parametrize("interrupted_at", [4, 12], ids=["first checkpoint", "last checkpoint"])
def test_an_interrupted_training_resumes_to_the_same_weights(
    undisturbed: Undisturbed, job: TrainingJob, runs: Path, interrupted_at: int
) -> None:
    folder = folder_for(job, runs)

    def interrupt(event: ProgressEvent) -> None:
        if isinstance(event, CheckpointSaved) and event.step == interrupted_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(job, folder, interrupt)
    assert not folder.manifest.exists()
    events: list[ProgressEvent] = []
    resumed = fine_tune(job, folder, events.append)
    assert events[0] == TrainingResumed(interrupted_at, 12, str(folder.checkpoints / str(interrupted_at)))
    assert steps(events) == list(range(interrupted_at + 1, 13))
    assert weights(resumed) == undisturbed.weights
    assert dev_scores(resumed) == dev_scores(undisturbed.result)
    assert [step for step, _ in resumed.losses] == list(range(1, 13))


@pytest.mark.slow
def test_another_seed_gives_other_weights_and_no_dev_split_no_eval_file(
    undisturbed: Undisturbed, job: TrainingJob, runs: Path
) -> None:
    job = replace(changed(job, epochs=1, seed=7), dev=NO_DEV)
    result = fine_tune(job, folder_for(job, runs))
    assert not (Path(result.model.location) / "eval").exists()
    assert result.dev_evaluations == []
    assert weights(result) != undisturbed.weights


@pytest.mark.slow
def test_a_training_that_would_take_too_long_is_refused(
    job: TrainingJob, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tuning, "SLOW_SECONDS", 1e-6)
    monkeypatch.setattr(fine_tuning, "_PROBE_FROM_STEPS", 1)
    job = changed(job, allow_slow=False)
    folder = folder_for(job, runs)
    events: list[ProgressEvent] = []
    with pytest.raises(ResourceError) as caught:
        fine_tune(job, folder, events.append)
    assert caught.value.values["steps"] == 12
    assert events == []
    assert not folder.manifest.exists()


@pytest.mark.slow
def test_the_speed_probe_copes_with_an_epoch_of_one_batch(
    job: TrainingJob, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tuning, "_PROBE_FROM_STEPS", 1)
    job = replace(changed(job, allow_slow=False), train=made_up_pairs(8, seed=1), dev=NO_DEV)
    result = fine_tune(job, folder_for(job, runs))
    assert result.steps == 2


def test_fewer_pairs_than_a_batch_are_refused(job: TrainingJob, runs: Path) -> None:
    job = replace(job, train=made_up_pairs(7, seed=3))
    folder = folder_for(job, runs)
    with pytest.raises(InputError) as caught:
        fine_tune(job, folder)
    assert (caught.value.values["pairs"], caught.value.values["batch_size"]) == (7, 8)
    assert not folder.checkpoints.exists()


@pytest.mark.slow
def test_the_model_carries_the_decision_of_the_weights_that_it_has(undisturbed: Undisturbed) -> None:
    result = undisturbed.result
    folder = Path(result.model.location)
    decision = read_decision(folder)
    assert decision is not None
    assert decision == result.decision
    assert (decision.model_version, decision.dev_version) == (result.model.version, DEV.data_version)
    # What anyone gets who embeds with the library.
    model = SentenceTransformer(str(folder), device="cpu")
    first, second = (model.encode(DEV.pairs[name].to_list()) for name in ("question1", "question2"))
    expected = similarity_metrics(np.einsum("ij,ij->i", first, second), DEV.labels)
    assert decision.threshold == pytest.approx(expected.f1_threshold, abs=1e-5)
    assert decision.thresholds["cosine"].accuracy == pytest.approx(expected.accuracy_threshold, abs=1e-5)


@pytest.mark.slow
def test_the_decision_is_in_the_manifest_and_not_in_the_models_version(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(undisturbed.folder.path, root, ignore=shutil.ignore_patterns("checkpoints"))
    folder, version = root / undisturbed.result.model.name, undisturbed.result.model.version
    verify_model(root, version)
    (folder / DECISION_FILE_NAME).write_text("{}")
    assert model_folder_version(folder) == version
    with pytest.raises(PipelineError, match=r"decision\.json is not the file that the manifest names"):
        verify_model(root, version)
    shutil.rmtree(root)
