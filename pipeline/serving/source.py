"""Which model and which questions are served, and whether others are there by now."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.core.progress import OnProgress, ignore
from pipeline.core.store import VersionStore
from pipeline.duplicates.cache import VectorCache
from pipeline.duplicates.classifier import DuplicateClassifier
from pipeline.duplicates.corpus import Corpus, read_corpus
from pipeline.duplicates.stored import QuestionSet, read_question_set
from pipeline.serving.answers import Answers, prepared
from pipeline.serving.journal import Change
from pipeline.serving.options import ServiceLimits

State = tuple[str | None, ...]
"""What the pointers of the watched assets name."""


@dataclass(frozen=True)
class Source:
    """What is served.

    Attributes:
        find: the model, ready to embed; it is asked again for each making.
        store: where assets lie.
        cache: of vectors.
        watched: assets whose change makes another model or other questions.
        questions_asset: the asset of the known questions, as far as it is there; None where a file has them.
        file, column: the file of the known questions, and their column in it; None where the asset has them.
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
        """What there is now. Another state is worth another making.

        Raises:
            PipelineError: when a pointer can't be read.
        """
        assets = (*self.watched, *([self.questions_asset] if self.questions_asset else []))
        return tuple(self.store.resolve(asset).file if self.store.has(asset) else None for asset in assets)

    def make(self, changes: list[Change], on_progress: OnProgress = ignore) -> Answers:
        """Find the model and the questions, and make them ready.

        Raises:
            PipelineError: when either can't be had.
        """
        corpus = self._corpus()
        return prepared(self.find(), corpus, changes, self.cache, self.limits, on_progress)

    def _corpus(self) -> Corpus | None:
        if self.file:
            return read_corpus(self.file, self.column)
        if self.questions_asset is None or not self.store.has(self.questions_asset):
            return None
        value = self.store.read(self.questions_asset, QuestionSet, self.store.resolve(self.questions_asset))
        return read_question_set(self.store, self.questions_asset, value)
