"""Embed texts on this machine as vectors of length 1. The model is loaded on first use."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from pipeline.core.progress import Advanced, OnProgress, ignore
from pipeline.models.info import ModelInfo
from pipeline.models.options import TOKEN_BUDGET, Device
from pipeline.vectors import options
from pipeline.vectors.blocks import unit
from pipeline.vectors.cache import PartsEncoder
from pipeline.vectors.options import WORTH_PACKING

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PRECISION: Literal["fp32"] = "fp32"
"""The precision of `SentenceTransformer.encode`, and the one in which thresholds were chosen."""


class TextEncoder(PartsEncoder, Protocol):
    """What turns texts into vectors of length 1 on this machine."""

    def embed(
        self, texts: list[str], on_progress: OnProgress = ignore, stage: str = "embedding questions"
    ) -> np.ndarray:
        """Vectors of length 1: float32 of shape (len(texts), dimensions)."""


class Encoder:
    """Embeds with one model, in fp32.

    Attributes:
        info: the model.
    """

    def __init__(self, info: ModelInfo, device: Device = "auto") -> None:
        self.info = info
        self._device = device

    @property
    def cache_name(self) -> str:
        """See `PartsEncoder`."""
        return f"{self.info.version}-{PRECISION}"

    @property
    def part_size(self) -> int:
        """See `PartsEncoder`."""
        return options.PART_SIZE

    def embed_parts(self, parts: Sequence[list[str]], on_progress: OnProgress = ignore) -> Iterator[np.ndarray]:
        """See `PartsEncoder`: one part after the other."""
        for part in parts:
            yield self.embed(part, on_progress)

    def embed(
        self, texts: list[str], on_progress: OnProgress = ignore, stage: str = "embedding questions"
    ) -> np.ndarray:
        """Vectors of length 1 (or 0, where the model gives no direction): float32 of shape (len(texts), dimensions).

        Raises:
            PipelineError: when the model can't be loaded, or gives values that are not finite.
        """
        from pipeline.models.encoding import embed_questions

        model = self._model
        if 0 < len(texts) < WORTH_PACKING:
            vectors = model.encode(texts, show_progress_bar=False, convert_to_numpy=True)
            on_progress(Advanced(stage, len(texts), len(texts)))
            return unit(vectors)
        return unit(embed_questions(model, texts, TOKEN_BUDGET, on_progress, stage, PRECISION))

    @cached_property
    def _model(self) -> "SentenceTransformer":
        from pipeline.models.loading import load_model, quiet_libraries, resolve_device

        quiet_libraries()
        return load_model(self.info, resolve_device(self._device))
