"""The model in training: loaded, given batches of the training pairs, evaluated, and saved with its decision."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer

from pipeline.core.files import flush_files, give_usual_permissions, write_text
from pipeline.core.progress import OnProgress
from pipeline.evaluation.measurement import SimilarityMetrics
from pipeline.evaluation.pair_scores import decide
from pipeline.evaluation.results_csv import EPOCH_RESULTS_FILE_NAME, csv_row, csv_text
from pipeline.models.base_model import model_folder_version
from pipeline.models.decision import Decision, write_decision
from pipeline.models.embedding import SIMILARITY, features_of
from pipeline.models.info import ModelInfo, ModelProperties
from pipeline.models.loading import load_model
from pipeline.models.packing import packed_attention, tokenize, why_not_packed
from pipeline.question_pairs.schema import PairTable
from pipeline.training.batches import Featurize, PairCollator, TrainingPairs, packed_features
from pipeline.training.recipe import Recipe

Evaluation = tuple[float, int, dict[str, SimilarityMetrics]]
"""(epoch, step, metrics on the dev split by the name of the similarity)."""


@dataclass(frozen=True)
class Prepared:
    """The training pairs, ready for a model.

    Attributes:
        collator: makes batches of them.
        layout: `packed`, or `padded` with the reason.
        truncated: how many distinct questions were cut to the model's limit.
    """

    collator: PairCollator
    layout: str
    truncated: int


def load_to_train(base_model: ModelInfo, device: str, recipe: Recipe) -> SentenceTransformer:
    """The model to train, in fp32.

    Raises:
        PipelineError: when it can't be loaded, or doesn't take the recipe's limit.
    """
    model = load_model(base_model, device, recipe.max_seq_length)
    # Losses and thresholds are of cosines: a folder that names another similarity would mislead who compares with it.
    model.similarity_fn_name = SIMILARITY
    # Keeps the library from embedding examples for a card of its own, which is not used.
    model.model_card_data.widget = [{"source_sentence": "A question?", "sentences": ["Another question?"]}]
    return model


@contextmanager
def prepared(model: SentenceTransformer, pairs: TrainingPairs) -> Iterator[Prepared]:
    """Tokenise every distinct question once. The model takes the batches within the block."""
    questions = pairs.index.texts
    tokens = tokenize(model, questions)
    with ExitStack() as stack:
        if reason := why_not_packed(model):
            layout, featurize = f"padded: {reason}", padded_features(model, questions)
        else:
            packing = stack.enter_context(packed_attention(model))
            layout, featurize = "packed", packed_features(tokens, packing.first_position)
        yield Prepared(PairCollator(pairs, tokens.lengths, featurize), layout, tokens.truncated)


def padded_features(model: SentenceTransformer, questions: list[str]) -> Featurize:
    """Features as the library makes them, for a model that can't take packed ones."""
    return lambda indices: features_of(model, [questions[i] for i in indices])


def set_dropout(model: torch.nn.Module, probability: float) -> None:
    """Set the dropout of every layer."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability
        for name in ("attention_dropout", "dropout_p"):
            # Where attention applies dropout by a number of its own.
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, probability)


def reopened(folder: Path) -> SentenceTransformer:
    """The model that a checkpoint or a finished training holds, on the CPU and in fp32."""
    settings: dict[str, Any] = {"use_safetensors": True, "dtype": torch.float32}
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs=settings)


def save_model(
    model: SentenceTransformer,
    folder: Path,
    base_model: ModelInfo,
    evaluations: Sequence[Evaluation],
    decided_on: PairTable | None,
    on_progress: OnProgress,
) -> tuple[ModelInfo, Decision | None]:
    """Write the model's folder with the decision of these very weights in it. It takes its name when it is complete.

    Args:
        evaluations: each becomes a row of the reference system's CSV.
        decided_on: the dev split; None for a model that nothing will be decided with.
    """
    staged = folder.with_name(f".{folder.name}.staged")
    for leftover in (staged, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    model.save_pretrained(str(staged), create_model_card=False)
    if evaluations:
        rows = [csv_row(metrics, epoch, step) for epoch, step, metrics in evaluations]
        write_text(staged / "eval" / EPOCH_RESULTS_FILE_NAME, csv_text(rows))
    version = model_folder_version(staged)
    decision = None if decided_on is None else decide(model, version, decided_on, on_progress)
    if decision:
        write_decision(staged, decision)
    give_usual_permissions(staged)
    flush_files(staged)
    staged.rename(folder)
    properties = _properties(base_model.properties, model)
    saved = ModelInfo(kind="fine_tuned", name=folder.name, location=str(folder), version=version, properties=properties)
    return saved, decision


def _properties(base: ModelProperties | None, model: SentenceTransformer) -> ModelProperties | None:
    """A training leaves the properties of its base model as they are, but for what the recipe sets."""
    if base is None:
        return None
    limit = None if base.max_seq_length is None else model.max_seq_length
    return base.model_copy(
        update={"chosen_for": "", "max_seq_length": limit, "stated_length": None, "similarity": SIMILARITY}
    )
