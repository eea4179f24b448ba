"""What decides whether two trainings are the same: whether a finished one is reused, and a checkpoint is resumed."""

from collections.abc import Mapping
from typing import Any

from pipeline.core.files import content_version
from pipeline.training.recipe import Recipe

NOT_DECISIVE = frozenset({"allow_slow", "keep_checkpoints", "teacher_model", "teacher_revision"})
"""Knobs that change neither the weights nor what a checkpoint holds. A teacher counts by its version, not its name."""

ADDED_KNOBS: Mapping[str, Any] = {"soup_size": 1}
"""Knobs that were added after the first release, and the value that gives the behaviour before. At that value a knob is
left out of the hash, so that earlier trainings keep their fingerprints."""


def training_fingerprint(
    recipe: Recipe,
    train_version: str,
    dev_version: str,
    base_model_version: str,
    teacher_version: str | None = None,
) -> str:
    """Hash of all that decides the weights but the code: recipe, pairs, base model and teacher.

    Args:
        teacher_version: None where the recipe names no teacher.
    """
    knobs = {
        name: value
        for name, value in recipe.model_dump(exclude=set(NOT_DECISIVE)).items()
        if name not in ADDED_KNOBS or value != ADDED_KNOBS[name]
    }
    # Named, so that it is never taken for the version of something else.
    teacher = [] if teacher_version is None else [{"teacher": teacher_version}]
    return content_version([knobs, train_version, dev_version, base_model_version, *teacher])
