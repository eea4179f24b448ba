"""Drive work on any compute: start it, record it, follow it, cancel it on an interrupt, collect its result.

Ctrl-C and terminations are held back from code that must not be torn apart, such as cancelling a call that costs money.
An exception from a signal handler can come at any point: between starting a call and recording it, or while the call is
being cancelled for an earlier signal (Dagster passes a terminal's Ctrl-C on to a step that the terminal has already
interrupted). Inside `interrupts_held` a signal is only noted, and takes effect where the code allows it.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pipeline.compute.base import Compute, EarlierWork, MeasuringJob, Usage, Work, WorkRecord
from pipeline.core.errors import reason_of
from pipeline.core.progress import LogLine, OnProgress
from pipeline.evaluation.measurement import Measurement
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Orders
from pipeline.training.reuse import starts_over

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_handlers: dict[int, Any] = {}
"""The handlers of the held signals; empty while none is held."""

_came: list[int] = []


class Caller:
    """The caller of some work, which records it. This one records nothing, and an interrupt cancels its work."""

    def record(self, work: WorkRecord) -> None:
        """Record work before it is waited for."""

    def earlier(self, fingerprint: str) -> EarlierWork | None:
        """The newest recorded work with this fingerprint."""
        return None

    def wants_an_end(self) -> bool:
        """Whether an interrupt should also end the work, rather than leave it to be found by a later run."""
        return True

    def took(self, usage: Usage) -> None:
        """Record the resources that work used."""


def train(
    compute: Compute,
    job: TrainingJob,
    run: RunIdentity,
    on_progress: OnProgress,
    caller: Caller | None = None,
    orders: Orders | None = None,
) -> FineTunedModel:
    """Fine-tune a model. Recorded work with the same fingerprint is re-attached, or its result is reused.

    Raises:
        PipelineError: when it fails.
    """
    caller, orders = caller or Caller(), orders or Orders()
    with interrupts_held():
        fingerprint = compute.work_fingerprint(job)
        earlier = caller.earlier(fingerprint) if fingerprint else None
        if earlier and starts_over(earlier.is_used, orders.train_anew):
            earlier = None
        found = compute.find_training(job, earlier) if earlier else None
        work = found or compute.start_training(job, run, earlier.record if earlier else None)
        _follow(work, on_progress, caller)
    result = work.collect()
    if orders.download_model:
        downloaded = compute.download(result)
        on_progress(LogLine(f"the model is at {downloaded.model.location}"))
    return result


def measure(compute: Compute, job: MeasuringJob, on_progress: OnProgress, caller: Caller | None = None) -> Measurement:
    """Evaluate a model.

    Raises:
        PipelineError: when it fails.
    """
    with interrupts_held():
        work = compute.start_measuring(job)
        _follow(work, on_progress, caller or Caller())
    return work.collect()


def _follow(work: Work[Any], on_progress: OnProgress, caller: Caller) -> None:
    """Record work that was just started or found, and wait for its end.

    The caller holds interrupts from before the start, so that none can leave work that nobody would cancel.
    """
    if work.record:
        try:
            caller.record(work.record)
        except BaseException:
            # Nobody could find unrecorded work again, so cancel it. Work that was found has its record already.
            if not work.remark:
                _cancel(work, on_progress)
            raise
    if work.remark:
        on_progress(LogLine(work.remark))
    try:
        usage = work.follow(on_progress)
    except BaseException as error:
        if not isinstance(error, Exception) and caller.wants_an_end():
            _cancel(work, on_progress)
        raise
    if usage:
        caller.took(usage)


def _cancel(work: Work[Any], on_progress: OnProgress) -> None:
    try:
        work.cancel()
    except Exception as failure:
        # Raising this would hide the interrupt. But the user must know that a GPU may still cost money.
        name = work.record.call_id if work.record else "of this run"
        on_progress(LogLine(f"the work {name} could NOT be cancelled: {reason_of(failure)}"))


# --- interrupts -------------------------------------------------------------------------------------------------


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Only note SIGINT and SIGTERM in this context; `raise_held_interrupt` acts on them.

    Contexts nest, and the outermost one counts. At its end a signal that was not acted on takes effect, unless an
    exception is being raised there already. Outside the main thread, where no signal arrives, nothing changes.
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
        # Read only now, as signals may have come until the handlers were back.
        came = _came[:1]
        _handlers.clear()
        _came.clear()
    for number in came:
        handlers[number](number, None)


@contextmanager
def interrupts_let_through() -> Iterator[None]:
    """Give signals their usual effect in this context, inside one of `interrupts_held`."""
    raise_held_interrupt()
    handlers = dict(_handlers)
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        # Signals that came between the first check and the return of the handlers.
        raise_held_interrupt()
        yield
    finally:
        for number in handlers:
            signal.signal(number, _note)


def raise_held_interrupt() -> None:
    """Act on a signal that has come: raise what its handler raises."""
    if _came:
        number = _came[0]
        _came.clear()
        _handlers[number](number, None)


def _note(number: int, frame: FrameType | None) -> None:
    _came.append(number)
