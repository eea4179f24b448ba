"""Embeds texts with a chosen model on this machine, as vectors of length 1. The model is loaded when it is needed."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.compute.base import Compute
from pipeline.core.errors import PipelineError
from pipeline.core.progress import OnProgress, ignore
from pipeline.models.info import ModelInfo
from pipeline.models.options import Device

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PRECISION: Literal["fp32"] = "fp32"
"""As the thresholds were chosen, and as `SentenceTransformer.encode` embeds."""

_TOKEN_BUDGET = 4_096


class Encoder:
    """Embeds with one model, in fp32.

    Attributes:
        info: the model.
    """

    def __init__(self, info: ModelInfo, device: Device = "auto") -> None:
        self.info = info
        self._device = device

    @property
    def model_version(self) -> str:
        """See `PartsEncoder`."""
        return self.info.version

    @property
    def part_size(self) -> int:
        """See `PartsEncoder`."""
        return Compute.part_size

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
        return unit(embed_questions(model, texts, _TOKEN_BUDGET, on_progress, stage, PRECISION))

    @cached_property
    def _model(self) -> "SentenceTransformer":
        from pipeline.models.loading import load_model, quiet_libraries, resolve_device

        quiet_libraries()
        return load_model(self.info, resolve_device(self._device))


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors with length 1; a zero stays one: float32 of the same shape.

    Raises:
        PipelineError: when a value is NaN or infinite: such a vector would be like all others, or like none.
    """
    lengths = np.linalg.norm(vectors.astype(np.float32, copy=False), axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        broken = int((~np.isfinite(lengths)).sum())
        raise PipelineError(
            f"the model gave NaN or infinite embeddings for {broken:,} of {len(vectors):,} texts: its training has "
            "diverged or its weights are damaged"
        )
    scaled: np.ndarray = vectors / np.where(lengths == 0, 1, lengths).astype(np.float32)
    return scaled


class ComputeEncoder:
    """Embeds where the compute is: parts are handed over to it, which may work on several at once.

    Attributes:
        info: the model, where the compute can reach it.
    """

    def __init__(self, compute: Compute, info: ModelInfo) -> None:
        self.info = info
        self._compute = compute

    @property
    def model_version(self) -> str:
        """See `PartsEncoder`."""
        return self.info.version

    @property
    def part_size(self) -> int:
        """See `PartsEncoder`."""
        return self._compute.part_size

    def embed_parts(self, parts: Sequence[list[str]], on_progress: OnProgress = ignore) -> Iterator[np.ndarray]:
        """See `PartsEncoder`."""
        yield from map(unit, self._compute.embed_parts(self.info, parts, on_progress))
