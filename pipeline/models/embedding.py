"""The steps of `SentenceTransformer.encode` around the modules, for code that can't call it.

`encode` gives no gradients and pads its batches. Training and packed batches call the modules
directly, so the settings that `encode` applies outside of them are applied here: the prompt before each question, and
the dimensions that an embedding is truncated to. Tests compare every path with `encode`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer

SIMILARITY = "cosine"
"""Models are trained, compared and promoted by it, whatever their own similarity function is."""


def prompt_of(model: SentenceTransformer) -> str | None:
    """The text that `encode` puts before each question; None where it puts none."""
    return (model.prompts.get(model.default_prompt_name) or None) if model.default_prompt_name else None


def features_of(model: SentenceTransformer, questions: Sequence[str]) -> dict[str, Any]:
    """The model's inputs for some questions: tokens after those of the prompt, truncated to its limit and padded."""
    features: dict[str, Any] = model.preprocess(list(questions), prompt=prompt_of(model))
    return features


def embeddings_of(outputs: Mapping[str, Any], truncate_dim: int | None) -> torch.Tensor:
    """The embeddings among a model's outputs.

    Args:
        outputs: of the model's forward pass.
        truncate_dim: the model's setting of that name: how many dimensions are kept; None for all.

    Returns:
        A tensor of shape (questions, dimensions).
    """
    embeddings: torch.Tensor = outputs["sentence_embedding"]
    return embeddings if truncate_dim is None else embeddings[..., :truncate_dim]


def to_device(features: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The features with every tensor on a device."""
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
        for name, value in features.items()
    }
