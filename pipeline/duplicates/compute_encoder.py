"""Embeds texts where the compute is."""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.compute.base import Compute
from pipeline.core.progress import OnProgress, ignore
from pipeline.models.info import ModelInfo
from pipeline.vectors.blocks import unit
from pipeline.vectors.encoder import PRECISION


class ComputeEncoder:
    """Embeds where the compute is: parts are handed over to it, which may work on several at once.

    Attributes:
        info: the model, where the compute can reach it.
    """

    def __init__(self, compute: Compute, info: ModelInfo) -> None:
        self.info = info
        self._compute = compute

    @property
    def cache_name(self) -> str:
        """See `PartsEncoder`."""
        return f"{self.info.version}-{PRECISION}"

    @property
    def part_size(self) -> int:
        """See `PartsEncoder`."""
        return self._compute.part_size

    def embed_parts(self, parts: Sequence[list[str]], on_progress: OnProgress = ignore) -> Iterator[np.ndarray]:
        """See `PartsEncoder`."""
        yield from map(unit, self._compute.embed_parts(self.info, parts, on_progress))
