"""Scores pairs by a cross-encoder: sorted by length, packed where the model can take that, and padded elsewhere."""

from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import torch
from sentence_transformers import CrossEncoder

from pipeline.core.errors import PipelineError
from pipeline.core.progress import OnProgress, ignore
from pipeline.models.embedding import to_device
from pipeline.models.length_batches import by_budget, from_both_ends, in_order
from pipeline.models.packing import QuestionTokens, pack
from pipeline.models.pair_packing import (
    logits_of,
    packed_pairs,
    pair_features,
    tokenize_pairs,
    why_not_packed_pairs,
)
from pipeline.models.precision import Precision


def score_pairs(
    model: CrossEncoder,
    first: list[str],
    second: list[str],
    token_budget: int,
    on_progress: OnProgress = ignore,
    precision: Precision = "fp32",
    stage: str = "scoring pairs",
) -> np.ndarray:
    """The logit of *duplicate* of each pair, as the model's `predict` gives it without its activation function.

    Args:
        first, second: the questions of each pair, in the order in which the model reads them.
        token_budget: most tokens of a forward pass; a pair that has more is one by itself.

    Returns:
        float32 of shape (pairs,).

    Raises:
        PipelineError: when there are no pairs, or a logit is NaN or infinite.
    """
    if not first:
        raise PipelineError("there are no pairs to score: bring at least one")
    model.eval()
    tokens = tokenize_pairs(model, first, second)
    order = np.argsort(tokens.lengths, kind="stable")
    batches = from_both_ends(list(by_budget(order, tokens.lengths, token_budget)))
    scored = _padded(model, first, second, batches) if why_not_packed_pairs(model) else _packed(model, tokens, batches)
    half = torch.autocast(model.device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
    with half:
        logits = in_order(scored, len(first), on_progress, stage)
    if broken := int((~np.isfinite(logits)).sum()):
        raise PipelineError(
            f"the model gave NaN or infinite scores for {broken:,} of {len(logits):,} pairs: its training has diverged "
            "or its weights are damaged"
        )
    return logits


def score_pairs_both_ways(
    model: CrossEncoder,
    first: list[str],
    second: list[str],
    token_budget: int,
    on_progress: OnProgress = ignore,
    precision: Precision = "fp32",
    stage: str = "scoring pairs",
) -> np.ndarray:
    """The mean of the logits of both orders of each pair, so that it doesn't matter which question comes first.

    See `score_pairs`. Progress counts each order of a pair by itself.
    """
    logits = score_pairs(model, first + second, second + first, token_budget, on_progress, precision, stage)
    both: np.ndarray = logits.reshape(2, len(first)).mean(axis=0)
    return both


def _packed(
    model: CrossEncoder, tokens: QuestionTokens, batches: Iterator[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the indices of some pairs and their logits, until all are done."""
    with packed_pairs(model) as packing, torch.inference_mode():
        for chosen in batches:
            features = to_device(pack(tokens, chosen, packing.first_position), model.device)
            yield chosen, logits_of(model(features)).float().cpu().numpy()


def _padded(
    model: CrossEncoder, first: list[str], second: list[str], batches: Iterator[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """As `_packed`; pairs of like length together need little padding."""
    with torch.inference_mode():
        for chosen in batches:
            features = pair_features(model, [first[i] for i in chosen], [second[i] for i in chosen])
            yield chosen, logits_of(model(to_device(features, model.device))).float().cpu().numpy()
