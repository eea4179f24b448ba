"""Containers: processes of this machine in which Modal's own container entrypoint runs a function."""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from grpclib.server import Server
from modal_proto import api_pb2 as pb

from .forked import ForkedProcess, can_fork, fork_container
from .private_root import Bind, in_private_root, mounting
from .state import Function, Input, World
from .volume_store import WorkingCopy

if TYPE_CHECKING:
    from grpclib._typing import IServable

# What a container has of this machine's environment: it must not see the developer's settings and tokens.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "OMP_NUM_THREADS")
# What an image may not set, since the container runs this machine's interpreter.
_OWN_VARIABLES = {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH"}
_LONGEST_LINE_BYTES = 2**24
_ENTRYPOINT = "modal._container_entrypoint"


class Container:
    """One container of a function, from start to exit.

    It talks to a control plane of its own over a unix socket, as container requests barely name their sender, so it is
    out of reach for what tests do to the clients' connection.

    Attributes:
        task_id: its id.
        running: inputs that it has taken and not answered, by id.
        is_waiting: it has asked for an input.
        is_stopping: it gets no more inputs.
        is_preempted: it has been interrupted by the service, not by its own doing.
        timed_out: ids of the inputs for whose timeout it was killed.
        has_had_input: it has taken an input at least once.
        init_failure: what it reported if it failed before its first input.
        cancellations: ids of inputs whose cancellation it is to hear of.
        working_copies: its view of each mounted Volume, by the Volume's id.
    """

    def __init__(
        self,
        world: World,
        function: Function,
        control_plane: "Callable[[Container], IServable]",
        exited: "Callable[[Container], Awaitable[None]]",
    ) -> None:
        self.world = world
        self.function = function
        self.definition = function.definition
        self.task_id = world.new_id("ta")
        self.running: dict[str, Input] = {}
        self.is_waiting = False
        self.is_stopping = False
        self.is_preempted = False
        self.timed_out: set[str] = set()
        self.has_had_input = False
        self.init_failure: pb.GenericResult | None = None
        self.cancellations: asyncio.Queue[str] = asyncio.Queue()
        self.working_copies: dict[str, WorkingCopy] = {}
        self.exit_code: int | None = None
        self.started_at = time.time()
        self.finished_at: float | None = None
        self._folder = world.folder / "containers" / self.task_id
        self._control_plane = control_plane
        self._exited = exited
        self._process: asyncio.subprocess.Process | ForkedProcess | None = None
        self._latest_input: Input | None = None
        self._over = asyncio.Event()

    @property
    def pid(self) -> int:
        """Process id, 0 before the process exists."""
        return self._process.pid if self._process else 0

    def take(self, item: Input) -> None:
        """Note that the container begins an input."""
        item.container, item.latest_container, item.started_at = self, self.task_id, time.time()
        item.tries += 1
        self.running[item.id] = self._latest_input = item
        self.is_waiting, self.has_had_input = False, True

    def kill(self) -> None:
        """End it at once, with all processes that it has started in its group."""
        self.is_stopping = True
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def interrupt(self, grace_seconds: float) -> None:
        """Send the signal by which the service asks a container to end, and kill it when the grace is over."""
        self.is_stopping = True
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)
        asyncio.get_running_loop().call_later(grace_seconds, self.kill)

    async def wait(self) -> None:
        """Return when it is over and its inputs have been dealt with."""
        await self._over.wait()

    async def run(self) -> None:
        """Run it from start to exit."""
        try:
            await self._run()
        finally:
            self.is_stopping = True
            self.finished_at = time.time()
            self.function.containers.pop(self.task_id, None)
            await self._exited(self)
            self._over.set()

    async def _run(self) -> None:
        root, sources, packages = (self._folder / name for name in ("root", "sources", "packages"))
        for folder in (root, sources / "root", packages):
            folder.mkdir(parents=True)
        binds = [*self._mounted_files(sources), *self._mounted_volumes()]
        arguments = self._folder / "arguments"
        arguments.write_bytes(self._arguments().SerializeToString())
        socket = self.world.sockets / self.task_id
        server = Server([self._control_plane(self)])
        await server.start(path=str(socket))
        try:
            self._process = await self._start(
                root, sources / "root", binds, self._environment(sources, arguments, socket)
            )
            if self.is_stopping:  # it was told to end before there was a process
                self.kill()
            self._log_state(pb.TASK_STATE_ACTIVE)
            clock = asyncio.create_task(self._enforce_timeouts())
            assert self._process.stdout
            assert self._process.stderr
            await asyncio.gather(
                self._log_lines(self._process.stdout, pb.FILE_DESCRIPTOR_STDOUT),
                self._log_lines(self._process.stderr, pb.FILE_DESCRIPTOR_STDERR),
                self._process.wait(),
            )
            clock.cancel()
            self.exit_code = self._process.returncode
            self._log_state(pb.TASK_STATE_PREEMPTED if self.is_preempted else pb.TASK_STATE_COMPLETED)
        finally:
            server.close()
            await server.wait_closed()

    async def _start(
        self, root: Path, working_folder: Path, binds: list[Bind], environment: dict[str, str]
    ) -> "asyncio.subprocess.Process | ForkedProcess":
        if can_fork(environment):
            mounts = mounting(["true"], root, working_folder, binds)
            return await fork_container(mounts, root, working_folder, environment, _ENTRYPOINT, _LONGEST_LINE_BYTES)
        return await asyncio.create_subprocess_exec(
            *in_private_root([sys.executable, "-m", _ENTRYPOINT], root, working_folder, binds),
            env=environment,
            start_new_session=True,
            limit=_LONGEST_LINE_BYTES,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    def _mounted_files(self, sources: Path) -> list[Bind]:
        """Lay out the local files that the image adds; what lies under /root reaches Python by its path."""
        files = [file for mount_id in self.definition.mount_ids for file in self.world.mount(mount_id)]
        for file in files:
            target = sources / file.filename.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.world.folder / "mounted" / file.sha256_hex, target)
        elsewhere = [file for file in files if not file.filename.startswith("/root/")]
        return [Bind(sources / file.filename.lstrip("/"), file.filename, is_read_only=True) for file in elsewhere]

    def _mounted_volumes(self) -> list[Bind]:
        binds = []
        for mount in self.definition.volume_mounts:
            copy = self.working_copies.get(mount.volume_id)
            if copy is None:
                volume = self.world.volume(mount.volume_id)
                copy = WorkingCopy(volume, self._folder / "volumes" / volume.id)
                self.working_copies[volume.id] = copy
            shown = copy.folder / mount.sub_path.lstrip("/")
            shown.mkdir(parents=True, exist_ok=True)
            binds.append(Bind(shown, mount.mount_path, mount.read_only))
        return binds

    def _arguments(self) -> pb.ContainerArguments:
        app = self.function.app
        functions = [self.world.function(function_id) for function_id in app.functions.values()]
        objects = [pb.Object(object_id=function.id, function_handle_metadata=function.handle) for function in functions]
        for dependency in self.definition.object_dependencies:
            volume = self.world.volumes.get(dependency.object_id)
            metadata = volume.metadata if volume else None
            objects.append(pb.Object(object_id=dependency.object_id, volume_metadata=metadata))
        return pb.ContainerArguments(
            task_id=self.task_id,
            function_id=self.function.id,
            app_id=app.id,
            function_def=self.definition,
            app_layout=pb.AppLayout(function_ids=app.functions, objects=objects),
            environment_name="main",
            serialized_params=self.function.serialized_params,
        )

    def _environment(self, sources: Path, arguments: Path, socket: Path) -> dict[str, str]:
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment |= self._image_environment(self.definition.image_id)
        for secret_id in self.definition.secret_ids:
            environment |= self.world.secret(secret_id)
        return environment | {
            "HOME": str(sources / "root"),
            "MODAL_CONFIG_PATH": str(self._folder / "no-modal.toml"),
            "MODAL_CONTAINER_ARGUMENTS_PATH": str(arguments),
            "MODAL_SERVER_URL": f"unix://{socket}",
            "MODAL_IS_REMOTE": "1",
            "MODAL_TASK_ID": self.task_id,
            "MODAL_IMAGE_ID": self.definition.image_id,
            "MODAL_ENVIRONMENT": "main",
            "MODAL_CLOUD_PROVIDER": "CLOUD_PROVIDER_AWS",
            "MODAL_REGION": "us-east-1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": f"{sources / 'root'}:{sources / 'pkg'}",
            **self.world.container_environment,
        }

    def _image_environment(self, image_id: str) -> dict[str, str]:
        """Read the variables that an image sets, its bases' first: the one step of its recipe that is carried out."""
        if not image_id:
            return {}
        image = self.world.image(image_id)
        environment: dict[str, str] = {}
        for base in image.base_images:
            environment |= self._image_environment(base.image_id)
        for command in image.dockerfile_commands:
            if command.startswith("ENV "):
                words = shlex.split(command.removeprefix("ENV "))
                environment |= dict(word.split("=", 1) for word in words if "=" in word)
        return {name: value for name, value in environment.items() if name not in _OWN_VARIABLES}

    async def _enforce_timeouts(self) -> None:
        while seconds := self.definition.timeout_secs:
            await asyncio.sleep(0.1)
            late = [item.id for item in self.running.values() if time.time() - item.started_at > seconds]
            if late:
                self.timed_out.update(late)
                self.kill()
                return

    async def _log_lines(self, stream: asyncio.StreamReader, descriptor: "pb.FileDescriptor.ValueType") -> None:
        while line := await stream.readline():
            self._log(pb.TaskLogs(data=line.decode(errors="replace"), file_descriptor=descriptor))

    def _log_state(self, state: "pb.TaskState.ValueType") -> None:
        self._log(pb.TaskLogs(task_state=state))

    def _log(self, entry: pb.TaskLogs) -> None:
        entry.timestamp = time.time()
        input_id = ""
        if self._latest_input is not None:  # also after its answer, which may overtake its last lines
            input_id = entry.input_id = self._latest_input.id
            entry.function_call_id = self._latest_input.call.id
        self.function.app.log(
            pb.TaskLogsBatch(task_id=self.task_id, function_id=self.function.id, input_id=input_id, items=[entry])
        )
