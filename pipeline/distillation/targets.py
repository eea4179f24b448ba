"""Makes the vectors that a student's own shall resemble: the teacher's, brought into the student's space.

Members that were trained on different pairs agree on which questions are alike, and not on directions: each training
turns the space its own way. A fold's vectors are therefore brought into one space, that of the student's base model:
first onto as many principal components as that has dimensions, then turned and mirrored so that they come as close to
the base model's vectors as a rotation can (Schönemann, "A generalized solution of the orthogonal Procrustes problem",
Psychometrika 31, 1966). Neither changes the angles between the questions of a fold by more than the components that
are left out. Several members of a fold count as one model whose vectors are theirs, end to end: its cosine is the mean
of their cosines.
"""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.distillation.questions import TrainingQuestions
from pipeline.duplicates.vectors import Vectors
from pipeline.models.info import ModelInfo
from pipeline.models.unit_length import unit
from pipeline.question_pairs.target_vectors import TargetVectors

VectorsOf = Callable[[int, Sequence[str]], list[np.ndarray]]
"""(fold, its questions) → of each of its members, float32 of shape (questions, dimensions)."""


def target_vectors(
    questions: TrainingQuestions, vectors_of: VectorsOf, base_model: ModelInfo, base_vectors: Vectors
) -> TargetVectors:
    """A vector for each training question, by the members that have seen none of its pairs.

    Args:
        base_model: of the student.
        base_vectors: of `questions.texts`, by the base model.
    """
    texts: list[str] = []
    parts: list[np.ndarray] = []
    for fold in questions.folds():
        of_fold = [questions.texts[number] for number in fold.members.tolist()]
        joined = np.concatenate(vectors_of(int(questions.fold[fold.members[0]]), of_fold), axis=1)
        vectors = aligned(joined, base_vectors.rows(fold.members))
        # A question that a model gives no direction has no target.
        has_one = np.linalg.norm(vectors, axis=1) > 0
        texts += [text for text, has in zip(of_fold, has_one.tolist(), strict=True) if has]
        parts.append(vectors[has_one].astype(np.float16))
    found = np.concatenate(parts) if parts else np.empty((0, base_vectors.dimensions), dtype=np.float16)
    return TargetVectors(texts, found, base_model.version)


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
