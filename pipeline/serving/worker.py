"""Does what requests ask for in one thread, as much at once as waits: models embed several questions together sooner
than one after the other, and the event loop stays free.

Requests of few questions go first; a large one is done in parts, one part at a time, so nobody waits for all of it.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import numpy as np

from pipeline.serving.answers import Answers
from pipeline.serving.journal import Change, Journal
from pipeline.serving.known_questions import Answer

PART = 16
"""Questions of a large request that are embedded at once: some 60 ms on two cores."""

_MOST_AT_ONCE = 64
"""Questions of all requests together."""

ResultT = TypeVar("ResultT")
BatchObserver = Callable[[int], None]


class Work(ABC, Generic[ResultT]):
    """A part of what one request asks for.

    Attributes:
        texts: questions to embed for it.
        answers: the model and questions that the request began with; None for who takes those of the moment.
    """

    def __init__(self, texts: Sequence[str], answers: Answers | None) -> None:
        self.texts, self.answers = list(texts), answers

    @abstractmethod
    def do(self, answers: Answers, vectors: np.ndarray) -> ResultT:
        """Do it.

        Args:
            vectors: of the texts, of shape (len(texts), dimensions).
        """


class Compare(Work[np.ndarray]):
    """Compare pairs: cosines of shape (pairs,)."""

    def __init__(self, pairs: Sequence[tuple[str, str]], answers: Answers) -> None:
        super().__init__([text for pair in pairs for text in pair], answers)

    def do(self, answers: Answers, vectors: np.ndarray) -> np.ndarray:
        """See `Work.do`."""
        return answers.compare(vectors)


class Search(Work[list[Answer]]):
    """Search for questions among those that are known."""

    def __init__(self, questions: Sequence[str], top: int, answers: Answers) -> None:
        super().__init__(questions, answers)
        self._top = top

    def do(self, answers: Answers, vectors: np.ndarray) -> list[Answer]:
        """See `Work.do`."""
        return answers.search(vectors, self._top)


class Add(Work[int]):
    """Know questions from now on: how many of them are new. The journal has them before anybody finds them."""

    def __init__(self, questions: Sequence[str], journal: Journal) -> None:
        super().__init__(questions, None)
        self._journal = journal

    def do(self, answers: Answers, vectors: np.ndarray) -> int:
        """See `Work.do`."""
        self._journal.record([Change(text, is_known=True) for text in self.texts])
        answers.revision = self._journal.revision
        return answers.known.add(self.texts, vectors)


class Remove(Work[int]):
    """Forget questions: how many of them were known."""

    def __init__(self, questions: Sequence[str], journal: Journal) -> None:
        super().__init__([], None)
        self._questions, self._journal = list(questions), journal

    def do(self, answers: Answers, vectors: np.ndarray) -> int:
        """See `Work.do`."""
        self._journal.record([Change(text, is_known=False) for text in self._questions])
        answers.revision = self._journal.revision
        return answers.known.remove(self._questions)


class Worker:
    """The thread, and what waits for it.

    Attributes:
        answers: the model and the questions that new requests are answered with.
    """

    def __init__(self, answers: Answers, on_batch: BatchObserver = lambda texts: None) -> None:
        self.answers = answers
        self._on_batch = on_batch
        self._few: deque[tuple[Work[Any], asyncio.Future[Any]]] = deque()
        self._many: deque[tuple[Work[Any], asyncio.Future[Any]]] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="answers")
        self._is_asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work; in the event loop that the requests are of."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="worker")

    async def close(self) -> None:
        """End when nothing is being done."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown)

    @property
    def waiting(self) -> int:
        """Parts that wait."""
        return len(self._few) + len(self._many)

    async def do(self, parts: Sequence[Work[ResultT]]) -> list[ResultT]:
        """Have the parts of a request done; they are dropped when nobody waits for them any more."""
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[ResultT]] = [loop.create_future() for _ in parts]
        queue = self._few if len(parts) == 1 and len(parts[0].texts) <= PART // 2 else self._many
        queue.extend(zip(parts, futures, strict=True))
        self._is_asked.set()
        try:
            return await asyncio.gather(*futures)
        finally:
            for future in futures:
                future.cancel()

    async def alone(self, action: Callable[[], ResultT]) -> ResultT:
        """Call something between two batches, in the same thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, action)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._is_asked.wait()
            chosen = self._next()
            if not chosen:
                self._is_asked.clear()
                continue
            outcomes = await loop.run_in_executor(self._thread, self._batch, [work for work, _ in chosen])
            for (_, future), outcome in zip(chosen, outcomes, strict=True):
                if future.done():
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

    def _next(self) -> list[tuple[Work[Any], asyncio.Future[Any]]]:
        """Those of few questions that wait, and one part of a large request."""
        chosen: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        texts = 0
        while self._few and texts < _MOST_AT_ONCE:
            work, future = self._few.popleft()
            if not future.done():
                chosen.append((work, future))
                texts += len(work.texts)
        while self._many:
            work, future = self._many.popleft()
            if not future.done():
                chosen.append((work, future))
                break
        return chosen

    def _batch(self, works: Sequence[Work[Any]]) -> list[Any]:
        """Do these, in the thread: what came of each, or what it failed with."""
        outcomes: dict[int, Any] = {}
        groups: dict[int, list[int]] = {}
        models = [work.answers or self.answers for work in works]
        for at, answers in enumerate(models):
            groups.setdefault(id(answers), []).append(at)
        for members in groups.values():
            answers = models[members[0]]
            texts = [text for at in members for text in works[at].texts]
            self._on_batch(len(texts))
            try:
                vectors = answers.embed(texts) if texts else np.empty((0, 0), dtype=np.float32)
            except Exception as error:
                if len(members) == 1:
                    outcomes[members[0]] = error
                    continue
                # One question that can't be embedded is no reason to refuse those of others.
                for at in members:
                    (outcomes[at],) = self._batch([works[at]])
                continue
            start = 0
            for at in members:
                stop = start + len(works[at].texts)
                try:
                    outcomes[at] = works[at].do(answers, vectors[start:stop])
                except Exception as error:
                    outcomes[at] = error
                start = stop
        return [outcomes[at] for at in range(len(works))]


def parts_of(items: Sequence[ResultT], size: int) -> list[Sequence[ResultT]]:
    """The items in parts of at most this size; one empty part where there are none."""
    return [items[start : start + size] for start in range(0, len(items), size)] or [items]
