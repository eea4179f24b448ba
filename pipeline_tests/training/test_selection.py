"""Which weights a training ends with: the best on the dev split, the last, or their average; and when it stops."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from run_folders import folder_for
from safetensors.torch import load_file
from small_data import sample_pairs
from tiny_model import make_tiny_model

from pipeline.core.errors import PipelineError
from pipeline.core.progress import CheckpointSaved, ProgressEvent, TrainingStep
from pipeline.evaluation.measurement import SIMILARITIES, SimilarityMetrics
from pipeline.evaluation.results_csv import EPOCH_RESULTS_FILE_NAME, read_results
from pipeline.models.base_model import resolve_base_model
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.models.options import BaseModelChoice
from pipeline.training import trainer
from pipeline.training.averaging import FILE_NAME, WeightAverage
from pipeline.training.fine_tune import fine_tune
from pipeline.training.job import TrainingJob
from pipeline.training.recipe import Recipe

pytestmark = pytest.mark.slow

RECIPE = Recipe(
    epochs=2, batch_size=8, learning_rate=1e-3, evaluations_per_epoch=2, save_steps=100, save_total_limit=1,
    device="cpu", allow_slow=True,
)  # fmt: skip
"""16 steps over 64 pairs, evaluated at 4, 8, 12 and 16."""


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> ModelInfo:
    return resolve_base_model(BaseModelChoice(model=str(make_tiny_model(tmp_path_factory.mktemp("model")))))


@pytest.fixture(scope="module")
def job(base_model: ModelInfo) -> TrainingJob:
    pairs = sample_pairs()
    return TrainingJob(pairs.take(np.arange(64)), pairs.take(np.arange(64, 96)), base_model, RECIPE)


def changed(job: TrainingJob, **knobs: object) -> TrainingJob:
    return replace(job, recipe=RECIPE.model_copy(update=knobs))


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The average precisions that the dev split will seem to give, in order."""
    coming: list[float] = []

    def evaluate(*arguments: object, **options: object) -> dict[str, SimilarityMetrics]:
        ap = coming.pop(0)
        zeros = dict.fromkeys(SimilarityMetrics.model_fields, 0.0)
        return {name: SimilarityMetrics(**{**zeros, "ap": ap}) for name in SIMILARITIES}

    monkeypatch.setattr(trainer, "evaluate_pairs", evaluate)
    return coming


def weights(folder: Path, file: str = "model.safetensors") -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = load_file(folder / file)
    return loaded


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def checkpoint(result: FineTunedModel, step: int) -> Path:
    return Path(result.run_folder) / "checkpoints" / str(step)


def checkpoints(result: FineTunedModel) -> list[int]:
    folder = Path(result.run_folder) / "checkpoints"
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def test_the_best_model_on_the_dev_split_is_the_result_and_the_last_one_stays(
    job: TrainingJob, scores: list[float], tmp_path: Path
) -> None:
    scores += [0.5, 0.8, 0.7, 0.8]
    result = fine_tune(job, folder_for(job, tmp_path))
    # Of equals, the first.
    assert (result.kept_step, result.steps) == (8, 16)
    assert checkpoints(result) == [8, 16]
    model = weights(Path(result.model.location))
    assert same(model, weights(checkpoint(result, 8)))
    assert not same(model, weights(checkpoint(result, 16)))
    rows = read_results(Path(result.model.location) / "eval" / EPOCH_RESULTS_FILE_NAME)
    assert [(epoch, step, metrics["cosine"].ap) for epoch, step, metrics in rows] == [
        (0.5, 4, 0.5),
        (1, 8, 0.8),
        (1.5, 12, 0.7),
        (2, 16, 0.8),
    ]


def test_the_last_model_is_the_result_where_that_is_wanted(
    job: TrainingJob, scores: list[float], tmp_path: Path
) -> None:
    scores += [0.9, 0.8, 0.7, 0.6]
    job = changed(job, load_best_model_at_end=False)
    result = fine_tune(job, folder_for(job, tmp_path))
    assert result.kept_step == 16
    assert same(weights(Path(result.model.location)), weights(checkpoint(result, 16)))


def test_training_stops_when_patience_is_out_and_a_restart_does_not_go_on(
    job: TrainingJob, scores: list[float], tmp_path: Path
) -> None:
    job = changed(job, patience=2)
    scores += [0.8, 0.7, 0.7]
    folder = folder_for(job, tmp_path)

    def interrupt(event: ProgressEvent) -> None:
        if isinstance(event, CheckpointSaved) and event.step == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(job, folder, interrupt)
    events: list[ProgressEvent] = []
    result = fine_tune(job, folder, events.append)
    assert [event for event in events if isinstance(event, TrainingStep)] == []
    assert (result.steps, result.kept_step) == (12, 4)
    assert scores == []


def test_a_damaged_best_checkpoint_is_not_replaced_by_the_second_best(
    job: TrainingJob, scores: list[float], tmp_path: Path
) -> None:
    scores += [0.9, 0.5, 0.6, 0.7]
    folder = folder_for(job, tmp_path)

    def damage(event: ProgressEvent) -> None:
        if isinstance(event, CheckpointSaved) and event.step == 16:
            (folder.checkpoints / "4" / "model.safetensors").write_bytes(b"gone")

    with pytest.raises(PipelineError, match=r"best checkpoint .*4 can't be used: model.safetensors is missing"):
        fine_tune(job, folder, damage)
    assert not folder.manifest.exists()


def test_the_averaged_weights_are_the_model_and_both_are_in_the_checkpoint(job: TrainingJob, tmp_path: Path) -> None:
    # Two trainings of one run, each in a folder of its own.
    plain, averaged = (
        fine_tune(one, folder_for(one, tmp_path))
        for one in (
            changed(job, load_best_model_at_end=False),
            changed(job, load_best_model_at_end=False, average_decay=0.8),
        )
    )
    last = checkpoint(averaged, 16)
    # Averaging watches the training and doesn't change it.
    assert same(weights(last), weights(checkpoint(plain, 16)))
    model = weights(Path(averaged.model.location))
    assert not same(model, weights(last))
    average = weights(last, FILE_NAME)
    assert all(any(torch.equal(tensor, kept) for kept in average.values()) for tensor in model.values())


def test_the_average_is_an_exponential_one() -> None:
    layer = torch.nn.Linear(2, 2)
    average, expected = WeightAverage(layer, 0.75), layer.weight.detach().clone()
    for step in range(3):
        with torch.no_grad():
            layer.weight.fill_(step)
        average.update()
        expected = 0.75 * expected + 0.25 * step
    with average.applied():
        torch.testing.assert_close(layer.weight.detach(), expected)
    assert layer.weight.detach().eq(2).all()
