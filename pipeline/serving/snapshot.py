"""What the service answers with at one moment: a model and the known questions. A loader finds newer ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core.progress import OnProgress, ignore
from pipeline.core.store import VersionStore
from pipeline.duplicates.classifier import DuplicateClassifier
from pipeline.duplicates.corpus import Corpus, read_corpus
from pipeline.duplicates.stored import QuestionSet, read_question_set
from pipeline.serving.journal import Change
from pipeline.serving.known_questions import KnownQuestions
from pipeline.serving.options import ServiceLimits
from pipeline.vectors.cache import VectorCache

State = tuple[str | None, ...]
"""What the pointers of the watched assets name."""


@dataclass
class Snapshot:
    """One model, and the known questions with their vectors by it.

    Attributes:
        corpus: the name of the questions' source; empty where all were added.
        revision: of the journal, up to which its changes are applied.
    """

    classifier: DuplicateClassifier
    known: KnownQuestions
    corpus: str
    revision: int = 0

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of length 1: float32 of shape (len(texts), dimensions)."""
        return self.classifier.encoder.embed(list(texts))

    def replay(self, changes: Sequence[Change], cache: VectorCache, on_progress: OnProgress = ignore) -> None:
        """Apply changes of the journal that are not applied yet.

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


@dataclass(frozen=True)
class SnapshotLoader:
    """Loads the model and the questions that are to be served, and tells when there are newer ones.

    Attributes:
        find: returns the model, ready to embed; called for each snapshot.
        watched: assets that a newer snapshot would come from.
        questions_asset: the asset of the known questions, if it exists; None where `file` has them.
        file, column: the file of the known questions and their column in it; None where the asset has them.
    """

    find: Callable[[], DuplicateClassifier]
    store: VersionStore
    cache: VectorCache
    watched: tuple[str, ...]
    questions_asset: str | None
    file: str | None
    column: str | None
    limits: ServiceLimits

    def state(self) -> State:
        """The current versions of the watched assets. Another state is worth loading another snapshot.

        Raises:
            PipelineError: when a pointer can't be read.
        """
        assets = (*self.watched, *([self.questions_asset] if self.questions_asset else []))
        return tuple(self.store.resolve(asset).file if self.store.has(asset) else None for asset in assets)

    def load(self, changes: Sequence[Change], on_progress: OnProgress = ignore) -> Snapshot:
        """Load the model and the questions; questions whose vectors are not cached are embedded.

        Raises:
            PipelineError: when the model or the questions can't be loaded, or the model can't embed.
        """
        corpus, classifier = self._corpus(), self.find()
        # The first question loads the model, which takes seconds.
        classifier.encoder.embed(["What is this?"])
        texts = corpus.texts if corpus else []
        vectors = self.cache.vectors(texts, classifier.encoder, on_progress) if texts else None
        known = KnownQuestions(texts, vectors, self.limits.index_from, on_progress)
        snapshot = Snapshot(classifier, known, corpus.name if corpus else "")
        snapshot.replay(changes, self.cache, on_progress)
        return snapshot

    def _corpus(self) -> Corpus | None:
        if self.file:
            return read_corpus(self.file, self.column)
        if self.questions_asset is None or not self.store.has(self.questions_asset):
            return None
        value = self.store.read(self.questions_asset, QuestionSet, self.store.resolve(self.questions_asset))
        return read_question_set(self.store, self.questions_asset, value)
