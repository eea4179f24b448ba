"""Embed questions sorted by length, in packed batches if the model supports them, else in padded ones."""

from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from pipeline.core.errors import InputError
from pipeline.core.progress import OnProgress, ignore
from pipeline.models.embedding import embeddings_of, to_device
from pipeline.models.length_batches import by_budget, from_both_ends, in_order
from pipeline.models.packing import pack, packed_attention, tokenize, why_not_packed
from pipeline.models.precision import Precision

_TOKENS_OF_A_QUESTION = 32
"""Assumed tokens of a padded question, whose number is known only after the library has tokenised it."""


def embed_questions(
    model: SentenceTransformer,
    questions: list[str],
    token_budget: int,
    on_progress: OnProgress = ignore,
    stage: str = "embedding questions",
    precision: Precision = "fp32",
) -> np.ndarray:
    """Embed questions as the model's `encode` does, sorted by length, and without padding if the model supports that.

    Args:
        token_budget: maximum tokens of a forward pass; a longer question gets a pass of its own.

    Returns:
        float32 of shape (len(questions), dimensions), in the order of `questions`.
    """
    if not questions:
        raise InputError("there are no questions to embed: bring at least one")
    model.eval()
    batches = _padded_batches if why_not_packed(model) else _packed_batches
    half = torch.autocast(model.device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
    with half:
        return in_order(batches(model, questions, token_budget), len(questions), on_progress, stage)


def _packed_batches(
    model: SentenceTransformer, questions: list[str], token_budget: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the indices of some questions and their embeddings, until all are done."""
    tokens = tokenize(model, questions)
    order = np.argsort(tokens.lengths, kind="stable")
    with packed_attention(model) as packing, torch.inference_mode():
        for chosen in from_both_ends(list(by_budget(order, tokens.lengths, token_budget))):
            features = to_device(pack(tokens, chosen, packing.first_position), model.device)
            yield chosen, embeddings_of(model(features), model.truncate_dim).float().cpu().numpy()


def _padded_batches(
    model: SentenceTransformer, questions: list[str], token_budget: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """As `_packed_batches`, by the model's own `encode`; questions of like length together need little padding."""
    order = np.argsort([len(question) for question in questions], kind="stable")
    size = max(1, token_budget // _TOKENS_OF_A_QUESTION)
    for chosen in from_both_ends([order[start : start + size] for start in range(0, len(order), size)]):
        texts = [questions[i] for i in chosen]
        yield chosen, model.encode(texts, batch_size=size, show_progress_bar=False, convert_to_numpy=True)
