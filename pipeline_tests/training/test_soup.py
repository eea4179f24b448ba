"""Model soups: several trainings whose weights are averaged, and which look like one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_data import sample_pairs

from pipeline.core.progress import Advanced, ProgressEvent, TrainingAdvanced, TrainingStep, ignore
from pipeline.models.base_model import resolve_base_model
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.options import BaseModelChoice
from pipeline.training import fine_tune as engine
from pipeline.training.fine_tune import fine_tune
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import RunFolder
from pipeline.training.soup import Member, averaged, counted_through, members

RECIPE = Recipe(batch_size=16, learning_rate=1e-3, epochs=2, seed=7, device="cpu")


def train(model: Path, folder: Path, recipe: Recipe, events: list[ProgressEvent] | None = None) -> FineTunedModel:
    pairs = sample_pairs()
    base = resolve_base_model(BaseModelChoice(model=str(model)))
    job = TrainingJob(pairs.take(np.arange(96)), pairs.take(np.arange(96, 144)), base, recipe)
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
    monkeypatch.delattr(engine, "_train_one")
    folder = Path(result.run_folder).parent
    assert train(tiny_model, folder, RECIPE.model_copy(update={"soup_size": 3})) == result


def test_each_member_is_the_recipe_with_another_seed() -> None:
    found = members(RECIPE.model_copy(update={"soup_size": 3}))
    assert [member.recipe for member in found] == [RECIPE.model_copy(update={"seed": seed}) for seed in (7, 8, 9)]
    assert [(member.epochs_before, member.epochs_after) for member in found] == [(0, 4), (2, 2), (4, 0)]
    assert sum(member.share for member in found) == pytest.approx(1)


def test_the_time_left_is_that_of_all_members() -> None:
    first, second = members(RECIPE.model_copy(update={"soup_size": 2}))

    def seconds_left(member: Member, *steps: int) -> list[float]:
        """Of a member of ten steps, each of which takes a second."""
        events: list[ProgressEvent] = []
        told = counted_through(events.append, member, 0)
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
