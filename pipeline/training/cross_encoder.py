"""Training of cross-encoders: both questions of a pair are read at once, and the model gives a logit for each pair."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from torch import nn

from pipeline.core.progress import OnProgress
from pipeline.evaluation.metric_values import SimilarityMetrics
from pipeline.evaluation.metrics import similarity_metrics
from pipeline.models.cross_encoder import make_cross_encoder
from pipeline.models.decision import Decision
from pipeline.models.info import ModelInfo, ModelProperties
from pipeline.models.pair_packing import packed_pairs, pair_features, tokenize_pairs, why_not_packed_pairs
from pipeline.models.pair_scoring import score_pairs
from pipeline.models.precision import Precision
from pipeline.question_pairs.schema import PairTable
from pipeline.training.architecture import Architecture, Evaluation, Prepared
from pipeline.training.batches import CrossEncoderCollator, Featurize, packed_features
from pipeline.training.pairs import TrainingPairs
from pipeline.training.recipe import Recipe
from pipeline.training.score_losses import ScoreLoss

_TOKEN_BUDGET = 4_096
"""Most tokens of a forward pass of an evaluation, as for embedding models."""


class CrossEncoderTraining(Architecture):
    """A cross-encoder, which is selected by its logits. It has no decision: its scores are no cosines."""

    scores = ("score",)
    deciding = "score"

    def load(self, base_model: ModelInfo, device: str, recipe: Recipe) -> CrossEncoder:
        """See `Architecture.load`: the transformer of the base model, with a head that is drawn by the seed."""
        return make_cross_encoder(base_model, device, recipe.seed, recipe.max_seq_length)

    @contextmanager
    def prepared(self, model: CrossEncoder, pairs: TrainingPairs, recipe: Recipe) -> Iterator[Prepared]:
        """See `Architecture.prepared`: every pair is tokenised once, or once in each order where pairs are swapped."""
        texts = np.array(pairs.index.texts, dtype=object)
        sides = [texts[pairs.index.first], texts[pairs.index.second]]
        # Of n pairs, n + i is pair i with its second question first.
        first, second = (
            np.concatenate([side, other]).tolist() if recipe.swap_pairs else side.tolist()
            for side, other in (sides, sides[::-1])
        )
        tokens = tokenize_pairs(model, first, second)
        with ExitStack() as stack:
            if reason := why_not_packed_pairs(model):
                layout, featurize = f"padded: {reason}", padded_pairs(model, first, second)
            else:
                packing = stack.enter_context(packed_pairs(model))
                layout, featurize = "packed", packed_features(tokens, packing.first_position)
            # Cut in one order, a pair is cut in the other too.
            truncated = tokens.truncated // (2 if recipe.swap_pairs else 1)
            yield Prepared(CrossEncoderCollator(pairs.labels, tokens.lengths, featurize), layout, truncated)

    def loss(self, model: CrossEncoder, recipe: Recipe, precision: Precision) -> nn.Module:
        """See `Architecture.loss`."""
        return ScoreLoss(model, recipe, precision)

    def evaluate(self, model: CrossEncoder, dev: PairTable, on_progress: OnProgress) -> dict[str, SimilarityMetrics]:
        """See `Architecture.evaluate`: thresholds are in logits."""
        first, second = (dev.pairs[name].tolist() for name in ("question1", "question2"))
        return {"score": similarity_metrics(score_pairs(model, first, second, _TOKEN_BUDGET, on_progress), dev.labels)}

    def reopened(self, checkpoint: Path) -> CrossEncoder:
        """See `Architecture.reopened`."""
        settings: dict[str, Any] = {"use_safetensors": True, "dtype": torch.float32}
        return CrossEncoder(str(checkpoint), device="cpu", local_files_only=True, model_kwargs=settings)

    def add_results(self, folder: Path, evaluations: Sequence[Evaluation]) -> None:
        """Add nothing: the columns of the results file are those of similarities."""

    def decide(self, model: CrossEncoder, version: str, dev: PairTable, on_progress: OnProgress) -> Decision | None:
        """None: a decision is a threshold of the cosine."""
        return None

    def properties(self, base: ModelProperties | None, model: CrossEncoder) -> ModelProperties | None:
        """None: it makes no embeddings."""
        return None


def padded_pairs(model: CrossEncoder, first: list[str], second: list[str]) -> Featurize:
    """Features as the library makes them, for a model that can't take packed ones."""
    return lambda indices: pair_features(model, [first[i] for i in indices], [second[i] for i in indices])
