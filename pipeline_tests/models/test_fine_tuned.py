"""Records of models that were trained with settings which are gone."""

from typing import Any

import pytest
from made_reports import a_training

from pipeline.models.fine_tuned import FineTunedModel
from pipeline.reporting.sections import effective_settings


@pytest.mark.parametrize(
    "knobs",
    [
        {"architecture": "cross_encoder", "swap_pairs": True, "loss": "binary_cross_entropy"},
        {"learn_from": "both", "loss_weights": {"distillation_mse": 4.0}},
        {"vector_epochs": 2, "vector_learning_rate": 1e-4, "closure_cluster": 10, "closure_others": 3},
    ],
)
def test_they_are_read_and_their_recipe_is_shown(knobs: dict[str, Any]) -> None:
    stored = a_training("t").model_dump(mode="json")
    del stored["teacher_version"]
    stored |= {"schema": 4, "scored_version": "0" * 16, "vectors_version": "1" * 16}
    stored["recipe"] |= knobs
    model = FineTunedModel.from_stored(stored)
    assert model.recipe == stored["recipe"]
    assert model.teacher_version is None
    assert effective_settings(model).items() >= knobs.items()
