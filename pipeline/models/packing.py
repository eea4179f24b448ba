"""Run a sentence-embedding model on questions laid end to end, so that padding costs no computation.

A padded batch is as wide as its longest question: on Quora's pairs three of five tokens of a random batch of 128 pairs
are padding. Here all questions of a batch form one sequence of tokens. Everything but attention works on each token
by itself and needs no change; attention is computed within each question, by one call for all questions of a length
(on a CPU and in fp32), or by `torch.nn.attention.varlen` (on CUDA in half precision). It goes in through transformers'
`AttentionInterface`, and sentence-transformers' pooling understands the layout (`cu_seq_lens_q`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from pipeline.core.errors import ModelError
from pipeline.models.embedding import embeddings_of, features_of, prompt_of, to_device

ATTENTION = "packed"
"""Name under which the attention is registered with transformers."""

_PACKED_KEYS = {"cu_seq_lens_q", "max_length_q", "length_groups"}
TOKENIZE_CHUNK = 4_096
"""Texts that are tokenised at once."""

_PROBES = (
    "Is it?",
    "How do I learn to play the violin?",
    "What is the best way to get from the airport to the city" + ", and what does it cost by bus or by train" * 8 + "?",
)
PROBE_TOLERANCE = 1e-3
"""Of the largest component: rounding gives 1e-6, other attention 0.01 and more."""

_AFTER_THE_TRANSFORMER = (Pooling, Normalize, Dense)


@dataclass(frozen=True)
class QuestionTokens:
    """Token ids of questions, special tokens included, one question after the other.

    Attributes:
        ids: int32 of shape (tokens,).
        offsets: int64 of shape (questions + 1,): question i is `ids[offsets[i]:offsets[i + 1]]`.
        truncated: how many questions were cut to the model's limit.
        prompt_length: tokens of the prompt at the start of each, as pooling may leave them out; None without one.
        types: token type of each id, int8 of shape (tokens,), where a "question" is a pair; None for single questions,
            and for models without token types.
    """

    ids: np.ndarray
    offsets: np.ndarray
    truncated: int
    prompt_length: int | None = None
    types: np.ndarray | None = None

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each question: int64 of shape (questions,)."""
        return np.diff(self.offsets)


def tokenize(model: SentenceTransformer, questions: Sequence[str]) -> QuestionTokens:
    """Tokenise questions as the model's own `encode` does, the prompt before them included, in bulk.

    Raises:
        PipelineError: for a model that doesn't say which tokens are whose.
    """
    ids, lengths = [np.empty(0, dtype=np.int32)], [np.empty(0, dtype=np.int64)]
    prompt_length = None
    for start in range(0, len(questions), TOKENIZE_CHUNK):
        features = features_of(model, questions[start : start + TOKENIZE_CHUNK])
        prompt_length = features.get("prompt_length")
        flat, length_of_each = _without_padding(model, features)
        ids.append(flat)
        lengths.append(length_of_each)
    length = np.concatenate(lengths)
    at_limit = np.flatnonzero(length == model.max_seq_length)
    prompt = prompt_of(model) or ""
    truncated = sum(
        len(model.tokenizer(prompt + questions[i], truncation=False, verbose=False)["input_ids"]) > length[i]
        for i in at_limit.tolist()
    )
    return QuestionTokens(np.concatenate(ids), np.concatenate([[0], np.cumsum(length)]), truncated, prompt_length)


def _without_padding(model: SentenceTransformer, features: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of all questions end to end, int32 of shape (tokens,), and how many each has, of shape (questions,)."""
    ids = features.get("input_ids", torch.empty(0))
    if "input_ids" in features and "attention_mask" in features:
        mask = features["attention_mask"].bool()
        return ids[mask].numpy().astype(np.int32), mask.sum(dim=1).numpy()
    if "input_ids" in features and "offsets" in features:
        # `StaticEmbedding` lays the tokens of its questions end to end itself.
        return ids.numpy().astype(np.int32), np.diff(features["offsets"].numpy(), append=len(ids))
    raise ModelError(
        f"a model that begins with {type(model[0]).__name__} can't be trained or measured here: choose one that begins "
        "with Transformer or StaticEmbedding",
        module=type(model[0]).__name__,
    )


def pack(tokens: QuestionTokens, questions: np.ndarray, first_position: int = 0) -> dict[str, Any]:
    """The features of some questions, end to end.

    Args:
        questions: indices of distinct questions in ascending order of length, of shape (n,).
        first_position: position id of a question's first token; see `Packing`.
    """
    lengths = tokens.lengths[questions]
    ends = np.cumsum(lengths)
    starts = ends - lengths
    within = np.arange(ends[-1]) - np.repeat(starts, lengths)
    at = np.repeat(tokens.offsets[questions], lengths) + within
    distinct, counts = np.unique(lengths, return_counts=True)
    if (lengths[1:] < lengths[:-1]).any():
        raise ValueError("questions must come in ascending order of length")
    prompt = {} if tokens.prompt_length is None else {"prompt_length": tokens.prompt_length}
    types = (
        {} if tokens.types is None else {"token_type_ids": torch.from_numpy(tokens.types[at].astype(np.int64))[None]}
    )
    return {
        **prompt,
        **types,
        "input_ids": torch.from_numpy(tokens.ids[at].astype(np.int64))[None],
        "position_ids": torch.from_numpy(within + first_position)[None],
        "cu_seq_lens_q": torch.from_numpy(np.concatenate([[0], ends]).astype(np.int32)),
        "max_length_q": int(lengths[-1]),
        # (length, how many questions have it), in order.
        "length_groups": tuple(zip(distinct.tolist(), counts.tolist(), strict=True)),
    }


def _packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention within each question; query, key and value have the shape (1, heads, tokens, head dimensions).

    Without the keys of `pack` among the arguments, ordinary attention: `encode` still works meanwhile.

    Returns:
        (1, tokens, heads, head dimensions).
    """
    if "length_groups" not in kwargs:
        output: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return output
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if uses_varlen(query.device.type, query.dtype, dropout):
        heads_last = [tensor[0].transpose(0, 1) for tensor in (query, key, value)]
        ends, longest = kwargs["cu_seq_lens_q"], kwargs["max_length_q"]
        attended = varlen_attn(*heads_last, ends, ends, longest, longest, scale=scale)
        return attended[None], None
    groups = kwargs["length_groups"]
    sizes = [length * count for length, count in groups]
    # Split, not sliced: a slice's gradient would be as large as the whole.
    parts = zip(*(tensor[0].split(sizes, dim=1) for tensor in (query, key, value)), strict=True)
    outputs = []
    for (length, count), part in zip(groups, parts, strict=True):
        # (count, heads, length, head dimensions)
        queries, keys, values = (tensor.unflatten(1, (count, length)).transpose(0, 1) for tensor in part)
        if query.device.type == "cpu":
            # Torch's fused attention on a CPU takes five times as long backwards for sequences this short.
            weights = torch.softmax(queries @ keys.transpose(-1, -2) * scale, dim=-1)
            weights = torch.nn.functional.dropout(weights, dropout, training=dropout > 0)
            attended = weights.to(values.dtype) @ values
        else:
            attended = torch.nn.functional.scaled_dot_product_attention(
                queries, keys, values, dropout_p=dropout, scale=scale
            )
        outputs.append(attended.transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs)[None], None


def uses_varlen(device: str, dtype: torch.dtype, dropout: float) -> bool:
    """Whether packed attention is `varlen_attn`, which has no dropout and is for CUDA in half precision."""
    return device == "cuda" and dtype in (torch.bfloat16, torch.float16) and dropout == 0


AttentionInterface.register(ATTENTION, _packed_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


@dataclass(frozen=True)
class Packing:
    """What a model needs to know of the layout.

    Attributes:
        first_position: position id of a question's first token: 0, but for RoBERTa's family.
    """

    first_position: int


@contextmanager
def packed_attention(model: SentenceTransformer) -> Iterator[Packing]:
    """Let the model take packed features in the block.

    Raises:
        ValueError: when `why_not_packed` has a reason.
    """
    if reason := _obstacle(model):
        raise ValueError(reason)
    transformer = model[0]
    before, parameters = transformer.config._attn_implementation, transformer.model_forward_params
    transformer.model.set_attn_implementation(ATTENTION)
    if parameters is not None:
        # Not named by the model's forward, which hands them on to its attention.
        transformer.model_forward_params = parameters | _PACKED_KEYS
    try:
        yield Packing(_first_position(transformer.model))
    finally:
        transformer.model.set_attn_implementation(before)
        transformer.model_forward_params = parameters


def why_not_packed(model: SentenceTransformer) -> str | None:
    """Why this model must be given padded batches, or None when packed ones give the same embeddings.

    Tried out on three questions, of which one is long, so that an architecture whose attention doesn't go through
    transformers' interface is noticed.
    """
    if reason := _obstacle(model):
        return reason
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), packed_attention(model) as packing:
            tokens = tokenize(model, _PROBES)
            order = np.argsort(tokens.lengths, kind="stable")
            features = to_device(pack(tokens, order, packing.first_position), model.device)
            packed = embeddings_of(model(features), model.truncate_dim).float().cpu()
            features = to_device(features_of(model, [_PROBES[i] for i in order]), model.device)
            padded = embeddings_of(model(features), model.truncate_dim).float().cpu()
        difference = float((packed - padded).abs().max() / padded.abs().max())
    except (TypeError, RuntimeError, ValueError, KeyError) as error:
        return f"it can't run on them ({' '.join(str(error).split())[:200]})"
    finally:
        model.train(was_training)
    return None if difference < PROBE_TOLERANCE else f"its embeddings would differ by {difference:.1%}"


def _obstacle(model: SentenceTransformer) -> str | None:
    first, *others = model
    if not isinstance(first, Transformer) or not all(isinstance(module, _AFTER_THE_TRANSFORMER) for module in others):
        return f"it is made of {', '.join(type(module).__name__ for module in model)}"
    for module in first.model.modules():
        if getattr(module, "is_causal", False) is True:
            return "its attention is causal"
        if isinstance(getattr(module, "sliding_window", None), int):
            return "its attention sees a window"
    return None


def _first_position(model: torch.nn.Module) -> int:
    """RoBERTa's family counts positions from its padding index plus one."""
    for module in model.modules():
        padding = getattr(module, "padding_idx", None)
        if isinstance(padding, int) and isinstance(getattr(module, "position_embeddings", None), torch.nn.Embedding):
            return padding + 1
    return 0
