"""Which knobs of a recipe had a part in a training: those that people are shown."""

from typing import Any

from pipeline.models.fine_tuned import REMOVED_KNOBS, FineTunedModel

KNOBS_OF_LOSSES = {
    "online_contrastive": {"margin", "group_size"},
    "contrastive": {"margin"},
    "cosent": {"scale"},
    "angle": {"scale"},
    "binary_cross_entropy": {"scale", "center"},
    "multiple_negatives_ranking": {"scale"},
    "distillation_embeddings": set(),
}
"""What each loss reads of a recipe, by the names that recipes have for both."""

_OF_A_DEV_SPLIT = {"evaluations_per_epoch", "keep", "patience"}


def knobs_that_counted(model: FineTunedModel) -> dict[str, Any]:
    """The knobs of the training, without those that are empty and those that nothing in it read.

    A loss that this release doesn't know may have read any.
    """
    recipe = model.recipe
    weights = {recipe.get("loss"): 1.0, **(recipe.get("loss_weights") or {})}
    losses = {name for name, weight in weights.items() if weight}
    ignored = {name for name, neutral in REMOVED_KNOBS.items() if recipe.get(name) == neutral}
    if losses <= KNOBS_OF_LOSSES.keys():
        read = set[str]().union(*(KNOBS_OF_LOSSES[name] for name in losses))
        ignored |= set[str]().union(*KNOBS_OF_LOSSES.values()) - read
    if recipe.get("soup_size") == 1:
        ignored.add("soup_size")
    if not model.dev_evaluations:
        ignored |= _OF_A_DEV_SPLIT
    return {knob: value for knob, value in recipe.items() if value not in (None, {}) and knob not in ignored}
