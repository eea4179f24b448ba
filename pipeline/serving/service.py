"""The service without HTTP: its answers, how it reloads the model and the questions, and how it stops."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.core.errors import PipelineError, SettingError, reason_of
from pipeline.duplicates.classifier import checked_prior
from pipeline.serving.journal import Journal
from pipeline.serving.known_questions import Answer
from pipeline.serving.metrics import ServiceMetrics
from pipeline.serving.options import ServiceLimits
from pipeline.serving.snapshot import Snapshot, SnapshotLoader, State
from pipeline.serving.worker import PART, Add, Compare, Remove, Search, Worker, split

log = logging.getLogger(__name__)


class RefusedError(SettingError):
    """The model can't decide by what a request asks for."""


@dataclass(frozen=True)
class Criterion:
    """How one request is decided.

    Attributes:
        snapshot: with the model that decides.
        prior: share of duplicates that the probabilities assume; None for a model without a decision.
        threshold: minimum cosine for a duplicate; None for a model without a decision.
    """

    snapshot: Snapshot
    prior: float | None
    threshold: float | None

    def probability(self, cosine: np.ndarray) -> np.ndarray | None:
        """Probability that each pair is a duplicate; None for a model without a decision."""
        if self.threshold is None:
            return None
        return self.snapshot.classifier.decision.calibration.probability(cosine, self.prior)


class Service:
    """Answers questions about pairs and known questions.

    Attributes:
        worker: does the work; `worker.snapshot` has the current model and questions.
        problem: why a newer model or question set could not be loaded, in one line; None where all is well.
        is_ending: the service was asked to stop: connections are closed with their next answer.
    """

    def __init__(
        self, snapshot: Snapshot, state: State, loader: SnapshotLoader, journal: Journal, metrics: ServiceMetrics
    ) -> None:
        self.worker = Worker(snapshot, metrics.batch)
        self.problem: str | None = None
        self.is_ending = False
        self.metrics = metrics
        self._state, self._loader, self._journal = state, loader, journal
        self._watching: asyncio.Task[None] | None = None

    @property
    def limits(self) -> ServiceLimits:
        """What a request may ask for."""
        return self._loader.limits

    @property
    def snapshot(self) -> Snapshot:
        """The current model and questions."""
        return self.worker.snapshot

    def metrics_text(self) -> bytes:
        """The metrics, in Prometheus' text format."""
        known = self.snapshot.known
        return self.metrics.text(
            model=self.snapshot.classifier.chosen.info.version,
            queue_size=self.worker.queue_size,
            known_questions=len(known),
            index_recall=known.recall,
            model_outdated=self.problem is not None,
        )

    def start(self) -> None:
        """Start the worker, and watch for a newer model."""
        self.worker.start()
        self._watching = asyncio.get_running_loop().create_task(self._watch(), name="watch")

    async def close(self) -> None:
        """Stop after the current batch."""
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self.worker.close()

    # --- requests ---------------------------------------------------------------------------------------------

    def criterion(self, precision: float | None, prior: float | None) -> Criterion:
        """How the current model decides.

        Raises:
            RefusedError: when no threshold has the precision, or the model has no decision and the request needs
                one.
        """
        snapshot = self.snapshot
        classifier = snapshot.classifier
        if classifier.chosen.decision is None:
            if precision is not None or prior is not None:
                name = classifier.chosen.info.name
                raise RefusedError(
                    f"the model {name} has no decision: ask for cosines, without precision and prior", model=name
                )
            return Criterion(snapshot, None, None)
        try:
            threshold = classifier.threshold(precision, prior)
        except PipelineError as error:
            raise RefusedError(error.message, error.make_again, **error.values) from error
        share = classifier.decision.calibration.positive_rate if prior is None else prior
        return Criterion(snapshot, checked_prior(share), threshold)

    async def compare(self, pairs: Sequence[tuple[str, str]], criterion: Criterion) -> np.ndarray:
        """Cosines of pairs, of shape (pairs,)."""
        parts = [Compare(part, criterion.snapshot) for part in split(pairs, PART // 2)]
        return np.concatenate(await self.worker.handle(parts))

    async def search(self, questions: Sequence[str], top: int, criterion: Criterion) -> list[Answer]:
        """The nearest known questions of each question."""
        parts = [Search(part, top, criterion.snapshot) for part in split(questions, PART)]
        return [answer for part in await self.worker.handle(parts) for answer in part]

    async def add(self, questions: Sequence[str]) -> int:
        """Add known questions; returns the number of new ones. They are on the disk by then."""
        return sum(await self.worker.handle([Add(part, self._journal) for part in split(questions, PART)]))

    async def remove(self, questions: Sequence[str]) -> int:
        """Remove known questions; returns the number of those that were known."""
        return sum(await self.worker.handle([Remove(questions, self._journal)]))

    # --- reloading ----------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.limits.watch_seconds)
            try:
                await self.reload()
            except Exception as error:
                # The service goes on with what it has, whatever is wrong with the newer model.
                problem = f"the newer model or questions can't be loaded: {reason_of(error)}"
                if problem != self.problem:
                    log.error(problem)
                self.problem = problem
                self.metrics.reload("failed")

    async def reload(self) -> bool:
        """Load a newer model or newer questions, if there are any; returns whether there were.

        Requests in progress are answered by the snapshot that they began with.

        Raises:
            PipelineError: when they can't be loaded. The service goes on with what it has.
        """
        state = await asyncio.to_thread(self._loader.state)
        if state == self._state:
            self.problem = None
            return False
        changes = await self.worker.run_between_batches(self._journal.changes)
        new = await asyncio.to_thread(self._loader.load, changes)
        await self.worker.run_between_batches(partial(self._replace, new))
        self._state, self.problem = state, None
        self.metrics.reload("done")
        log.info("reloaded: %s", new.classifier.chosen.said)
        return True

    def _replace(self, new: Snapshot) -> None:
        """Runs in the worker's thread, so that no question is added meanwhile."""
        new.replay(self._journal.changes(after=new.revision), self._loader.cache)
        self.worker.snapshot = new
