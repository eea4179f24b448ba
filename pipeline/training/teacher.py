"""Makes the vectors that a student learns from: a teacher's vectors of the questions, in the student's space.

Two models agree on which questions are alike, and not on directions: each has a space of its own, and a larger one has
more dimensions. So the teacher's vectors are first projected onto as many principal components as the student has
dimensions. They are then rotated and mirrored so that they come as close to the base model's vectors of the same
questions as a rotation can (Schönemann, "A generalized solution of the orthogonal Procrustes problem", Psychometrika
31, 1966). Neither step changes the angles between questions by more than the components that are left out.
"""

import gc
from collections.abc import Sequence

import numpy as np
import torch

from pipeline.core.progress import OnProgress
from pipeline.evaluation.measurement import EvaluationOptions
from pipeline.models.encoding import embed_questions
from pipeline.models.info import ModelInfo
from pipeline.models.loading import load_model
from pipeline.vectors.blocks import unit


def target_vectors(
    teacher: ModelInfo, base_model: ModelInfo, questions: Sequence[str], device: str, on_progress: OnProgress
) -> np.ndarray:
    """The teacher's vector of each question, in the space of the base model.

    Both models embed in fp32, one after the other. The same inputs give the same vectors, so every process of a
    training, and a training that is resumed, computes them itself.

    Returns:
        Vectors of length 1, NaN where the teacher's has no direction: float16 of shape (questions, dimensions of the
        base model).
    """
    taught, own = (
        _embed(model, questions, device, on_progress, f"embedding the training questions with {model.name}")
        for model in (teacher, base_model)
    )
    vectors = aligned(taught, own)
    vectors[np.linalg.norm(vectors, axis=1) == 0] = np.nan
    return vectors.astype(np.float16)


def aligned(vectors: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Vectors brought into another space, with their angles kept as far as its dimensions allow.

    Args:
        vectors: float32 of shape (n, d).
        towards: vectors of the same n things in that space: float32 of shape (n, k).

    Returns:
        Vectors of length 1, or 0 where nothing is left of one: float32 of shape (n, k).
    """
    wide, narrow = vectors.astype(np.float64), towards.astype(np.float64)
    if wide.shape[1] > narrow.shape[1]:
        # Ascending. Not centred: cosines are about the origin.
        components = np.linalg.eigh(wide.T @ wide)[1]
        wide = wide @ components[:, -narrow.shape[1] :]
    left, _, right = np.linalg.svd(wide.T @ narrow, full_matrices=False)
    return unit(wide @ (left @ right))


def _embed(info: ModelInfo, questions: Sequence[str], device: str, on_progress: OnProgress, stage: str) -> np.ndarray:
    model = load_model(info, device)
    vectors = embed_questions(model, list(questions), EvaluationOptions().token_budget, on_progress, stage)
    # The training needs the memory.
    del model
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return vectors
