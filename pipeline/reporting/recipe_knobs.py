"""Which knobs of a recipe had a part in a training: those that people are shown."""

from typing import Any

from pipeline.models.fine_tuned import FineTunedModel

KNOBS_OF_LOSSES = {
    "online_contrastive": {"margin", "group_size"},
    "contrastive": {"margin"},
    "cosent": {"scale"},
    "angle": {"scale"},
    "binary_cross_entropy": {"scale", "center"},
    "multiple_negatives_ranking": {"scale"},
    "distillation_mse": {"scale", "center"},
    "distillation_cross_entropy": {"scale", "center"},
    "distillation_embeddings": set(),
}
"""What each loss reads of a recipe, by the names that recipes have for both."""

KNOBS_OF_CROSS_ENCODER_LOSSES: dict[str, set[str]] = {"binary_cross_entropy": set(), "cosent": {"scale"}}
"""The same of cross-encoders."""

_OF_A_DEV_SPLIT = {"evaluations_per_epoch", "keep", "patience"}


def knobs_that_counted(model: FineTunedModel) -> dict[str, Any]:
    """The knobs of the training, without those that are empty and those that nothing in it read.

    A loss that this release doesn't know may have read any.
    """
    recipe = model.recipe
    weights = {recipe.get("loss"): 1.0, **(recipe.get("loss_weights") or {})}
    losses = {name for name, weight in weights.items() if weight}
    is_cross_encoder = recipe.get("architecture") == "cross_encoder"
    # Embedding models are what everything else is about.
    ignored = set[str]() if is_cross_encoder else {"architecture", "swap_pairs"}
    knobs = KNOBS_OF_CROSS_ENCODER_LOSSES if is_cross_encoder else KNOBS_OF_LOSSES
    if losses <= knobs.keys():
        read = set[str]().union(*(knobs[name] for name in losses))
        ignored |= set[str]().union(*KNOBS_OF_LOSSES.values()) - read
    if not recipe.get("closure_cluster"):
        ignored |= {"closure_cluster", "closure_others"}
    if recipe.get("soup_size") == 1:
        ignored.add("soup_size")
    if not recipe.get("vector_epochs"):
        ignored |= {"vector_epochs", "vector_learning_rate"}
    if recipe.get("learn_from") == "gold":
        ignored.add("learn_from")
    if not model.dev_evaluations:
        ignored |= _OF_A_DEV_SPLIT
    return {knob: value for knob, value in recipe.items() if value not in (None, {}) and knob not in ignored}
