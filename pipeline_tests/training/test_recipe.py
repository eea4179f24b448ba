"""What a recipe allows, what it refuses, and what the files of configs/ make of it."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from pipeline.core.errors import PipelineError, SettingError
from pipeline.models.fine_tuned import REMOVED_KNOBS
from pipeline.models.precision import has_bf16, resolve_precision
from pipeline.orchestration.assets.model import FineTuneConfig
from pipeline.orchestration.steps import load_settings
from pipeline.settings.run_config import project_config
from pipeline.training import reuse
from pipeline.training.recipe import Recipe, TrainingOrder
from pipeline.training.reuse import training_fingerprint


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("loss=hinge", "fine_tuned_model.loss can't be 'hinge': it must be 'online_contrastive' or 'contrastive' or"),
        ("loss_weights={hinge: 1}", "fine_tuned_model.loss_weights: there is no loss 'hinge'; there are: online_"),
        ("loss_weights={cosent: -1}", "the weight of cosent is -1.0: it must be at least 0 and at most 1,000"),
        ("loss_weights={online_contrastive: 1}", "loss_weights weighs online_contrastive, which is the loss already"),
        ("gradient_accumulation_steps=3", "batch_size 32 can't be cut into 3 batches (gradient_accumulation_steps)"),
        ("token_budget=8", "fine_tuned_model.token_budget can't be '8': it must be a whole number at least 64"),
        ("precision=fp16", "fine_tuned_model.precision can't be 'fp16': it must be 'auto' or 'fp32' or 'bf16'"),
        ("average_decay=1", "fine_tuned_model.average_decay can't be '1'"),
        ("architecture=cross_encoder", "architecture is cross_encoder, but this setting was removed: leave it out"),
        ("swap_pairs=true", "swap_pairs is true, but this setting was removed: leave it out"),
        ("vector_learning_rate=1e-4", "vector_learning_rate is 1e-4, but this setting was removed: leave it out"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_allowed(setting: str, said: str) -> None:
    with pytest.raises(PipelineError) as caught:
        load_settings(None, [f"fine_tuned_model.{setting}"])
    assert said in str(caught.value)


def test_a_budget_of_auto_is_an_empty_one() -> None:
    settings = load_settings(None, ["fine_tuned_model.token_budget=auto"])
    assert settings.of("fine_tuned_model", Recipe).token_budget is None


def test_the_launchpad_s_class_takes_every_knob() -> None:
    best = load_settings(project_config("best")).of("fine_tuned_model", Recipe)
    weighted = best.model_copy(update={"loss_weights": {"multiple_negatives_ranking": 0.5}})
    assert FineTuneConfig(**weighted.model_dump()).model_dump() == weighted.model_dump()
    with pytest.raises(ValidationError, match="no loss 'hinge'"):
        FineTuneConfig(loss_weights={"hinge": 1.0})


def test_the_reference_s_recipe_is_the_reference_system_s() -> None:
    recipe = load_settings(project_config("reference")).of("fine_tuned_model", Recipe)
    assert recipe.all_losses == {"online_contrastive": 1.0}
    assert (recipe.epochs, recipe.batch_size, recipe.group_size, recipe.margin) == (10, 32, 32, 0.5)
    assert (recipe.learning_rate, recipe.weight_decay, recipe.max_grad_norm) == (2e-5, 0.01, 1.0)
    # 363,861 pairs in batches of 32, ten times.
    assert recipe.warmup_of(113_710) == 10_000
    assert (recipe.precision, recipe.load_best_model_at_end, recipe.dropout, recipe.average_decay) == (
        "fp32",
        False,
        None,
        None,
    )


def test_what_earlier_releases_wrote_out_is_read_where_it_changed_nothing() -> None:
    settings = [f"fine_tuned_model.{name}={'' if value is None else value}" for name, value in REMOVED_KNOBS.items()]
    assert load_settings(None, settings).of("fine_tuned_model", Recipe) == TrainingOrder()
    assert Recipe.model_validate({**Recipe().model_dump(), **REMOVED_KNOBS}) == Recipe()
    assert FineTuneConfig(**REMOVED_KNOBS).model_dump() == TrainingOrder().model_dump()


def test_the_fingerprint_tells_trainings_apart() -> None:
    recipe = Recipe()
    mine = training_fingerprint(recipe, "train", "dev", "base")
    assert mine == training_fingerprint(Recipe(save_total_limit=9, allow_slow=True), "train", "dev", "base")
    for other in (Recipe(seed=1), Recipe(loss="cosent"), Recipe(dropout=0), Recipe(token_budget=64)):
        assert training_fingerprint(other, "train", "dev", "base") != mine
    assert training_fingerprint(recipe, "train", "other", "base") != mine
    assert training_fingerprint(recipe, "other", "dev", "base") != mine
    assert training_fingerprint(recipe, "train", "dev", "other") != mine


MANY_KNOBS = Recipe(
    epochs=3,
    batch_size=64,
    gradient_accumulation_steps=2,
    token_budget=4096,
    learning_rate=5e-5,
    dropout=0,
    loss="cosent",
    loss_weights={"multiple_negatives_ranking": 0.5},
    max_seq_length=32,
    precision="bf16",
    load_best_model_at_end=False,
    patience=3,
    average_decay=0.99,
    seed=7,
    device="cuda",
    save_steps=100,
    evaluations_per_epoch=4,
    lr_scheduler_type="cosine",
)


@pytest.mark.parametrize(("recipe", "expected"), [(Recipe(), "e371baf9c7c7c625"), (MANY_KNOBS, "cb33cfff9dc564ce")])
def test_a_fingerprint_is_what_the_first_release_computed(recipe: Recipe, expected: str) -> None:
    # Finished trainings and checkpoints are found by it: another value here trains them again.
    assert training_fingerprint(recipe, "t", "d", "b") == expected


EARLIER_NAMES: dict[str, Any] = {
    "scheduler": "cosine",
    "warmup_fraction": 0.2,
    "gradient_accumulation": 2,
    "checkpoint_steps": 100,
    "keep_checkpoints": 5,
    "keep": "last",
}
CURRENT_NAMES: dict[str, Any] = {
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.2,
    "gradient_accumulation_steps": 2,
    "save_steps": 100,
    "save_total_limit": 5,
    "load_best_model_at_end": False,
}


def test_the_earlier_names_of_knobs_give_the_same_training_everywhere() -> None:
    earlier = Recipe.model_validate(EARLIER_NAMES)
    assert earlier == Recipe(**CURRENT_NAMES)
    overrides = [f"fine_tuned_model.{name}={value}" for name, value in EARLIER_NAMES.items()]
    assert load_settings(None, overrides).of("fine_tuned_model", TrainingOrder).recipe == earlier
    assert FineTuneConfig(**EARLIER_NAMES).recipe == earlier
    # By the very hash that a release with the earlier names has computed.
    assert training_fingerprint(earlier, "t", "d", "b") == "e2dbd92c1bb99d2c"


@pytest.mark.parametrize(("earlier", "current"), list(zip(EARLIER_NAMES, CURRENT_NAMES, strict=True)))
def test_a_knob_by_both_names_is_refused(earlier: str, current: str) -> None:
    with pytest.raises(ValidationError, match=f"{earlier} and {current} are the same setting"):
        Recipe.model_validate({earlier: EARLIER_NAMES[earlier], current: CURRENT_NAMES[current]})


@pytest.mark.parametrize(
    ("knobs", "steps"),
    [
        ({"warmup_steps": 0.25}, 250),
        ({"warmup_steps": 0.25, "max_warmup_steps": 100}, 100),
        # A number of steps is not bounded by what bounds a share.
        ({"warmup_steps": 300, "max_warmup_steps": 100}, 300),
        ({"warmup_steps": 1}, 1),
        ({"warmup_fraction": 1}, 999),
        ({"warmup_fraction": "1.0"}, 999),
        ({"warmup_steps": 0}, 0),
    ],
)
def test_the_warm_up_is_a_share_below_1_or_a_number_of_steps(knobs: dict[str, Any], steps: int) -> None:
    assert Recipe.model_validate(knobs).warmup_of(1_000) == steps


@pytest.mark.parametrize("share", [2, 1.5, "2"])
def test_a_warm_up_of_more_than_all_steps_is_refused_under_its_earlier_name(share: float | str) -> None:
    with pytest.raises(ValidationError, match="warmup_fraction"):
        Recipe.model_validate({"warmup_fraction": share})


def test_a_part_of_a_warm_up_step_is_refused() -> None:
    with pytest.raises(ValidationError, match="neither a share below 1 nor a whole number of steps"):
        Recipe(warmup_steps=1.5)


class NewerRecipe(Recipe):
    """A recipe as a later release may have it."""

    new_knob: float | None = None


def test_an_added_knob_at_its_neutral_value_makes_no_other_training(monkeypatch: pytest.MonkeyPatch) -> None:
    older = training_fingerprint(MANY_KNOBS, "t", "d", "b")
    newer = NewerRecipe.model_validate(MANY_KNOBS.model_dump())
    # Without a neutral value, every earlier training would be another one.
    assert training_fingerprint(newer, "t", "d", "b") != older
    monkeypatch.setattr(reuse, "ADDED_KNOBS", {**reuse.ADDED_KNOBS, "new_knob": None})
    assert training_fingerprint(newer, "t", "d", "b") == older
    used = [newer.model_copy(update={"new_knob": value}) for value in (0.0, 0.5)]
    assert len({training_fingerprint(recipe, "t", "d", "b") for recipe in (newer, *used)}) == 3


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({"cpu_name": "AMD EPYC", "avx512_bf16": True}, "bf16"),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": True}, "bf16"),
        # It has the instructions, and is slower with them.
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": False}, "fp32"),
        ({"cpu_name": "Intel Core", "avx2": True}, "fp32"),
    ],
)
def test_precision_is_the_faster_one(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, Any], precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert resolve_precision("auto", "cpu") == precision
    assert resolve_precision("fp32", "cpu") == "fp32"


def test_emulated_bf16_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "cpu_name": "Intel Xeon"})
    assert resolve_precision("bf16", "cpu") == "bf16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert resolve_precision("auto", "cpu") == "fp32"
    with pytest.raises(SettingError) as caught:
        resolve_precision("bf16", "cpu")
    assert caught.value.values == {"precision": "bf16", "device": "cpu"}
    assert not has_bf16("mps")
