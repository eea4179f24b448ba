"""Gives vectors length 1, with numpy alone."""

import numpy as np

from pipeline.core.errors import PipelineError


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
