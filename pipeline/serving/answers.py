"""What the service does for its requests, with one model and the questions that it knows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core.progress import OnProgress, ignore
from pipeline.duplicates.cache import VectorCache
from pipeline.duplicates.classifier import DuplicateClassifier
from pipeline.duplicates.corpus import Corpus
from pipeline.serving.journal import Change
from pipeline.serving.known_questions import Answer, KnownQuestions
from pipeline.serving.options import ServiceLimits


@dataclass
class Answers:
    """One model, and the questions that are known, with their vectors by it.

    Attributes:
        corpus: what people call the questions; empty where there were none at the start.
        revision: of the journal, up to which its changes are in here.
    """

    classifier: DuplicateClassifier
    known: KnownQuestions
    corpus: str
    revision: int = 0

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of length 1: float32 of shape (len(texts), dimensions)."""
        return self.classifier.encoder.embed(list(texts))

    def compare(self, vectors: np.ndarray) -> np.ndarray:
        """Cosines of pairs.

        Args:
            vectors: first and second question of each pair in turn, of shape (2 * pairs, dimensions).
        """
        return np.einsum("ij,ij->i", vectors[0::2], vectors[1::2])

    def search(self, vectors: np.ndarray, top: int) -> list[Answer]:
        """The nearest known questions of each vector."""
        return self.known.nearest(vectors, top)

    def replay(self, changes: Sequence[Change], cache: VectorCache, on_progress: OnProgress = ignore) -> None:
        """Make changes of the journal that aren't in here yet.

        Raises:
            PipelineError: when the model can't embed the added questions.
        """
        added = [change.question for change in changes if change.is_known]
        missing = [text for text, is_known in zip(added, self.known.are_known(added), strict=True) if not is_known]
        if missing:
            vectors = cache.vectors(missing, self.classifier.encoder, on_progress)
            self.known.add(missing, vectors.block(0, len(vectors)))
        self.known.remove([change.question for change in changes if not change.is_known])
        self.revision = max([self.revision, *(change.revision for change in changes)])


def prepared(
    classifier: DuplicateClassifier,
    corpus: Corpus | None,
    changes: Sequence[Change],
    cache: VectorCache,
    limits: ServiceLimits,
    on_progress: OnProgress = ignore,
) -> Answers:
    """Make a model and its questions ready: questions whose vectors aren't kept yet are embedded.

    Raises:
        PipelineError: when the model can't be loaded, or can't embed.
    """
    # The first question loads the model, which takes seconds.
    classifier.encoder.embed(["What is this?"])
    texts = corpus.texts if corpus else []
    vectors = cache.vectors(texts, classifier.encoder, on_progress) if texts else None
    known = KnownQuestions(texts, vectors, limits.index_from, on_progress)
    answers = Answers(classifier, known, corpus.name if corpus else "")
    answers.replay(changes, cache, on_progress)
    return answers
