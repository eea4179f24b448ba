"""Measures an export beside the model that it was made from."""

from collections.abc import Callable

import numpy as np

from pipeline.evaluation.metrics import has_both_classes, similarity_metrics
from pipeline.exporting.parity import Parity
from pipeline.models.probe_questions import PROBE_QUESTIONS
from pipeline.models.unit_length import unit
from pipeline.question_pairs.questions import QuestionIndex
from pipeline.question_pairs.schema import PairTable

Embed = Callable[[list[str]], np.ndarray]
"""From texts to float32 of shape (texts, dimensions)."""


def measure_parity(model: Embed, export: Embed, pairs: PairTable | None) -> Parity:
    """Embed the questions of some pairs by both, or probe questions without pairs, and compare.

    Raises:
        PipelineError: when either gives values that are not finite.
    """
    index = QuestionIndex.of(pairs) if pairs is not None and len(pairs) else None
    texts = index.texts if index else PROBE_QUESTIONS
    theirs, ours = unit(model(texts)), unit(export(texts))
    cosine = np.einsum("ij,ij->i", theirs.astype(np.float64), ours.astype(np.float64))
    # A text that both give no direction to has none in common either.
    cosine[~theirs.any(axis=1) & ~ours.any(axis=1)] = 1
    measured: list[float] = []
    if index and pairs is not None and has_both_classes(pairs.labels):
        for vectors in (theirs, ours):
            scores = np.einsum("ij,ij->i", vectors[index.first], vectors[index.second])
            measured.append(similarity_metrics(scores, pairs.labels).ap)
    return Parity(
        questions=len(texts),
        min_cosine=float(cosine.min()),
        mean_cosine=float(cosine.mean()),
        pairs=len(pairs) if measured and pairs is not None else 0,
        ap_of_model=measured[0] if measured else None,
        ap_of_export=measured[1] if measured else None,
    )
