"""Calls on Modal: submit them, follow their results and logs through interrupts and network outages, cancel them."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Generic, TypeVar

import modal
from grpclib.exceptions import StreamTerminatedError
from modal import exception as modal_errors

from pipeline.compute.base import Usage, Work, WorkRecord
from pipeline.compute.driver import interrupts_held, raise_held_interrupt
from pipeline.compute.modal import app as modal_app
from pipeline.compute.modal.errors import one_line_modal_errors
from pipeline.compute.modal.messages import Outcome
from pipeline.compute.modal.settings import RETRIES, PriceTable, which_gpu
from pipeline.core.errors import ResourceError, UnavailableError
from pipeline.core.progress import LogLine, OnProgress, ProgressEvent, from_json_line, ignore
from pipeline.core.values import Cost

ModalFunction = modal.Function[..., Any, Any]
ResultT = TypeVar("ResultT")

OUTAGE_SECONDS = 90.0
"""How long Modal may be unreachable before the client gives up. The call itself continues."""

_POLL_SECONDS = 10.0
_LONGEST_PAUSE = 5.0
_INTERRUPTIBLE_SECONDS = 0.2
_LAST_LOGS_SECONDS = 3.0

_TRANSIENT = (
    modal_errors.ServiceError,
    modal_errors.InternalError,
    modal_errors.ConnectionError,
    modal_errors.ResourceExhaustedError,
    StreamTerminatedError,
    OSError,
)
"""Errors of the connection to Modal. Failures in containers arrive as a RuntimeError instead."""


@dataclass
class LogSpan:
    """The times of the first and last log line of each container: how long it worked, to about a second."""

    first: dict[str, datetime] = field(default_factory=dict)
    last: dict[str, datetime] = field(default_factory=dict)

    def add(self, container: str, when: datetime) -> None:
        """Add a log line."""
        self.first.setdefault(container, when)
        self.last[container] = when

    @property
    def containers(self) -> int:
        """The number of containers."""
        return len(self.first)

    @property
    def seconds(self) -> float:
        """Summed over all containers."""
        return sum((self.last[name] - first).total_seconds() for name, first in self.first.items())


class Call(Work[ResultT], Generic[ResultT]):
    """A submitted call.

    Attributes:
        record: see `Work`.
        remark: see `Work`.
    """

    def __init__(
        self,
        record: WorkRecord,
        call: modal.FunctionCall[Any],
        result_of: Callable[[Outcome, bytes], ResultT],
        remark: str = "",
        max_containers: int | None = None,
    ) -> None:
        """Wrap a call.

        Args:
            result_of: makes the result of a successful outcome and its bytes.
            max_containers: see `follow`.
        """
        self.record: WorkRecord = record
        self.remark = remark
        self._call, self._result_of, self._max_containers = call, result_of, max_containers
        self._outcome, self._data = Outcome(), b""

    def follow(self, on_progress: OnProgress) -> Usage:
        """See `Work.follow`."""
        with one_line_modal_errors("working on Modal", self._call.object_id):
            (text, self._data), span = follow(self._call, on_progress, self._max_containers)
        self._outcome = Outcome.from_stored_json(text)
        return _usage(self._outcome, span)

    def cancel(self) -> None:
        """See `Work.cancel`."""
        cancel(self._call.object_id)

    def collect(self) -> ResultT:
        """See `Work.collect`."""
        self._outcome.require_success(self._call.object_id)
        return self._result_of(self._outcome, self._data)


def submit(function: ModalFunction, message: str) -> "Call[tuple[Outcome, bytes]]":
    """Submit a short call, which ends with its caller and isn't recorded."""
    with interrupts_held():
        call = function.spawn(message)
        return Call(record_of(call), call, lambda outcome, data: (outcome, data), max_containers=RETRIES + 1)


def run_short(function: ModalFunction, message: str) -> tuple[Outcome, bytes]:
    """Make a short call and wait for it; an interrupt cancels it."""
    with interrupts_held():
        work = submit(function, message)
        try:
            work.follow(ignore)
        except BaseException as error:
            if not isinstance(error, Exception):
                work.cancel()
            raise
    return work.collect()


def run_in_parallel(function: ModalFunction, messages: Iterable[str], at_once: int) -> Iterator[bytes]:
    """Make short calls, at most `at_once` in parallel, and yield their data in order."""
    waiting: deque[Call[tuple[Outcome, bytes]]] = deque()
    left = iter(messages)
    try:
        while True:
            waiting.extend(submit(function, message) for message in islice(left, at_once - len(waiting)))
            if not waiting:
                return
            call = waiting[0]
            call.follow(ignore)
            data = call.collect()[1]
            waiting.popleft()
            yield data
    finally:
        # After an error or an interrupt, nobody needs their results.
        for call in waiting:
            call.cancel()


def record_of(call: modal.FunctionCall[Any], volume: str = "", fingerprint: str = "") -> WorkRecord:
    """The record of a submitted call."""
    return WorkRecord(
        call_id=call.object_id,
        app=modal_app.name,
        place=volume,
        fingerprint=fingerprint,
        url=call.get_dashboard_url(),
    )


def _usage(outcome: Outcome, span: LogSpan) -> Usage:
    prices = PriceTable.load()
    gpu = which_gpu(modal_app.settings.gpus, outcome.gpu)
    # Only the last attempt is timed; of earlier ones there are only logs.
    seconds = max(span.seconds, outcome.seconds) if gpu != "none" else 0.0
    amount = prices.cost(gpu, seconds)
    return Usage(
        gpu=gpu,
        gpu_seconds=seconds,
        attempts=max(1, span.containers),
        cost=None if amount is None else Cost(amount=amount, currency=prices.currency, prices_as_of=prices.as_of),
    )


# --- following --------------------------------------------------------------------------------------------------


def is_running(call: modal.FunctionCall[Any]) -> bool:
    """Whether a call runs or waits for a container; false once it has ended in any way, or has expired."""
    try:
        call.get(timeout=0)
    except TimeoutError:
        return True
    except _TRANSIENT:
        raise
    except Exception:
        return False
    return False


def cancel(call_id: str) -> None:
    """Cancel a call, and end its container."""
    modal.FunctionCall.from_id(call_id).cancel(terminate_containers=True)


def follow(
    call: modal.FunctionCall[Any], on_progress: OnProgress, max_containers: int | None = None
) -> tuple[Any, LogSpan]:
    """Wait for a call's result, and pass on its events and log lines.

    An interrupt (Ctrl-C, or a termination that raises in this thread) is raised; the call continues.

    Args:
        max_containers: cancel the call when more containers than this have worked on it; None for no limit.

    Raises:
        PipelineError: when Modal was unreachable for too long (the call continues), or too many containers were lost.
        Exception: from `FunctionCall.get`.
    """
    with interrupts_held():
        inbox: queue.SimpleQueue[_News] = queue.SimpleQueue()
        over = threading.Event()
        threads = [
            threading.Thread(target=target, args=(call, inbox, over), name=f"modal-{target.__name__}", daemon=True)
            for target in (_watch_result, _stream_logs)
        ]
        for thread in threads:
            thread.start()
        try:
            return _listen(call, inbox, threads[1], on_progress, max_containers)
        finally:
            over.set()


def _listen(
    call: modal.FunctionCall[Any],
    inbox: "queue.SimpleQueue[_News]",
    logs: threading.Thread,
    on_progress: OnProgress,
    max_containers: int | None,
) -> tuple[Any, LogSpan]:
    span, last_heard, ended = LogSpan(), time.monotonic(), None
    while ended is None or (logs.is_alive() and time.monotonic() - last_heard < _LAST_LOGS_SECONDS):
        raise_held_interrupt()
        try:
            news = inbox.get(timeout=_INTERRUPTIBLE_SECONDS)
        except queue.Empty:
            if ended is None and time.monotonic() - last_heard > OUTAGE_SECONDS:
                raise UnavailableError(
                    f"Modal has been unreachable for {OUTAGE_SECONDS:.0f} s; the call {call.object_id} continues "
                    "there: re-execute this run when the network is back to re-attach to it",
                    call=call.object_id,
                    seconds=OUTAGE_SECONDS,
                ) from None
            continue
        if news.container:
            span.add(news.container, news.when)
            if max_containers and span.containers > max_containers:
                cancel(call.object_id)
                raise ResourceError(
                    f"{max_containers} containers were lost in a row, as when they are out of memory: lower "
                    "token_budget, or choose another PIPELINE_MODAL_GPU",
                    containers=max_containers,
                )
            on_progress(_event(news.line))
        elif ended is None:
            last_heard = time.monotonic()
            ended = news if news.is_last else None
    if ended.error is not None:
        raise ended.error
    return ended.value, span


@dataclass(frozen=True)
class _News:
    """A message from a watching thread: a sign of life, the end of the call, or a log line of a container."""

    is_last: bool = False
    value: Any = None
    error: Exception | None = None
    container: str = ""
    line: str = ""
    when: datetime = datetime.min


def _watch_result(call: modal.FunctionCall[Any], inbox: "queue.SimpleQueue[_News]", over: threading.Event) -> None:
    pause = 0.1
    while not over.is_set():
        try:
            value = call.get(timeout=_POLL_SECONDS)
        except TimeoutError:
            # Modal has answered that there is no result yet.
            inbox.put(_News())
            pause = 0.1
        except _TRANSIENT:
            over.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        except Exception as error:
            inbox.put(_News(is_last=True, error=error))
            return
        else:
            inbox.put(_News(is_last=True, value=value))
            return


def _stream_logs(call: modal.FunctionCall[Any], inbox: "queue.SimpleQueue[_News]", over: threading.Event) -> None:
    newest = seen = datetime.min.replace(tzinfo=UTC)
    partial: dict[tuple[str, str], str] = {}
    while not over.is_set():
        try:
            for entry in call.logs.stream():
                if entry.timestamp <= seen:
                    continue
                newest = max(newest, entry.timestamp)
                container = entry.context_ids[-1] if entry.context_ids else "unknown"
                *lines, partial[container, entry.source] = (
                    partial.get((container, entry.source), "") + entry.message
                ).split("\n")
                for line in filter(str.strip, lines):
                    inbox.put(_News(container=container, line=line, when=entry.timestamp))
                if over.is_set():
                    return
            return
        except Exception:
            # The result doesn't depend on logs. A new stream starts from the beginning, so skip what was seen.
            seen = newest
            over.wait(1)


def _event(line: str) -> ProgressEvent:
    try:
        return from_json_line(line)
    except ValueError:
        return LogLine(line)
