"""Turns questions into embeddings: sorted by length, packed where the model can take that, and padded elsewhere."""

import time
from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from pipeline.core.errors import PipelineError
from pipeline.core.progress import Advanced, OnProgress, ignore
from pipeline.models.embedding import embeddings_of, to_device
from pipeline.models.packing import pack, packed_attention, tokenize, why_not_packed
from pipeline.models.precision import Precision

_TOKENS_OF_A_QUESTION = 32
"""What a padded question counts for: how many it has is known only when the library has tokenised it."""

_SECONDS_BETWEEN_EVENTS = 0.2


def embed_questions(
    model: SentenceTransformer,
    questions: list[str],
    token_budget: int,
    on_progress: OnProgress = ignore,
    stage: str = "embedding questions",
    precision: Precision = "fp32",
) -> np.ndarray:
    """Embed questions as the model's `encode` does, sorted by length, without padding where the model can do without.

    Args:
        token_budget: most tokens of a forward pass; a question that has more is one by itself.

    Returns:
        float32 of shape (len(questions), dimensions), in the order of `questions`.
    """
    if not questions:
        raise PipelineError("there are no questions to embed: bring at least one")
    model.eval()
    batches = _padded_batches if why_not_packed(model) else _packed_batches
    done, order, parts = 0, [], []
    half = torch.autocast(model.device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
    on_progress(Advanced(stage, 0, len(questions)))
    reported = time.monotonic()
    with half:
        for indices, part in batches(model, questions, token_budget):
            order.append(indices)
            parts.append(part)
            done += len(indices)
            if done == len(questions) or time.monotonic() - reported >= _SECONDS_BETWEEN_EVENTS:
                reported = time.monotonic()
                on_progress(Advanced(stage, done, len(questions)))
    stacked = np.concatenate(parts).astype(np.float32, copy=False)
    embeddings = np.empty_like(stacked)
    embeddings[np.concatenate(order)] = stacked
    return embeddings


def _packed_batches(
    model: SentenceTransformer, questions: list[str], token_budget: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the indices of some questions and their embeddings, until all are done."""
    tokens = tokenize(model, questions)
    order = np.argsort(tokens.lengths, kind="stable")
    with packed_attention(model) as packing, torch.inference_mode():
        for chosen in _from_both_ends(list(_by_budget(order, tokens.lengths, token_budget))):
            features = to_device(pack(tokens, chosen, packing.first_position), model.device)
            yield chosen, embeddings_of(model(features), model.truncate_dim).float().cpu().numpy()


def _padded_batches(
    model: SentenceTransformer, questions: list[str], token_budget: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """As `_packed_batches`, by the model's own `encode`; questions of like length together need little padding."""
    order = np.argsort([len(question) for question in questions], kind="stable")
    size = max(1, token_budget // _TOKENS_OF_A_QUESTION)
    for chosen in _from_both_ends([order[start : start + size] for start in range(0, len(order), size)]):
        texts = [questions[i] for i in chosen]
        yield chosen, model.encode(texts, batch_size=size, show_progress_bar=False, convert_to_numpy=True)


def _by_budget(order: np.ndarray, lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Consecutive parts of `order` of at most so many tokens, but at least one question."""
    ends = np.cumsum(lengths[order])
    start = 0
    while start < len(order):
        used = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, used + budget, side="right")))
        yield order[start:stop]
        start = stop


def _from_both_ends(batches: list[np.ndarray]) -> Iterator[np.ndarray]:
    """The last batch, the first, the last but one and so on.

    The longest questions come first, so a lack of memory shows at once; and as short and long ones take turns, as many
    questions are done in the first half of the time as in the second.
    """
    first, last = 0, len(batches) - 1
    while first <= last:
        yield batches[last]
        if first < last:
            yield batches[first]
        first, last = first + 1, last - 1
