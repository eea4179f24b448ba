"""Follows a call on Modal: its result, its logs, an interrupt, a network that goes away."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import modal
from grpclib.exceptions import StreamTerminatedError
from modal import exception as modal_errors

from pipeline.compute.driver import interrupts_held, raise_held_interrupt
from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.progress import LogLine, OnProgress, ProgressEvent, from_json_line

OUTAGE_SECONDS = 90.0
"""Modal may be out of reach for so long before the client gives up on it. The call goes on meanwhile."""

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
"""Errors on the way to Modal. Containers don't raise them: what fails there arrives as a RuntimeError."""


@dataclass
class LogSpan:
    """From the first to the last line of each container's log: how long it worked, to the second or so."""

    first: dict[str, datetime] = field(default_factory=dict)
    last: dict[str, datetime] = field(default_factory=dict)

    def add(self, container: str, when: datetime) -> None:
        """Take a line into account."""
        self.first.setdefault(container, when)
        self.last[container] = when

    @property
    def containers(self) -> int:
        """How many there were."""
        return len(self.first)

    @property
    def seconds(self) -> float:
        """Over all of them."""
        return sum((self.last[name] - first).total_seconds() for name, first in self.first.items())


def is_running(call: modal.FunctionCall[Any]) -> bool:
    """Whether a call works or waits for a container; false once it has ended in whatever way, or is forgotten."""
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
    """End a call and its container."""
    modal.FunctionCall.from_id(call_id).cancel(terminate_containers=True)


def follow(
    call: modal.FunctionCall[Any], on_progress: OnProgress, most_containers: int | None = None
) -> tuple[Any, LogSpan]:
    """Wait for a call's result, and pass on its events and log lines as they come.

    An interrupt (Ctrl-C, or a termination that raises in this thread) comes through; the call goes on.

    Args:
        most_containers: end the call when more than so many have worked on it; None leaves that to the work itself.

    Raises:
        PipelineError: when Modal was out of reach for too long (the call goes on), or too many containers were lost.
        Exception: as `FunctionCall.get` raises it.
    """
    with interrupts_held():
        inbox: queue.SimpleQueue[_Said] = queue.SimpleQueue()
        over = threading.Event()
        threads = [
            threading.Thread(target=target, args=(call, inbox, over), name=f"modal-{target.__name__}", daemon=True)
            for target in (_watch_result, _stream_logs)
        ]
        for thread in threads:
            thread.start()
        try:
            return _listen(call, inbox, threads[1], on_progress, most_containers)
        finally:
            over.set()


def _listen(
    call: modal.FunctionCall[Any],
    inbox: "queue.SimpleQueue[_Said]",
    logs: threading.Thread,
    on_progress: OnProgress,
    most_containers: int | None,
) -> tuple[Any, LogSpan]:
    span, last_heard, ended = LogSpan(), time.monotonic(), None
    while ended is None or (logs.is_alive() and time.monotonic() - last_heard < _LAST_LOGS_SECONDS):
        raise_held_interrupt()
        try:
            said = inbox.get(timeout=_INTERRUPTIBLE_SECONDS)
        except queue.Empty:
            if ended is None and time.monotonic() - last_heard > OUTAGE_SECONDS:
                raise PipelineError(
                    f"Modal has been out of reach for {OUTAGE_SECONDS:.0f} s; the call {call.object_id} goes on "
                    "there: re-execute this run when the network is back, and it takes up the call again"
                ) from None
            continue
        if said.container:
            span.add(said.container, said.when)
            if most_containers and span.containers > most_containers:
                cancel(call.object_id)
                raise PipelineError(
                    f"{most_containers} containers were lost one after the other, as happens when one is out of "
                    "memory: lower token_budget, or choose another PIPELINE_MODAL_GPU"
                )
            on_progress(_event(said.line))
        elif ended is None:
            last_heard = time.monotonic()
            ended = said if said.is_last else None
    if ended.error is not None:
        raise ended.error
    return ended.value, span


@dataclass(frozen=True)
class _Said:
    """What a watching thread has to say: a sign of life, the end, or a line of a container's log."""

    is_last: bool = False
    value: Any = None
    error: Exception | None = None
    container: str = ""
    line: str = ""
    when: datetime = datetime.min


def _watch_result(call: modal.FunctionCall[Any], inbox: "queue.SimpleQueue[_Said]", over: threading.Event) -> None:
    pause = 0.1
    while not over.is_set():
        try:
            value = call.get(timeout=_POLL_SECONDS)
        except TimeoutError:
            # Modal has answered: nothing yet.
            inbox.put(_Said())
            pause = 0.1
        except _TRANSIENT:
            over.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        except Exception as error:
            inbox.put(_Said(is_last=True, error=error))
            return
        else:
            inbox.put(_Said(is_last=True, value=value))
            return


def _stream_logs(call: modal.FunctionCall[Any], inbox: "queue.SimpleQueue[_Said]", over: threading.Event) -> None:
    heard = seen = datetime.min.replace(tzinfo=UTC)
    partial: dict[tuple[str, str], str] = {}
    while not over.is_set():
        try:
            for entry in call.logs.stream():
                if entry.timestamp <= seen:
                    continue
                heard = max(heard, entry.timestamp)
                container = entry.context_ids[-1] if entry.context_ids else "unknown"
                *lines, partial[container, entry.source] = (
                    partial.get((container, entry.source), "") + entry.message
                ).split("\n")
                for line in filter(str.strip, lines):
                    inbox.put(_Said(container=container, line=line, when=entry.timestamp))
                if over.is_set():
                    return
            return
        except Exception:
            # Logs are for watching, the result doesn't depend on them. A new stream begins at the beginning.
            seen = heard
            over.wait(1)


def _event(line: str) -> ProgressEvent:
    try:
        return from_json_line(line)
    except ValueError:
        return LogLine(line)


# --- errors -----------------------------------------------------------------------------------------------------

_OUT_OF_MEMORY = ("out of memory", "oom", "exit code 137", "exit 137", "sigkill")


@contextmanager
def one_line_modal_errors(doing: str, call_id: str = "") -> Iterator[None]:
    """Raise errors of Modal's client, and of containers, as `PipelineError`.

    Args:
        doing: what was being done, such as "fine-tuning on Modal".
        call_id: of the call that is waited for, if it is one.
    """
    try:
        yield
    except (modal_errors.Error, OSError, RuntimeError) as error:
        raise PipelineError(f"{doing}: {_explain(error, call_id)}") from error


def _explain(error: Exception, call_id: str) -> str:
    again = "re-execute the run, and it goes on from the newest checkpoint"
    call = f"the call {call_id}" if call_id else "the call"
    match error:
        case modal_errors.AuthError():
            return "Modal refuses the token: run `modal token new`, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"
        case modal_errors.ImageBuildError():
            return (
                f"the containers' image can't be built ({reason_of(error)}): `modal deploy -m "
                "pipeline.compute.modal_app` shows the build's log"
            )
        case modal_errors.OutputExpiredError():
            return f"Modal keeps results for 7 days, and that of {call} is gone: {again}"
        case modal_errors.FunctionTimeoutError():
            return (
                f"every attempt of {call} ran into its time limit: raise PIPELINE_MODAL_TIMEOUT_HOURS, or lower epochs "
                f"or train_limit; with the limit alone changed, {again}"
            )
        case modal_errors.NotFoundError():
            return f"Modal has no such thing ({reason_of(error)}): it was stopped or deleted; {again}"
        case modal_errors.InternalFailure():
            return (
                f"the container of {call} was lost again and again ({reason_of(error)}), as happens when it is out of "
                f"memory: lower token_budget, or choose PIPELINE_MODAL_GPU; else {again}"
            )
        case modal_errors.RemoteError() if "cancel" in str(error).lower() or "terminated" in str(error).lower():
            return f"{call} was cancelled from elsewhere: {again}"
        case modal_errors.RemoteError() if any(sign in str(error).lower() for sign in _OUT_OF_MEMORY):
            return (
                f"the container ran out of memory ({reason_of(error)}): lower token_budget, or choose "
                "a larger GPU in PIPELINE_MODAL_GPU"
            )
        case modal_errors.ConnectionError() | modal_errors.ServiceError() | OSError():
            return f"Modal can't be reached ({type(error).__name__}): check the network; {again}"
        case _:
            return f"{call} failed ({reason_of(error)}): its log says where; {again}"
