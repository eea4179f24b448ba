"""Trainings that are made of several: soups, and a first training by a teacher's vectors alone. They look like one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_data import random_vectors, sample_pairs
from tiny_model import WIDTH

from pipeline.core.progress import Advanced, ProgressEvent, TrainingAdvanced, TrainingStep, ignore
from pipeline.models.base_model import resolve_base_model
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.options import BaseModelChoice
from pipeline.training import fine_tune as engine
from pipeline.training.fine_tune import fine_tune
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.parts import Part, averaged, counted_through, trainings
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import RunFolder

RECIPE = Recipe(batch_size=16, learning_rate=1e-3, epochs=2, seed=7, device="cpu")


def train(model: Path, folder: Path, recipe: Recipe, events: list[ProgressEvent] | None = None) -> FineTunedModel:
    pairs = sample_pairs()
    base = resolve_base_model(BaseModelChoice(model=str(model)))
    train_split = pairs.take(np.arange(96))
    vectors = random_vectors(train_split, base, WIDTH) if recipe.needs_target_vectors else None
    job = TrainingJob(train_split, pairs.take(np.arange(96, 144)), base, recipe, target_vectors=vectors)
    run_folder = RunFolder.claim(folder, RunIdentity("run", 1), job.fingerprint)
    return fine_tune(job, run_folder, ignore if events is None else events.append)


def weights(result: FineTunedModel) -> dict[str, torch.Tensor]:
    return load_file(Path(result.model.location) / "model.safetensors")


def require_mean(result: FineTunedModel, members: Sequence[FineTunedModel]) -> None:
    """The weights are the mean of those of the members."""
    states = [weights(member) for member in members]
    for name, tensor in weights(result).items():
        expected = torch.stack([state[name] for state in states]).mean(dim=0)
        assert torch.allclose(tensor, expected, atol=1e-7), name


def dev_scores(results: Sequence[FineTunedModel]) -> list[float]:
    return [evaluation.average_precision for result in results for evaluation in result.dev_evaluations]


@pytest.fixture(scope="module")
def soup(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FineTunedModel, list[ProgressEvent]]:
    events: list[ProgressEvent] = []
    recipe = RECIPE.model_copy(update={"soup_size": 3})
    return train(tiny_model, tmp_path_factory.mktemp("soup"), recipe, events), events


@pytest.mark.slow
def test_its_weights_are_the_mean_of_those_of_its_trainings(
    soup: tuple[FineTunedModel, list[ProgressEvent]], tiny_model: Path, tmp_path: Path
) -> None:
    result, _ = soup
    single = [train(tiny_model, tmp_path, RECIPE.model_copy(update={"seed": seed})) for seed in (7, 8, 9)]
    assert len({each.model.version for each in single}) == 3
    require_mean(result, single)
    assert result.pair_visits == sum(each.pair_visits for each in single)
    assert result.dev_evaluations[:-1] != []
    assert dev_scores([result])[:-1] == dev_scores(single)


@pytest.mark.slow
def test_it_looks_like_one_training(soup: tuple[FineTunedModel, list[ProgressEvent]]) -> None:
    result, events = soup
    steps = [event for event in events if isinstance(event, TrainingStep)]
    assert [event.step for event in steps] == list(range(1, 37))
    assert {event.total_steps for event in events if isinstance(event, TrainingStep | TrainingAdvanced)} == {36}
    assert [event.epoch for event in steps] == sorted(event.epoch for event in steps)
    assert steps[-1].seconds_left < steps[0].seconds_left
    assert (result.steps, result.kept_step, result.dev_evaluations[-1].step) == (36, 36, 36)
    assert [evaluation.epoch for evaluation in result.dev_evaluations] == [1, 2, 3, 4, 5, 6, 6]
    assert [step for step, _ in result.losses] == sorted(step for step, _ in result.losses)
    assert result.decision is not None
    assert result.recipe["soup_size"] == 3
    # Thresholds are chosen for the average alone.
    chosen = [event for event in events if isinstance(event, Advanced) and "thresholds" in event.stage]
    assert sum(event.done == event.total for event in chosen) == 1
    # What its trainings have left is gone.
    assert not (Path(result.run_folder) / "soup").exists()


@pytest.mark.slow
def test_a_finished_one_is_not_made_again(
    soup: tuple[FineTunedModel, list[ProgressEvent]], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, _ = soup
    monkeypatch.delattr(engine, "_fine_tune_once")
    folder = Path(result.run_folder).parent
    assert train(tiny_model, folder, RECIPE.model_copy(update={"soup_size": 3})) == result


@pytest.fixture(scope="module")
def taught(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FineTunedModel, list[ProgressEvent]]:
    """Three epochs by vectors alone, then two trainings of two epochs."""
    events: list[ProgressEvent] = []
    recipe = RECIPE.model_copy(update={"vector_epochs": 3, "soup_size": 2})
    return train(tiny_model, tmp_path_factory.mktemp("taught"), recipe, events), events


@pytest.mark.slow
def test_a_training_by_vectors_alone_comes_first_and_the_others_start_from_its_model(
    taught: tuple[FineTunedModel, list[ProgressEvent]], tiny_model: Path, tmp_path: Path
) -> None:
    result, _ = taught
    first = train(tiny_model, tmp_path, RECIPE.model_copy(update={"epochs": 3, "loss": "distillation_embeddings"}))
    start = Path(first.model.location)
    by_hand = [train(start, tmp_path, RECIPE.model_copy(update={"seed": seed})) for seed in (7, 8)]
    require_mean(result, by_hand)
    assert dev_scores([result])[:-1] == dev_scores([first, *by_hand])


@pytest.mark.slow
def test_it_is_told_as_one_training_of_so_many_epochs(
    taught: tuple[FineTunedModel, list[ProgressEvent]],
) -> None:
    result, events = taught
    steps = [event for event in events if isinstance(event, TrainingStep)]
    assert [event.step for event in steps] == list(range(1, 43))
    assert {event.total_steps for event in events if isinstance(event, TrainingStep | TrainingAdvanced)} == {42}
    assert [event.epoch for event in steps] == pytest.approx(np.arange(1, 43) / 6)
    assert (result.steps, result.kept_step, result.pair_visits) == (42, 42, 7 * 96)
    assert [evaluation.epoch for evaluation in result.dev_evaluations] == [1, 2, 3, 4, 5, 6, 7, 7]
    assert result.vectors_version is not None
    assert result.scored_version is None
    assert result.base_model.name == result.model.name.removesuffix("-ft")
    assert [each.name for each in Path(result.run_folder).iterdir() if each.is_dir()] == [result.model.name]


@pytest.mark.slow
def test_a_single_training_after_the_vectors_keeps_its_weights(tiny_model: Path, tmp_path: Path) -> None:
    result = train(tiny_model, tmp_path, RECIPE.model_copy(update={"vector_epochs": 1}))
    # The last training's best evaluation is that of the weights that were kept.
    of_labels = [each.average_precision for each in result.dev_evaluations[1:-1]]
    assert result.dev_evaluations[-1].average_precision == max(of_labels)


def test_a_recipe_without_vector_epochs_and_of_one_training_has_no_parts() -> None:
    assert trainings(RECIPE) == []
    single = trainings(RECIPE.model_copy(update={"vector_epochs": 1}))
    assert [part.comes_first for part in single] == [True, False]
    assert [part.recipe.needs_target_vectors for part in single] == [True, False]
    assert sum(part.share for part in single) == 1


def test_a_recipe_that_weighs_vectors_too_reads_them_in_every_part() -> None:
    recipe = Recipe(loss="cosent", loss_weights={"distillation_embeddings": 2.0}, vector_epochs=1)
    assert [part.recipe.all_losses for part in trainings(recipe)] == [
        {"distillation_embeddings": 1.0},
        {"cosent": 1.0, "distillation_embeddings": 2.0},
    ]


def test_the_vectors_have_a_learning_rate_of_their_own_where_one_is_set() -> None:
    recipe = RECIPE.model_copy(update={"vector_epochs": 1})
    of_their_own = recipe.model_copy(update={"vector_learning_rate": 2e-4})
    assert [part.recipe.learning_rate for part in trainings(recipe)] == [1e-3, 1e-3]
    assert [part.recipe.learning_rate for part in trainings(of_their_own)] == [2e-4, 1e-3]
    # It is told apart where it counts, and the trainings after it are the same.
    assert [part.recipe.vector_learning_rate for part in trainings(of_their_own)] == [None, None]


def test_a_learning_rate_of_vectors_without_epochs_of_them_is_refused() -> None:
    with pytest.raises(ValueError, match=r"vector_learning_rate is 0\.0002, but vector_epochs is 0"):
        Recipe(vector_learning_rate=2e-4)


def test_vector_epochs_are_for_models_that_embed() -> None:
    with pytest.raises(ValueError, match="vector_epochs is 1, but a cross_encoder makes no vectors"):
        Recipe(architecture="cross_encoder", loss="binary_cross_entropy", vector_epochs=1)


def test_the_time_left_is_that_of_all_parts() -> None:
    first, second = trainings(RECIPE.model_copy(update={"soup_size": 2}))

    def seconds_left(part: Part, *steps: int) -> list[float]:
        """Of a part of ten steps, each of which takes a second."""
        events: list[ProgressEvent] = []
        told = counted_through(events.append, part, 0)
        for step in steps:
            told(TrainingStep(step, 10, 0.0, 0.1, 1e-3, 16.0, seconds_left=10.0 - step))
        return [event.seconds_left for event in events if isinstance(event, TrainingStep)]

    assert seconds_left(first, 1, 9, 10) == [19.0, 11.0, 10.0]
    assert seconds_left(second, 1, 9, 10) == [9.0, 1.0, 0.0]


def test_integers_are_those_of_the_first() -> None:
    states = [{"weight": torch.tensor([1.0, 3.0]), "ids": torch.tensor([1, 2])}, {"weight": torch.tensor([3.0, 5.0])}]
    states[1]["ids"] = torch.tensor([9, 9])
    found = averaged(states)
    assert found["weight"].tolist() == [2.0, 4.0]
    assert found["ids"].tolist() == [1, 2]


def test_every_training_needs_a_seed() -> None:
    with pytest.raises(ValueError, match="leaves no seeds for soup_size 2"):
        Recipe(seed=2**32 - 1, soup_size=2)
