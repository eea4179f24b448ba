"""The service without HTTP: what it answers, how it takes up another model, and how it ends."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.core.errors import PipelineError, reason_of
from pipeline.duplicates.classifier import checked_prior
from pipeline.serving.answers import Answers
from pipeline.serving.journal import Journal
from pipeline.serving.known_questions import Answer
from pipeline.serving.metrics import ServiceMetrics
from pipeline.serving.options import ServiceLimits
from pipeline.serving.source import Source, State
from pipeline.serving.worker import PART, Add, Compare, Remove, Search, Worker, parts_of

log = logging.getLogger(__name__)


class RefusedError(PipelineError):
    """What a request asks for makes no sense, or can't be had."""


@dataclass(frozen=True)
class Verdicts:
    """What was decided about some cosines.

    Attributes:
        answers: the model that decided.
        prior: share of duplicates that the probabilities assume; None for a model without a decision.
        threshold: cosine from which on two questions are the same; None likewise.
    """

    answers: Answers
    prior: float | None
    threshold: float | None

    def probability(self, cosine: np.ndarray) -> np.ndarray | None:
        """How probable it is that each pair asks the same; None for a model without a decision."""
        if self.threshold is None:
            return None
        return self.answers.classifier.decision.calibration.probability(cosine, self.prior)


class Service:
    """Answers about pairs of questions and known questions.

    Attributes:
        worker: does the work; `worker.answers` are the model and the questions of the moment.
        trouble: why another model that is there could not be taken up, in one line; None where all is well.
        is_ending: the end was asked for: connections are closed with their next answer.
    """

    def __init__(
        self, answers: Answers, state: State, source: Source, journal: Journal, metrics: ServiceMetrics
    ) -> None:
        self.worker = Worker(answers, metrics.batch)
        self.trouble: str | None = None
        self.is_ending = False
        self.metrics = metrics
        self._state, self._source, self._journal = state, source, journal
        self._watching: asyncio.Task[None] | None = None

    @property
    def limits(self) -> ServiceLimits:
        """What a request may ask for."""
        return self._source.limits

    @property
    def answers(self) -> Answers:
        """The model and the questions of the moment."""
        return self.worker.answers

    def figures(self) -> bytes:
        """What Prometheus is told."""
        known = self.answers.known
        return self.metrics.text(
            model=self.answers.classifier.chosen.info.version,
            waiting=self.worker.waiting,
            known_questions=len(known),
            index_recall=known.recall,
            swap_trouble=self.trouble is not None,
        )

    def start(self) -> None:
        """Begin to work, and to look for another model."""
        self.worker.start()
        self._watching = asyncio.get_running_loop().create_task(self._watch(), name="watch")

    async def close(self) -> None:
        """End when nothing is being done."""
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self.worker.close()

    # --- what requests ask for --------------------------------------------------------------------------------

    def verdicts(self, precision: float | None, prior: float | None) -> Verdicts:
        """How the model of the moment decides.

        Raises:
            RefusedError: when it carries no decision and one is asked for, or no threshold has the precision.
        """
        answers = self.answers
        classifier = answers.classifier
        if classifier.chosen.decision is None:
            if precision is not None or prior is not None:
                raise RefusedError(f"the model {classifier.chosen.info.name} carries no decision: it has cosines only")
            return Verdicts(answers, None, None)
        try:
            threshold = classifier.threshold(precision, prior)
        except PipelineError as error:
            raise RefusedError(error.message) from error
        share = classifier.decision.calibration.positive_rate if prior is None else prior
        return Verdicts(answers, checked_prior(share), threshold)

    async def compare(self, pairs: Sequence[tuple[str, str]], verdicts: Verdicts) -> np.ndarray:
        """Cosines of pairs, of shape (pairs,)."""
        parts = [Compare(part, verdicts.answers) for part in parts_of(pairs, PART // 2)]
        return np.concatenate(await self.worker.do(parts))

    async def search(self, questions: Sequence[str], top: int, verdicts: Verdicts) -> list[Answer]:
        """The nearest known questions of each question."""
        parts = [Search(part, top, verdicts.answers) for part in parts_of(questions, PART)]
        return [answer for part in await self.worker.do(parts) for answer in part]

    async def add(self, questions: Sequence[str]) -> int:
        """Know questions from now on; returns how many of them were new. They are on the disk then."""
        return sum(await self.worker.do([Add(part, self._journal) for part in parts_of(questions, PART)]))

    async def remove(self, questions: Sequence[str]) -> int:
        """Forget questions; returns how many of them were known."""
        return sum(await self.worker.do([Remove(questions, self._journal)]))

    # --- another model ------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.limits.watch_seconds)
            try:
                await self.look()
            except Exception as error:
                # The service goes on with what it has: a model that can't be taken up takes nothing away.
                said = f"another model or other questions can't be taken up: {reason_of(error)}"
                if said != self.trouble:
                    log.error(said)
                self.trouble = said
                self.metrics.swap("failed")

    async def look(self) -> bool:
        """Take up another model or other questions, if there are any; returns whether there were.

        Requests are answered by what was there when they began.

        Raises:
            PipelineError: when they can't be had. The service goes on with what it has.
        """
        state = await asyncio.to_thread(self._source.state)
        if state == self._state:
            self.trouble = None
            return False
        changes = await self.worker.alone(self._journal.changes)
        new = await asyncio.to_thread(self._source.make, changes)
        await self.worker.alone(partial(self._take_up, new))
        self._state, self.trouble = state, None
        self.metrics.swap("done")
        log.info("taken up: %s", new.classifier.chosen.said)
        return True

    def _take_up(self, new: Answers) -> None:
        """In the worker's thread, so that no question is added meanwhile."""
        new.replay(self._journal.changes(after=new.revision), self._source.cache)
        self.worker.answers = new
