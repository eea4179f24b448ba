"""Training of embedding models: each distinct question of a batch is embedded once, and pairs compare embeddings."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from pipeline.core.files import write_text
from pipeline.core.progress import OnProgress
from pipeline.evaluation.decision import decide
from pipeline.evaluation.metric_values import SIMILARITIES, SimilarityMetrics
from pipeline.evaluation.pair_metrics import evaluate_pairs
from pipeline.evaluation.results_csv import EPOCH_RESULTS_FILE_NAME, csv_row, csv_text
from pipeline.models.decision import Decision
from pipeline.models.embedding import SIMILARITY, features_of
from pipeline.models.info import ModelInfo, ModelProperties
from pipeline.models.loading import load_model
from pipeline.models.packing import packed_attention, tokenize, why_not_packed
from pipeline.models.precision import Precision
from pipeline.question_pairs.schema import PairTable
from pipeline.training.architecture import Architecture, Evaluation, Prepared
from pipeline.training.batches import Featurize, PairCollator, packed_features
from pipeline.training.losses import PairLoss
from pipeline.training.pairs import TrainingPairs
from pipeline.training.recipe import Recipe


class BiEncoderTraining(Architecture):
    """An embedding model, which is selected and decides by cosine."""

    scores = SIMILARITIES
    deciding = SIMILARITY

    def load(self, base_model: ModelInfo, device: str, recipe: Recipe) -> SentenceTransformer:
        """See `Architecture.load`."""
        model = load_model(base_model, device, recipe.max_seq_length)
        # What its losses and thresholds are of: a folder that names another one would mislead who compares with it.
        model.similarity_fn_name = SIMILARITY
        # Keeps the library from embedding examples for a card of its own, which is not used.
        model.model_card_data.widget = [{"source_sentence": "A question?", "sentences": ["Another question?"]}]
        return model

    @contextmanager
    def prepared(self, model: SentenceTransformer, pairs: TrainingPairs, recipe: Recipe) -> Iterator[Prepared]:
        """See `Architecture.prepared`: every distinct question is tokenised once."""
        questions = pairs.index.texts
        tokens = tokenize(model, questions)
        with ExitStack() as stack:
            if reason := why_not_packed(model):
                layout, featurize = f"padded: {reason}", padded_features(model, questions)
            else:
                packing = stack.enter_context(packed_attention(model))
                layout, featurize = "packed", packed_features(tokens, packing.first_position)
            yield Prepared(PairCollator(pairs, tokens.lengths, featurize), layout, tokens.truncated)

    def loss(self, model: SentenceTransformer, recipe: Recipe, precision: Precision) -> nn.Module:
        """See `Architecture.loss`."""
        return PairLoss(model, recipe, precision)

    def evaluate(
        self, model: SentenceTransformer, dev: PairTable, on_progress: OnProgress
    ) -> dict[str, SimilarityMetrics]:
        """See `Architecture.evaluate`."""
        return evaluate_pairs(model, dev, on_progress=on_progress)

    def reopened(self, checkpoint: Path) -> SentenceTransformer:
        """See `Architecture.reopened`."""
        settings: dict[str, Any] = {"use_safetensors": True, "dtype": torch.float32}
        return SentenceTransformer(str(checkpoint), device="cpu", local_files_only=True, model_kwargs=settings)

    def add_results(self, folder: Path, evaluations: Sequence[Evaluation]) -> None:
        """See `Architecture.add_results`: a row of the reference system's CSV for each."""
        rows = [csv_row(metrics, epoch, step) for epoch, step, metrics in evaluations]
        write_text(folder / "eval" / EPOCH_RESULTS_FILE_NAME, csv_text(rows))

    def decide(
        self, model: SentenceTransformer, version: str, dev: PairTable, on_progress: OnProgress
    ) -> Decision | None:
        """See `Architecture.decide`: from which cosine on."""
        return decide(model, version, dev, on_progress)

    def properties(self, base: ModelProperties | None, model: SentenceTransformer) -> ModelProperties | None:
        """A training leaves the properties of its base model as they are, but for what the recipe sets."""
        if base is None:
            return None
        limit = None if base.max_seq_length is None else model.max_seq_length
        return base.model_copy(
            update={"chosen_for": "", "max_seq_length": limit, "stated_length": None, "similarity": SIMILARITY}
        )


def padded_features(model: SentenceTransformer, questions: list[str]) -> Featurize:
    """Features as the library makes them, for a model that can't take packed ones."""
    return lambda indices: features_of(model, [questions[i] for i in indices])
