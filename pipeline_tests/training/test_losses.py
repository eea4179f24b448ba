"""Each loss on a batch of distinct questions is the library's on the pairs; ranking spares known duplicates."""

from typing import Any, cast, get_args

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    AnglELoss,
    ContrastiveLoss,
    CoSENTLoss,
    OnlineContrastiveLoss,
)
from torch.nn import functional

from pipeline.reporting.sections import SETTINGS_OF_LOSSES
from pipeline.training.losses import PairLoss, batch_loss
from pipeline.training.recipe import LossName, Recipe

RECIPE = Recipe(margin=0.6, scale=15, center=0.4, group_size=4)


@pytest.fixture
def embeddings() -> torch.Tensor:
    return torch.randn(12, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    return {
        "first": torch.tensor([0, 1, 2, 3, 4, 0, 6, 7]),
        "second": torch.tensor([5, 5, 8, 9, 10, 11, 3, 1]),
        "label": torch.tensor([1, 0, 1, 0, 0, 0, 1, 1]),
        # 0 and 5 are duplicates by the first pair; 4 is a known duplicate of 2 by a pair of another batch.
        "meaning": torch.tensor([0, 1, 2, 3, 2, 0, 3, 1, 2, 9, 10, 11]),
    }


def sides(embeddings: torch.Tensor, batch: dict[str, torch.Tensor], part: slice = slice(None)) -> list[torch.Tensor]:
    return [embeddings[batch["first"][part]], embeddings[batch["second"][part]]]


def value(name: LossName, embeddings: torch.Tensor, batch: dict[str, torch.Tensor], recipe: Recipe = RECIPE) -> float:
    return float(batch_loss(name, torch.nn.Identity(), recipe)(embeddings, batch))


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("contrastive", ContrastiveLoss(None, margin=0.6)),
        ("cosent", CoSENTLoss(None, scale=15)),
        ("angle", AnglELoss(None, scale=15)),
    ],
)
def test_a_loss_is_the_library_s(
    name: LossName, library: torch.nn.Module, embeddings: torch.Tensor, batch: dict[str, torch.Tensor]
) -> None:
    expected = library.compute_loss_from_embeddings(sides(embeddings, batch), batch["label"])
    assert value(name, embeddings, batch) == pytest.approx(float(expected))


def test_online_contrastive_picks_its_pairs_within_groups(
    embeddings: torch.Tensor, batch: dict[str, torch.Tensor]
) -> None:
    library = OnlineContrastiveLoss(None, margin=0.6)
    groups = [
        float(library.compute_loss_from_embeddings(sides(embeddings, batch, part), batch["label"][part]))
        for part in (slice(0, 4), slice(4, 8))
    ]
    assert value("online_contrastive", embeddings, batch) == pytest.approx(sum(groups) / 2)
    whole = library.compute_loss_from_embeddings(sides(embeddings, batch), batch["label"])
    wide = RECIPE.model_copy(update={"group_size": 32})
    assert value("online_contrastive", embeddings, batch, wide) == pytest.approx(float(whole))


def test_binary_cross_entropy_is_of_the_scaled_cosine(embeddings: torch.Tensor, batch: dict[str, torch.Tensor]) -> None:
    cosine = functional.cosine_similarity(*sides(embeddings, batch))
    probability = torch.sigmoid(15 * (cosine - 0.4))
    expected = functional.binary_cross_entropy(probability, batch["label"].float())
    assert value("binary_cross_entropy", embeddings, batch) == pytest.approx(float(expected), rel=1e-5)


def test_ranking_is_a_softmax_over_all_other_questions_of_the_batch() -> None:
    generator = torch.Generator().manual_seed(2)
    anchors, partners = (torch.randn(5, 6, generator=generator) for _ in range(2))
    batch = {
        "first": torch.arange(5),
        "second": torch.arange(5, 10),
        "label": torch.ones(5, dtype=torch.int64),
        "meaning": torch.arange(5).repeat(2),
    }
    unit = functional.normalize(torch.cat([anchors, partners]))
    scores = 15 * unit @ unit.T
    scores.fill_diagonal_(-torch.inf)
    expected = functional.cross_entropy(scores, torch.arange(10).roll(5))
    got = value("multiple_negatives_ranking", torch.cat([anchors, partners]), batch)
    assert got == pytest.approx(float(expected), rel=1e-5)


def test_ranking_spares_known_duplicates(embeddings: torch.Tensor, batch: dict[str, torch.Tensor]) -> None:
    before = value("multiple_negatives_ranking", embeddings, batch)
    moved = embeddings.clone()
    # Question 4 asks the same as 2 and 8, a pair of this batch: wherever it lies, it is no negative of theirs; but it
    # is one of the other pairs'.
    only = {**batch, "label": torch.tensor([0, 0, 1, 0, 0, 0, 0, 0])}
    alone = value("multiple_negatives_ranking", moved, only)
    moved[4] = embeddings[2]
    assert value("multiple_negatives_ranking", moved, only) == pytest.approx(alone)
    assert value("multiple_negatives_ranking", moved, batch) != pytest.approx(before)


def test_ranking_without_a_duplicate_costs_nothing_and_has_a_gradient(
    embeddings: torch.Tensor, batch: dict[str, torch.Tensor]
) -> None:
    embeddings.requires_grad_()
    loss = batch_loss("multiple_negatives_ranking", torch.nn.Identity(), RECIPE)
    cost = loss(embeddings, {**batch, "label": torch.zeros(8, dtype=torch.int64)})
    cost.backward()
    assert cost.item() == 0
    assert embeddings.grad is not None
    assert not embeddings.grad.any()


class _Noting:
    """A recipe that notes which of its knobs are read."""

    def __init__(self) -> None:
        self.read: set[str] = set()

    def __getattr__(self, knob: str) -> Any:
        self.read.add(knob)
        return getattr(RECIPE, knob)


@pytest.mark.parametrize("name", get_args(LossName))
def test_people_are_shown_the_knobs_that_a_loss_reads(name: LossName) -> None:
    recipe = _Noting()
    batch_loss(name, cast(SentenceTransformer, torch.nn.Identity()), cast(Recipe, recipe))
    assert SETTINGS_OF_LOSSES[name] == recipe.read


class _Embeds(torch.nn.Module):
    """A model whose output is what the test says."""

    truncate_dim = None

    def __init__(self, embeddings: torch.Tensor) -> None:
        super().__init__()
        self._embeddings = embeddings

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {**features, "sentence_embedding": self._embeddings}


def loss_of(embeddings: torch.Tensor, batch: dict[str, torch.Tensor], **knobs: Any) -> torch.Tensor:
    """What a recipe's losses make of a batch, together."""
    model = cast(SentenceTransformer, _Embeds(embeddings))
    loss: torch.Tensor = PairLoss(model, Recipe(scale=15, center=0.4, **knobs), "fp32")(
        {"input_ids": torch.zeros(1)}, batch
    )
    return loss


def test_distillation_of_embeddings_is_half_the_squared_distance_of_what_has_a_target(
    embeddings: torch.Tensor, batch: dict[str, torch.Tensor]
) -> None:
    vectors = torch.randn(12, 6, generator=torch.Generator().manual_seed(2))
    vectors[3] = torch.nan
    loss = loss_of(embeddings, {**batch, "vector": vectors}, loss="distillation_embeddings", teacher_model="t")
    has = [row for row in range(12) if row != 3]
    distance = functional.normalize(embeddings[has]) - functional.normalize(vectors[has])
    assert float(loss) == pytest.approx(float((distance**2).sum(dim=1).mean() / 2), rel=1e-5)


def test_without_target_vectors_a_batch_costs_nothing_and_still_gives_gradients(
    embeddings: torch.Tensor, batch: dict[str, torch.Tensor]
) -> None:
    embeddings.requires_grad_()
    vectors = torch.full((12, 6), torch.nan)
    loss = loss_of(embeddings, {**batch, "vector": vectors}, loss="distillation_embeddings", teacher_model="t")
    loss.backward()
    assert float(loss.detach()) == 0
    assert embeddings.grad is not None
    assert not embeddings.grad.any()
