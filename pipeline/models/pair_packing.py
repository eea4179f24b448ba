"""Runs a cross-encoder on pairs of questions laid end to end, so that no computation is spent on padding.

A cross-encoder reads a pair as one sequence: `[CLS] first [SEP] second [SEP]`, with a token type for each side. All
pairs of a batch form one sequence of tokens, as the questions of an embedding model do (`pipeline.models.packing`), and
attention is computed within each pair. What follows the layers of the transformer (pooler, head) reads the first token
of each sequence. So the output of the layers is cut down to the first token of each pair before they see it: for them
it is a batch of pairs of one token.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder

from pipeline.models.embedding import prompt_of, to_device
from pipeline.models.packing import (
    PROBE_TOLERANCE,
    TOKENIZE_CHUNK,
    Packing,
    QuestionTokens,
    pack,
    packed_attention,
)

_LAYERS = ("encoder", "transformer")
"""What transformers' models call the module that holds their layers."""

_PROBES = (
    ("Is it?", "Is it so?"),
    ("How do I learn to play the violin?", "What is the best way to learn the violin?"),
    ("Why?", "What is the best way to get from the airport to the city" + ", and what does it cost by bus" * 6 + "?"),
)


def pair_features(model: CrossEncoder, first: Sequence[str], second: Sequence[str]) -> dict[str, Any]:
    """What the model is given for some pairs, as its own `predict` makes it: their tokens, cut to its limit, padded."""
    pairs = list(zip(first, second, strict=True))
    features: dict[str, Any] = model.preprocess(pairs, prompt=prompt_of(model))
    return features


def logits_of(outputs: dict[str, Any]) -> torch.Tensor:
    """The logits among a cross-encoder's outputs, one for each pair: of shape (pairs,)."""
    logits: torch.Tensor = outputs["scores"]
    return logits.squeeze(-1)


def tokenize_pairs(model: CrossEncoder, first: Sequence[str], second: Sequence[str]) -> QuestionTokens:
    """Tokenise pairs as the model's own `predict` does, in bulk.

    Args:
        first, second: the questions of each pair, in the order in which the model reads them.

    Returns:
        The tokens of each pair, both questions and special tokens included.
    """
    ids, lengths = [np.empty(0, dtype=np.int32)], [np.empty(0, dtype=np.int64)]
    types: list[np.ndarray] = []
    for start in range(0, len(first), TOKENIZE_CHUNK):
        chunk = slice(start, start + TOKENIZE_CHUNK)
        features = pair_features(model, first[chunk], second[chunk])
        mask = features["attention_mask"].bool()
        ids.append(features["input_ids"][mask].numpy().astype(np.int32))
        lengths.append(mask.sum(dim=1).numpy())
        if "token_type_ids" in features:
            types.append(features["token_type_ids"][mask].numpy().astype(np.int8))
    length = np.concatenate(lengths)
    prompt = prompt_of(model) or ""
    truncated = sum(
        len(model.tokenizer(prompt + first[i], second[i], truncation=False, verbose=False)["input_ids"]) > length[i]
        for i in np.flatnonzero(length == model.max_seq_length).tolist()
    )
    return QuestionTokens(
        np.concatenate(ids),
        np.concatenate([[0], np.cumsum(length)]),
        truncated,
        types=np.concatenate(types) if types else None,
    )


@contextmanager
def packed_pairs(model: CrossEncoder) -> Iterator[Packing]:
    """Let the model take packed features of pairs in the block; padded ones still work meanwhile.

    Raises:
        ValueError: when `why_not_packed_pairs` has a reason.
    """
    with packed_attention(model) as packing:
        hook = _layers(model).register_forward_hook(_first_token_of_each, with_kwargs=True)
        try:
            yield packing
        finally:
            hook.remove()


def _layers(model: CrossEncoder) -> torch.nn.Module:
    """The module whose output is that of the last layer."""
    trunk = model[0].model.base_model
    for name in _LAYERS:
        if isinstance(layers := getattr(trunk, name, None), torch.nn.Module):
            return layers
    raise ValueError(f"its layers are in no module that is called {' or '.join(_LAYERS)}")


def _first_token_of_each(module: torch.nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
    """Cut the output of packed pairs, of shape (1, tokens, width), down to their first tokens: (pairs, 1, width)."""
    groups = kwargs.get("length_groups")
    hidden = output[0]
    # Of other shapes it is padded, or was cut already: one block may be within another.
    if groups is None or hidden.shape[:2] != (1, sum(length * count for length, count in groups)):
        return output
    starts = kwargs["cu_seq_lens_q"][:-1].long()
    output.last_hidden_state = hidden[0].index_select(0, starts)[:, None]
    return output


def why_not_packed_pairs(model: CrossEncoder) -> str | None:
    """Why this model must be given padded batches of pairs, or None when packed ones give the same logits.

    Tried out on three pairs, of which one is long, so that a head that reads something else than the first token is
    noticed, as is attention that doesn't go through transformers' interface.
    """
    was_training = model.training
    model.eval()
    first, second = ([pair[side] for pair in _PROBES] for side in (0, 1))
    try:
        with torch.inference_mode():
            tokens = tokenize_pairs(model, first, second)
            order = np.argsort(tokens.lengths, kind="stable")
            with packed_pairs(model) as packing:
                features = to_device(pack(tokens, order, packing.first_position), model.device)
                packed = logits_of(model(features)).float().cpu()
            in_order = ([side[i] for i in order] for side in (first, second))
            padded = logits_of(model(to_device(pair_features(model, *in_order), model.device))).float().cpu()
        if packed.shape != padded.shape:
            return f"it gives logits of shape {tuple(packed.shape)} for {len(_PROBES)} packed pairs"
        difference = float((packed - padded).abs().max() / padded.abs().max())
    except ValueError as error:
        return " ".join(str(error).split())[:200]
    except (TypeError, RuntimeError, KeyError, AttributeError, IndexError) as error:
        return f"it can't run on them ({' '.join(str(error).split())[:200]})"
    finally:
        model.train(was_training)
    return None if difference < PROBE_TOLERANCE else f"its logits would differ by {difference:.1%}"
