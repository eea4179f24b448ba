"""What the loopback server knows: apps, functions, calls, inputs, Volumes, blobs, images, secrets and requests."""

import asyncio
import itertools
import random
import string
import time
import traceback
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import Message
from modal_proto import api_pb2 as pb

from .refusals import not_found
from .volume_store import Volume

if TYPE_CHECKING:
    from .containers import Container

_Thing = TypeVar("_Thing")


class Change:
    """Waiters look at the state, wait here, and look again."""

    def __init__(self) -> None:
        self._happened = asyncio.Event()

    def announce(self) -> None:
        """Wake everybody who waits now."""
        happened, self._happened = self._happened, asyncio.Event()
        happened.set()

    async def wait(self, timeout: float) -> None:
        """Return at the next announcement, or after `timeout` seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._happened.wait(), max(timeout, 0.001))


@dataclass(frozen=True)
class Settings:
    """How the server behaves where the real service's behaviour is a matter of minutes.

    Attributes:
        token: id and secret that clients must bring.
        idle_seconds: the longest that a container without work stays, however long the function says.
        grace_seconds: what a container gets between an interrupt and the kill, when an app stops or an input's
            cancellation is ignored.
        start_failures: how many containers in a row may fail before their first input until the waiting inputs fail.
        ephemeral_crashes: how often one input of an ephemeral app may lose its container until it fails.
    """

    token: tuple[str, str] = ("ak-loopback", "as-loopback")
    idle_seconds: float = 5.0
    grace_seconds: float = 4.0
    start_failures: int = 2
    ephemeral_crashes: int = 3


@dataclass(eq=False)
class App:
    """An app. Its logs are batches of one line each, numbered from 1."""

    id: str
    description: str
    state: "pb.AppState.ValueType"
    tags: dict[str, str]
    name: str = ""
    created_at: float = field(default_factory=time.time)
    functions: dict[str, str] = field(default_factory=dict)  # ids by name
    deployments: list[pb.AppDeploymentHistory] = field(default_factory=list)
    logs: list[pb.TaskLogsBatch] = field(default_factory=list)
    logged: Change = field(default_factory=Change)

    @property
    def is_stopped(self) -> bool:
        """Say whether nothing of the app can run any more."""
        return self.state == pb.APP_STATE_STOPPED

    def log(self, batch: pb.TaskLogsBatch) -> None:
        """Append to the logs and wake who follows them."""
        batch.entry_id = f"{len(self.logs) + 1}-0"
        self.logs.append(batch)
        self.logged.announce()

    def finish(self) -> None:
        """Close the app for good; who follows the logs is told."""
        self.state = pb.APP_STATE_STOPPED
        self.logged.announce()


@dataclass(eq=False)
class Function:
    """A function and its pool of containers. One with `options` is a variant of its `base` with a pool of its own.

    What `FunctionCreate` defines is staged until the app is published.
    """

    id: str
    app: App
    name: str
    handle: pb.FunctionHandleMetadata
    staged: pb.Function | None = None
    published: pb.Function | None = None
    data: pb.FunctionData | None = None
    base: "Function | None" = None
    options: pb.FunctionOptions | None = None
    serialized_params: bytes = b""
    pending: "deque[Input]" = field(default_factory=deque)
    containers: "dict[str, Container]" = field(default_factory=dict)
    failed_starts: int = 0
    changed: Change = field(default_factory=Change)

    @property
    def definition(self) -> pb.Function:
        """What new containers run."""
        if self.base is not None and self.options is not None:
            return _with_options(self.base.definition, self.options)
        if self.published is None:
            raise not_found("published definition of function", self.name)
        return self.published

    def publish(self) -> None:
        """Let new containers run what was defined last."""
        if self.staged is not None:
            self.published, self.staged = self.staged, None


def _with_options(base: pb.Function, options: pb.FunctionOptions) -> pb.Function:
    definition = pb.Function()
    definition.CopyFrom(base)
    if options.replace_volume_mounts:
        del definition.volume_mounts[:]
        definition.volume_mounts.extend(options.volume_mounts)
    if options.replace_secret_ids:
        del definition.secret_ids[:]
        definition.secret_ids.extend(options.secret_ids)
    if options.HasField("resources"):
        definition.resources.MergeFrom(options.resources)
    if options.HasField("retry_policy"):
        definition.retry_policy.CopyFrom(options.retry_policy)
    if options.HasField("timeout_secs"):
        definition.timeout_secs = options.timeout_secs
    if options.HasField("concurrency_limit"):
        definition.autoscaler_settings.max_containers = options.concurrency_limit
    if options.HasField("task_idle_timeout_secs"):
        definition.autoscaler_settings.scaledown_window = options.task_idle_timeout_secs
    return definition


@dataclass(eq=False)
class Input:
    """One input of a call.

    Attributes:
        retry_count: number of deliveries that were given up; a container's output must name the current one.
        tries: number of containers that took it.
        failures: tries that failed by the function's own doing, of which the retry policy allows some.
        crashes: tries that were lost with their container.
        container: who runs it now.
        latest_container: who ran it last.
        started_at: when the current try began, seconds since the epoch.
    """

    id: str
    call: "Call"
    item: pb.FunctionPutInputsItem
    retry_count: int = 0
    tries: int = 0
    failures: int = 0
    crashes: int = 0
    is_cancelled: bool = False
    container: "Container | None" = None
    latest_container: str = ""
    started_at: float = 0.0
    result: pb.GenericResult | None = None
    data_format: "pb.DataFormat.ValueType" = pb.DATA_FORMAT_UNSPECIFIED


@dataclass(eq=False)
class Call:
    """A function call: one input if spawned, called or run."""

    id: str
    function: Function
    request: pb.FunctionMapRequest
    created_at: float = field(default_factory=time.time)
    inputs: list[Input] = field(default_factory=list)
    finished: Change = field(default_factory=Change)

    @property
    def state(self) -> str:
        """Name the state of the call's slowest input, as a test reads it."""
        for item in self.inputs:
            if item.result is None:
                return "pending" if item.container is None else "running"
        names = {
            pb.GenericResult.GENERIC_STATUS_SUCCESS: "succeeded",
            pb.GenericResult.GENERIC_STATUS_TERMINATED: "cancelled",
            pb.GenericResult.GENERIC_STATUS_TIMEOUT: "timed out",
        }
        states = {names.get(item.result.status, "failed") for item in self.inputs if item.result}
        return next((state for state in ("failed", "timed out", "cancelled") if state in states), "succeeded")


@dataclass(frozen=True)
class Upload:
    """What a client has announced to upload as a blob."""

    path: Path
    sha256_base64: str


@dataclass(eq=False)
class World:
    """Everything, in the one event loop that may touch it.

    Attributes:
        folder: where content lies.
        sockets: folder with a path short enough for unix sockets.
        client_url: where clients find blobs and blocks.
        container_url: where containers find them, also while clients can't reach the server.
        requests: what was asked, by RPC, in order.
        unimplemented: names of RPCs that were asked for and don't exist here.
        failures: tracebacks of the server's own mistakes.
    """

    folder: Path
    sockets: Path
    settings: Settings
    client_url: str = ""
    container_url: str = ""
    are_tokens_rejected: bool = False
    build_failure: str = ""
    container_environment: dict[str, str] = field(default_factory=dict)
    apps: dict[str, App] = field(default_factory=dict)
    deployed: dict[str, App] = field(default_factory=dict)  # by name
    functions: dict[str, Function] = field(default_factory=dict)
    variants: dict[tuple[str, bytes, bytes], Function] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    inputs: dict[str, Input] = field(default_factory=dict)
    containers: "dict[str, Container]" = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    downloads: dict[str, tuple[Path, int]] = field(default_factory=dict)  # file and block by the last part of its URL
    uploads: dict[str, Upload] = field(default_factory=dict)  # blobs by id
    mounts: dict[str, list[pb.MountFile]] = field(default_factory=dict)
    images: dict[str, pb.Image] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    secret_names: dict[str, str] = field(default_factory=dict)  # ids by name
    requests: dict[str, list[Message]] = field(default_factory=dict)
    unimplemented: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _background: "set[asyncio.Task[None]]" = field(default_factory=set)

    def __post_init__(self) -> None:
        for name in ("blobs", "blocks", "mounted", "volumes", "containers"):
            (self.folder / name).mkdir(parents=True)

    def new_id(self, prefix: str) -> str:
        """Make an id of the real form: the CLI takes only 22 letters and digits after the prefix."""
        return f"{prefix}-{next(self._numbers):04d}{''.join(random.choices(string.ascii_letters, k=18))}"

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Start work that nobody waits for."""
        task = asyncio.create_task(self._reporting(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _reporting(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            self.failures.append(traceback.format_exc())

    def app(self, app_id: str) -> App:
        """Look up an app; as below, `NOT_FOUND` names what doesn't exist."""
        return _look_up(self.apps, "App", app_id)

    def function(self, function_id: str) -> Function:
        """Look up a function."""
        return _look_up(self.functions, "Function", function_id)

    def call(self, call_id: str) -> Call:
        """Look up a function call."""
        return _look_up(self.calls, "FunctionCall", call_id)

    def input(self, input_id: str) -> Input:
        """Look up an input."""
        return _look_up(self.inputs, "Input", input_id)

    def container(self, task_id: str) -> "Container":
        """Look up a container by its task's id."""
        return _look_up(self.containers, "Container", task_id)

    def volume(self, volume_id: str) -> Volume:
        """Look up a Volume by id."""
        return _look_up(self.volumes, "Volume", volume_id)

    def volume_named(self, name: str) -> Volume | None:
        """Look up a Volume by name."""
        return next((volume for volume in self.volumes.values() if name and volume.name == name), None)

    def mount(self, mount_id: str) -> list[pb.MountFile]:
        """Look up the files of a mount."""
        return _look_up(self.mounts, "Mount", mount_id)

    def image(self, image_id: str) -> pb.Image:
        """Look up an image's recipe."""
        return _look_up(self.images, "Image", image_id)

    def secret(self, secret_id: str) -> dict[str, str]:
        """Look up a secret's variables."""
        return _look_up(self.secrets, "Secret", secret_id)

    def upload(self, blob_id: str) -> Upload:
        """Look up a blob."""
        return _look_up(self.uploads, "Blob", blob_id)


def _look_up(table: dict[str, _Thing], what: str, key: str) -> _Thing:
    try:
        return table[key]
    except KeyError:
        raise not_found(what, key) from None
