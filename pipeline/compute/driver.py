"""Drive work on any compute: start it, record it, follow it, cancel it on an interrupt, collect its result.

Ctrl-C and terminations are held back from code that must not be torn apart, such as cancelling a call that costs money.
An exception from a signal handler can come at any point: between starting a call and recording it, or while the call is
being cancelled for an earlier signal (Dagster passes a terminal's Ctrl-C on to a step that the terminal has already
interrupted). Inside `interrupts_held` a signal is only noted, and takes effect where the code allows it.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from pipeline.compute.base import Compute, EarlierWork, MeasuringJob, Usage, Work, WorkRecord
from pipeline.core.errors import reason_of
from pipeline.core.progress import LogLine, OnProgress
from pipeline.evaluation.measurement import Measurement
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Orders

ResultT = TypeVar("ResultT")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_handlers: dict[int, Any] = {}
"""What the held signals would have done; empty while none is held."""

_came: list[int] = []


class Caller:
    """Who wants the work done, and what it keeps on record. This one keeps nothing, and an interrupt ends its work."""

    def record(self, work: WorkRecord) -> None:
        """Note work before it is waited for."""

    def earlier(self, fingerprint: str) -> EarlierWork | None:
        """The newest recorded work with this fingerprint."""
        return None

    def wants_an_end(self) -> bool:
        """Whether an interrupt is to end the work too, or leave it to be found again."""
        return True

    def took(self, usage: Usage) -> None:
        """Note what work took."""


def train(
    compute: Compute,
    job: TrainingJob,
    run: RunIdentity,
    on_progress: OnProgress,
    caller: Caller | None = None,
    orders: Orders | None = None,
) -> FineTunedModel:
    """Have a model fine-tuned. Recorded work that does the same is taken up, or its result stands.

    Raises:
        PipelineError: when it can't be done.
    """
    caller, orders = caller or Caller(), orders or Orders()

    def begin() -> Work[FineTunedModel]:
        fingerprint = compute.work_fingerprint(job)
        earlier = caller.earlier(fingerprint) if fingerprint else None
        if earlier and earlier.is_used and orders.train_anew:
            earlier = None
        found = compute.find_training(job, earlier) if earlier else None
        return found or compute.start_training(job, run, earlier.record if earlier else None)

    result = _done(begin, on_progress, caller)
    if orders.download_model:
        downloaded = compute.download(result)
        on_progress(LogLine(f"the model is at {downloaded.model.location}"))
    return result


def measure(compute: Compute, job: MeasuringJob, on_progress: OnProgress, caller: Caller | None = None) -> Measurement:
    """Have a model measured.

    Raises:
        PipelineError: when it can't be done.
    """
    return _done(lambda: compute.start_measuring(job), on_progress, caller or Caller())


def _done(begin: Callable[[], Work[ResultT]], on_progress: OnProgress, caller: Caller) -> ResultT:
    # From handing over to the end: an interrupt must find no work that nobody would end.
    with interrupts_held():
        work = begin()
        if work.record:
            try:
                caller.record(work.record)
            except BaseException:
                # Without a record nobody could find this work, so it is ended. Work that was found has its record.
                if not work.remark:
                    _end(work, on_progress)
                raise
        if work.remark:
            on_progress(LogLine(work.remark))
        try:
            usage = work.follow(on_progress)
        except BaseException as error:
            if not isinstance(error, Exception) and caller.wants_an_end():
                _end(work, on_progress)
            raise
    if usage:
        caller.took(usage)
    return work.collect()


def _end(work: Work[ResultT], on_progress: OnProgress) -> None:
    try:
        work.cancel()
    except Exception as failure:
        # The interrupt is what counts here; but a GPU may go on costing money.
        name = work.record.call_id if work.record else "of this run"
        on_progress(LogLine(f"the work {name} could NOT be ended: {reason_of(failure)}"))


# --- interrupts -------------------------------------------------------------------------------------------------


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Note SIGINT and SIGTERM inside this context; `raise_held_interrupt` does what they ask for.

    Contexts nest: the outermost one counts. A signal that nobody asked about takes effect at its end, unless an
    exception is on its way there already. Outside the main thread, where no signal arrives, nothing changes.
    """
    if _handlers or threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers: dict[int, Any] = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
    _handlers.update(handlers)
    try:
        for number in handlers:
            signal.signal(number, _note)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        # Looked at only now: until here a signal may have come.
        came = _came[:1]
        _handlers.clear()
        _came.clear()
    for number in came:
        handlers[number](number, None)


@contextmanager
def interrupts_let_through() -> Iterator[None]:
    """Give signals their usual effect inside this context, which lies in one of `interrupts_held`."""
    raise_held_interrupt()
    handlers = dict(_handlers)
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        # What came after the first look, and before its handler was back.
        raise_held_interrupt()
        yield
    finally:
        for number in handlers:
            signal.signal(number, _note)


def raise_held_interrupt() -> None:
    """Do what a signal that came meanwhile asks for: raises what its handler raises."""
    if _came:
        number = _came[0]
        _came.clear()
        _handlers[number](number, None)


def _note(number: int, frame: FrameType | None) -> None:
    _came.append(number)
