"""Questions of several requests are embedded together, few go before many, and one that fails fails alone."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.serving.snapshot import Snapshot
from pipeline.serving.worker import PART, BatchItem, Worker, split


class Model:
    """Stands for a model: it notes what it embeds at once, and waits until it may."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may = threading.Event()
        self.may.set()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.may.wait(10)
        self.batches.append(list(texts))
        if "broken" in texts:
            raise PipelineError("it has no direction")
        return np.array([[len(text)] for text in texts], dtype=np.float32)


class Lengths(BatchItem[list[float]]):
    def handle(self, snapshot: Snapshot, vectors: np.ndarray) -> list[float]:
        return vectors[:, 0].tolist()


def of(model: Model) -> Snapshot:
    return cast(Snapshot, model)


def run(model: Model, ask: Any) -> Any:
    async def session() -> Any:
        worker = Worker(of(model))
        worker.start()
        try:
            return await ask(worker)
        finally:
            model.may.set()
            await worker.close()

    return asyncio.run(session())


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def test_what_waits_is_embedded_at_once_and_everybody_gets_their_own() -> None:
    model = Model()

    async def ask(worker: Worker) -> list[Any]:
        model.may.clear()
        first = asyncio.create_task(worker.handle([Lengths(["a"], None)]))
        await until(lambda: worker.queue_size == 0)
        await asyncio.sleep(0.01)
        rest = [asyncio.create_task(worker.handle([Lengths(["b" * n, "c"], None)])) for n in range(1, 6)]
        await until(lambda: worker.queue_size == 5)
        model.may.set()
        return await asyncio.gather(first, *rest)

    assert run(model, ask) == [[[1.0]], *[[[float(n), 1.0]] for n in range(1, 6)]]
    assert [len(batch) for batch in model.batches] == [1, 10]


def test_few_questions_do_not_wait_for_all_of_a_large_request() -> None:
    model = Model()
    ended: list[str] = []

    async def ask(worker: Worker) -> None:
        async def one(name: str, parts: list[Lengths]) -> None:
            await worker.handle(parts)
            ended.append(name)

        model.may.clear()
        large = [Lengths(part, None) for part in split([str(n) for n in range(10 * PART)], PART)]
        tasks = [asyncio.create_task(one("large", large))]
        await until(lambda: worker.queue_size == 9)
        tasks += [asyncio.create_task(one("small", [Lengths(["?"], None)]))]
        await until(lambda: worker.queue_size == 10)
        model.may.set()
        await asyncio.gather(*tasks)

    run(model, ask)
    assert ended == ["small", "large"]
    assert "?" in model.batches[1]
    assert sum(map(len, model.batches)) == 10 * PART + 1


def test_a_question_that_cannot_be_embedded_is_no_reason_to_refuse_others() -> None:
    model = Model()

    async def ask(worker: Worker) -> list[Any]:
        model.may.clear()
        first = asyncio.create_task(worker.handle([Lengths(["a"], None)]))
        await asyncio.sleep(0.01)
        rest = [asyncio.create_task(worker.handle([Lengths([text], None)])) for text in ("good", "broken", "fine!")]
        await until(lambda: worker.queue_size == 3)
        model.may.set()
        return await asyncio.gather(first, *rest, return_exceptions=True)

    first, good, broken, fine = run(model, ask)
    assert (first, good, fine) == ([[1.0]], [[4.0]], [[5.0]])
    assert isinstance(broken, PipelineError)


def test_what_nobody_waits_for_any_more_is_not_done() -> None:
    model = Model()

    async def ask(worker: Worker) -> None:
        model.may.clear()
        first = asyncio.create_task(worker.handle([Lengths(["a"], None)]))
        await asyncio.sleep(0.01)
        given_up = asyncio.create_task(worker.handle([Lengths(["forgotten"], None)]))
        await until(lambda: worker.queue_size == 1)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        model.may.set()
        await first
        await worker.handle([Lengths(["b"], None)])

    run(model, ask)
    assert model.batches == [["a"], ["b"]]


def test_a_request_is_answered_by_the_model_that_it_began_with() -> None:
    old, new = Model(), Model()

    async def ask(worker: Worker) -> None:
        old.may.clear()
        first = asyncio.create_task(worker.handle([Lengths(["a"], of(old))]))
        await asyncio.sleep(0.01)
        both = [
            asyncio.create_task(worker.handle([Lengths([text], answers)]))
            for text, answers in (("b", of(old)), ("c", None))
        ]
        await until(lambda: worker.queue_size == 2)
        old.may.set()
        worker.snapshot = of(new)
        await asyncio.gather(first, *both)

    run(old, ask)
    assert (old.batches, new.batches) == ([["a"], ["b"]], [["c"]])


@pytest.mark.parametrize(("count", "sizes"), [(0, [0]), (1, [1]), (4, [4]), (9, [4, 4, 1])])
def test_a_large_request_is_done_in_parts(count: int, sizes: list[int]) -> None:
    assert [len(part) for part in split(list(range(count)), 4)] == sizes
