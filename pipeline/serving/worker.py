"""Handles requests in one thread, in batches: embedding several questions at once is faster than one by one,
and the event loop stays free.

Requests of few questions go first. A large one is split, with one part of it in each batch, so others don't wait for
all of it.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import numpy as np

from pipeline.serving.journal import Change, Journal
from pipeline.serving.known_questions import Answer
from pipeline.serving.snapshot import Snapshot

PART = 16
"""Questions of a large request in one batch: about 60 ms on two cores."""

_MAX_BATCH = 64
"""Maximum questions of small requests in one batch."""

ResultT = TypeVar("ResultT")
BatchObserver = Callable[[int], None]


class BatchItem(ABC, Generic[ResultT]):
    """A part of one request, handled in a batch with parts of others.

    Attributes:
        texts: questions to embed for it.
        snapshot: the model and questions that the request began with; None for the current ones.
    """

    def __init__(self, texts: Sequence[str], snapshot: Snapshot | None) -> None:
        self.texts, self.snapshot = list(texts), snapshot

    @abstractmethod
    def handle(self, snapshot: Snapshot, vectors: np.ndarray) -> ResultT:
        """Compute the result.

        Args:
            vectors: of the texts, of shape (len(texts), dimensions).
        """


class Compare(BatchItem[np.ndarray]):
    """Compare pairs: cosines of shape (pairs,)."""

    def __init__(self, pairs: Sequence[tuple[str, str]], snapshot: Snapshot) -> None:
        super().__init__([text for pair in pairs for text in pair], snapshot)

    def handle(self, snapshot: Snapshot, vectors: np.ndarray) -> np.ndarray:
        """See `BatchItem.handle`."""
        return np.einsum("ij,ij->i", vectors[0::2], vectors[1::2])


class Search(BatchItem[list[Answer]]):
    """Search the known questions."""

    def __init__(self, questions: Sequence[str], top: int, snapshot: Snapshot) -> None:
        super().__init__(questions, snapshot)
        self._top = top

    def handle(self, snapshot: Snapshot, vectors: np.ndarray) -> list[Answer]:
        """See `BatchItem.handle`."""
        return snapshot.known.nearest(vectors, self._top)


class Add(BatchItem[int]):
    """Add known questions: the number of new ones. They are in the journal before a search finds them."""

    def __init__(self, questions: Sequence[str], journal: Journal) -> None:
        super().__init__(questions, None)
        self._journal = journal

    def handle(self, snapshot: Snapshot, vectors: np.ndarray) -> int:
        """See `BatchItem.handle`."""
        self._journal.record([Change(text, is_known=True) for text in self.texts])
        snapshot.revision = self._journal.revision
        return snapshot.known.add(self.texts, vectors)


class Remove(BatchItem[int]):
    """Remove known questions: the number of those that were known."""

    def __init__(self, questions: Sequence[str], journal: Journal) -> None:
        super().__init__([], None)
        self._questions, self._journal = list(questions), journal

    def handle(self, snapshot: Snapshot, vectors: np.ndarray) -> int:
        """See `BatchItem.handle`."""
        self._journal.record([Change(text, is_known=False) for text in self._questions])
        snapshot.revision = self._journal.revision
        return snapshot.known.remove(self._questions)


class Worker:
    """The thread, and the queue in front of it.

    Attributes:
        snapshot: the model and the questions that new requests are answered with.
    """

    def __init__(self, snapshot: Snapshot, on_batch: BatchObserver = lambda texts: None) -> None:
        self.snapshot = snapshot
        self._on_batch = on_batch
        self._few: deque[tuple[BatchItem[Any], asyncio.Future[Any]]] = deque()
        self._many: deque[tuple[BatchItem[Any], asyncio.Future[Any]]] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._has_work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start, in the event loop of the requests."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="worker")

    async def close(self) -> None:
        """Stop after the current batch."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown)

    @property
    def queue_size(self) -> int:
        """The number of items that wait for a batch."""
        return len(self._few) + len(self._many)

    async def handle(self, parts: Sequence[BatchItem[ResultT]]) -> list[ResultT]:
        """Handle the parts of a request; when the caller is cancelled, those still in the queue are dropped."""
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[ResultT]] = [loop.create_future() for _ in parts]
        queue = self._few if len(parts) == 1 and len(parts[0].texts) <= PART // 2 else self._many
        queue.extend(zip(parts, futures, strict=True))
        self._has_work.set()
        try:
            return await asyncio.gather(*futures)
        finally:
            for future in futures:
                future.cancel()

    async def run_between_batches(self, action: Callable[[], ResultT]) -> ResultT:
        """Run an action between two batches, in the same thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, action)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._has_work.wait()
            chosen = self._next()
            if not chosen:
                self._has_work.clear()
                continue
            outcomes = await loop.run_in_executor(self._thread, self._batch, [item for item, _ in chosen])
            for (_, future), outcome in zip(chosen, outcomes, strict=True):
                if future.done():
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

    def _next(self) -> list[tuple[BatchItem[Any], asyncio.Future[Any]]]:
        """The next batch: small requests, and one part of a large one."""
        chosen: list[tuple[BatchItem[Any], asyncio.Future[Any]]] = []
        texts = 0
        while self._few and texts < _MAX_BATCH:
            item, future = self._few.popleft()
            if not future.done():
                chosen.append((item, future))
                texts += len(item.texts)
        while self._many:
            item, future = self._many.popleft()
            if not future.done():
                chosen.append((item, future))
                break
        return chosen

    def _batch(self, items: Sequence[BatchItem[Any]]) -> list[Any]:
        """Handle a batch, in the thread; returns the result of each item, or the exception it failed with."""
        outcomes: dict[int, Any] = {}
        groups: dict[int, list[int]] = {}
        snapshots = [item.snapshot or self.snapshot for item in items]
        for at, snapshot in enumerate(snapshots):
            groups.setdefault(id(snapshot), []).append(at)
        for members in groups.values():
            snapshot = snapshots[members[0]]
            texts = [text for at in members for text in items[at].texts]
            self._on_batch(len(texts))
            try:
                vectors = snapshot.embed(texts) if texts else np.empty((0, 0), dtype=np.float32)
            except Exception as error:
                if len(members) == 1:
                    outcomes[members[0]] = error
                    continue
                # A question that can't be embedded must not fail other requests: try one request at a time.
                for at in members:
                    (outcomes[at],) = self._batch([items[at]])
                continue
            start = 0
            for at in members:
                stop = start + len(items[at].texts)
                try:
                    outcomes[at] = items[at].handle(snapshot, vectors[start:stop])
                except Exception as error:
                    outcomes[at] = error
                start = stop
        return [outcomes[at] for at in range(len(items))]


def split(items: Sequence[ResultT], size: int) -> list[Sequence[ResultT]]:
    """Split items into parts of at most `size`; one empty part where there are none."""
    return [items[start : start + size] for start in range(0, len(items), size)] or [items]
