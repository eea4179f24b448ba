"""Losses on the embeddings of a batch of pairs, from sentence-transformers where it has them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    AnglELoss,
    ContrastiveLoss,
    CoSENTLoss,
    OnlineContrastiveLoss,
)
from sentence_transformers.util import normalize_embeddings, pairwise_cos_sim
from torch import nn
from torch.nn import functional

from pipeline.models.embedding import embeddings_of
from pipeline.models.precision import Precision
from pipeline.training.recipe import LossName, Recipe

Batch = Mapping[str, torch.Tensor]
"""Of n pairs with q distinct questions: `first`, `second`, `label` (n,), `meaning` (q,) and, with a teacher, `vector`
(q, dimensions); see `PairCollator`."""

BatchLoss = Callable[[torch.Tensor, Batch], torch.Tensor]
"""(embeddings of shape (q, dimensions) in fp32, batch) → scalar."""


class PairLoss(nn.Module):
    """Encodes the distinct questions of a batch in one forward pass and weighs the recipe's losses.

    Attributes:
        model: what the trainer trains; it puts its wrapped model here (distributed or compiled).
    """

    def __init__(self, model: SentenceTransformer, recipe: Recipe, precision: Precision) -> None:
        super().__init__()
        self.model = model
        self._autocast = precision == "bf16"
        # The trainer's wrapper doesn't have it.
        self._truncate_dim = model.truncate_dim
        self._terms = [
            (weight, batch_loss(name, model, recipe)) for name, weight in recipe.all_losses.items() if weight
        ]

    def forward(self, features: Mapping[str, Any], batch: Batch) -> torch.Tensor:
        """The weighted sum of the losses: a scalar in fp32."""
        device = features["input_ids"].device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self._autocast):
            # A copy: the model writes its outputs into what it gets.
            outputs = self.model(dict(features))
        embeddings = embeddings_of(outputs, self._truncate_dim).float()
        return torch.stack([weight * loss(embeddings, batch) for weight, loss in self._terms]).sum()


def batch_loss(name: LossName, model: SentenceTransformer, recipe: Recipe) -> BatchLoss:
    """The loss of that name with the recipe's margin, scale, center and group size."""
    match name:
        case "online_contrastive":
            return _in_groups(OnlineContrastiveLoss(model, margin=recipe.margin), recipe.group_size)
        case "contrastive":
            # The mean over pairs.
            return _of_pairs(ContrastiveLoss(model, margin=recipe.margin))
        case "cosent":
            return _of_pairs(CoSENTLoss(model, scale=recipe.scale))
        case "angle":
            return _of_pairs(AnglELoss(model, scale=recipe.scale))
        case "binary_cross_entropy":
            return _binary_cross_entropy(recipe.scale, recipe.center)
        case "multiple_negatives_ranking":
            return _multiple_negatives_ranking(recipe.scale)
        case "distillation_embeddings":
            return _embedding_distillation


def _nothing(embeddings: torch.Tensor) -> torch.Tensor:
    """A loss of 0 for a batch that has nothing to learn from. It keeps the graph whole: one of several processes must
    give gradients all the same."""
    return embeddings.sum() * 0


def _embedding_distillation(embeddings: torch.Tensor, batch: Batch) -> torch.Tensor:
    """1 − cosine of each question's embedding and the teacher's vector of it, the mean over those that have one.

    Half the squared distance of both at length 1: the error that sentence-transformers' `MSELoss` takes (Reimers and
    Gurevych 2020, arXiv:2004.09813), but for lengths, which cosines don't have.
    """
    has = torch.isfinite(batch["vector"]).all(dim=1)
    if not has.any():
        return _nothing(embeddings)
    return (1 - pairwise_cos_sim(embeddings[has], batch["vector"][has])).mean()


def _pairs(embeddings: torch.Tensor, batch: Batch) -> tuple[list[torch.Tensor], torch.Tensor]:
    return [embeddings[batch["first"]], embeddings[batch["second"]]], batch["label"]


def _of_pairs(loss: Any) -> BatchLoss:
    def compute(embeddings: torch.Tensor, batch: Batch) -> torch.Tensor:
        value: torch.Tensor = loss.compute_loss_from_embeddings(*_pairs(embeddings, batch))
        return value

    return compute


def _in_groups(loss: Any, size: int) -> BatchLoss:
    """The mean over groups of `size` pairs: a loss that picks its pairs by a batch's extremes stays the same loss
    when batches grow."""

    def compute(embeddings: torch.Tensor, batch: Batch) -> torch.Tensor:
        (first, second), labels = _pairs(embeddings, batch)
        groups = zip(first.split(size), second.split(size), labels.split(size), strict=True)
        values = [loss.compute_loss_from_embeddings([one, other], label) for one, other, label in groups]
        return torch.stack(values).mean()

    return compute


def _binary_cross_entropy(scale: float, center: float) -> BatchLoss:
    """Binary cross-entropy of the logit scale × (cosine − center); scale and center are fixed, not learned, so that
    a checkpoint of the model is all there is to save."""

    def compute(embeddings: torch.Tensor, batch: Batch) -> torch.Tensor:
        (first, second), labels = _pairs(embeddings, batch)
        logits = scale * (pairwise_cos_sim(first, second) - center)
        return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))

    return compute


def _multiple_negatives_ranking(scale: float) -> BatchLoss:
    """InfoNCE both ways over the batch's duplicates: of all its questions, the partner should be the nearest.

    As sentence-transformers' `MultipleNegativesRankingLoss` (Henderson et al. 2017, arXiv:1705.00652), but with every
    question of the batch as a candidate, and without those known to ask the same: they are no negatives.
    """

    def compute(embeddings: torch.Tensor, batch: Batch) -> torch.Tensor:
        duplicates = batch["label"] == 1
        anchors = torch.cat([batch["first"][duplicates], batch["second"][duplicates]])
        partners = torch.cat([batch["second"][duplicates], batch["first"][duplicates]])
        if not len(anchors):
            return _nothing(embeddings)
        unit = normalize_embeddings(embeddings)
        scores = scale * unit[anchors] @ unit.T
        same = batch["meaning"][anchors][:, None] == batch["meaning"][None, :]
        # The partner has the anchor's meaning, so it is masked too; put back as the one right answer.
        same[torch.arange(len(anchors), device=same.device), partners] = False
        return functional.cross_entropy(scores.masked_fill(same, -torch.inf), partners)

    return compute
