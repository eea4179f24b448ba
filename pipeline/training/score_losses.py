"""What a batch of a cross-encoder costs: losses on the logits of its pairs."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.sentence_transformer.losses import CoSENTLoss
from torch import nn
from torch.nn import functional

from pipeline.models.pair_packing import logits_of
from pipeline.models.precision import Precision
from pipeline.training.recipe import CROSS_ENCODER_LOSSES, LossName, Recipe

LogitLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(logits of shape (n,) in fp32, labels of shape (n,)) → scalar."""


class ScoreLoss(nn.Module):
    """Scores the pairs of a batch in one forward pass and weighs the recipe's losses.

    Attributes:
        model: what the trainer trains; it puts its wrapped model here (distributed or compiled).
    """

    def __init__(self, model: CrossEncoder, recipe: Recipe, precision: Precision) -> None:
        super().__init__()
        self.model = model
        self._autocast = precision == "bf16"
        self._terms = [(weight, logit_loss(name, recipe)) for name, weight in recipe.all_losses.items() if weight]

    def forward(
        self, features: Mapping[str, Any], batch: Mapping[str, torch.Tensor], prompt: None = None, task: None = None
    ) -> torch.Tensor:
        """The weighted sum of the losses: a scalar in fp32.

        Args:
            batch: of n pairs: `label` (n,); see `CrossEncoderCollator`.
            prompt, task: the library's trainer hands them to every loss; they are not used.
        """
        device = features["input_ids"].device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self._autocast):
            # A copy: the model writes its outputs into what it gets.
            outputs = self.model(dict(features))
        logits = logits_of(outputs).float()
        return torch.stack([weight * loss(logits, batch["label"]) for weight, loss in self._terms]).sum()


def logit_loss(name: LossName, recipe: Recipe) -> LogitLoss:
    """The loss of that name, one of `CROSS_ENCODER_LOSSES`, with the recipe's scale."""
    match name:
        case "binary_cross_entropy":
            return _binary_cross_entropy
        case "cosent":
            return _cosent(recipe.scale)
    raise ValueError(f"a cross-encoder has no loss {name!r}; there are: {', '.join(CROSS_ENCODER_LOSSES)}")


def _binary_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


def _cosent(scale: float) -> LogitLoss:
    """CoSENT on the scores that `predict` gives, which lie between 0 and 1: the same `scale` suits them and cosines."""
    library = CoSENTLoss(None, scale=scale, similarity_fct=lambda scores, _: scores)

    def compute(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        scores = torch.sigmoid(logits)
        value: torch.Tensor = library.compute_loss_from_embeddings([scores, scores], labels)
        return value

    return compute
