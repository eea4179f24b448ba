"""What decides whether two trainings are the same: whether a finished one is reused, and a checkpoint is resumed."""

from collections.abc import Mapping
from typing import Any

from pipeline.core.files import content_version
from pipeline.training.recipe import Recipe

NOT_DECISIVE = frozenset({"allow_slow", "keep_checkpoints"})
"""Knobs that change neither the weights nor what a checkpoint holds."""

ADDED_KNOBS: Mapping[str, Any] = {
    "architecture": "bi_encoder",
    "swap_pairs": False,
    "learn_from": "gold",
    "closure_cluster": 0,
    "closure_others": 1,
    "soup_size": 1,
    "vector_epochs": 0,
    "vector_learning_rate": None,
}
"""Knobs that were added after the first release, and the value that gives the behaviour before. At that value a knob is
left out of the hash, so that earlier trainings keep their fingerprints."""


def training_fingerprint(
    recipe: Recipe,
    train_version: str,
    dev_version: str,
    base_model_version: str,
    scored_version: str | None = None,
    vectors_version: str | None = None,
    starts_from_version: str | None = None,
) -> str:
    """Hash of all that decides the weights but the code: recipe, pairs and base model.

    Args:
        scored_version: of the pairs that a teacher has scored; None where the recipe reads none.
        vectors_version: of a teacher's vectors, likewise.
        starts_from_version: of the model whose weights are the first ones; None for the base model's.
    """
    knobs = {
        name: value
        for name, value in recipe.model_dump(exclude=set(NOT_DECISIVE)).items()
        if name not in ADDED_KNOBS or value != ADDED_KNOBS[name]
    }
    scored = [] if scored_version is None else [scored_version]
    # Named, so that none is ever taken for the version of something else.
    named = {"target_vectors": vectors_version, "starts_from": starts_from_version}
    others = [{name: version} for name, version in named.items() if version is not None]
    return content_version([knobs, train_version, dev_version, base_model_version, *scored, *others])
