"""Decides which container runs which input, and what becomes of an input when its try is over."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from modal_proto import api_pb2 as pb

from .containers import Container
from .state import App, Call, Function, Input, World

if TYPE_CHECKING:
    from grpclib._typing import IServable

_DEFAULT_MAX_CONTAINERS = 8
_DEFAULT_IDLE_SECONDS = 60
_RETRIED = (pb.GenericResult.GENERIC_STATUS_FAILURE, pb.GenericResult.GENERIC_STATUS_TIMEOUT)
_CANCELLED = pb.GenericResult(
    status=pb.GenericResult.GENERIC_STATUS_TERMINATED, exception="Input was cancelled by user"
)


class Scheduler:
    """Starts containers for waiting inputs, up to the function's limit.

    Args:
        world: the state.
        control_plane: makes the control plane that one container talks to.
    """

    def __init__(self, world: World, control_plane: "Callable[[Scheduler, Container], IServable]") -> None:
        self._world = world
        self._control_plane = control_plane
        self._is_over = False

    def enqueue(self, item: Input) -> None:
        """Let an input wait for a container, and start one if none is free."""
        function = item.call.function
        item.container = None
        function.pending.append(item)
        function.changed.announce()
        self._scale_up(function)

    async def next_input(self, container: Container) -> Input | None:
        """Give a container its next input; None tells it to end, for want of work or because it has to."""
        function = container.function
        window = container.definition.autoscaler_settings.scaledown_window or _DEFAULT_IDLE_SECONDS
        end = time.monotonic() + min(window, self._world.settings.idle_seconds)
        container.is_waiting = True
        while not container.is_stopping:
            if function.pending:
                item = function.pending.popleft()
                container.take(item)
                function.failed_starts = 0
                return item
            left = end - time.monotonic()
            if left <= 0:
                break
            await function.changed.wait(left)
        container.is_waiting, container.is_stopping = False, True
        return None

    def finish(
        self,
        item: Input,
        result: pb.GenericResult,
        data_format: "pb.DataFormat.ValueType" = pb.DATA_FORMAT_PICKLE,
    ) -> None:
        """Take the outcome of a try: the input's result, or a reason to try again."""
        if item.result is not None:
            return
        if item.container is not None:
            item.container.running.pop(item.id, None)
            item.container = None
        policy = item.call.function.definition.retry_policy
        if result.status in _RETRIED and not item.is_cancelled and item.failures < policy.retries:
            delay_ms = policy.initial_delay_ms * (policy.backoff_coefficient or 1.0) ** item.failures
            item.failures += 1
            self._try_again(item, min(delay_ms, policy.max_delay_ms or 60_000) / 1000)
            return
        item.result, item.data_format = result, data_format
        item.call.finished.announce()

    def cancel(self, call: Call, terminate_containers: bool) -> None:
        """Cancel what is left of a call. A container that ignores it is killed after the grace."""
        for item in [item for item in call.inputs if item.result is None]:
            item.is_cancelled = True
            container = item.container
            if container is None:
                if item in call.function.pending:
                    call.function.pending.remove(item)
                self.finish(item, _CANCELLED)
            elif terminate_containers:
                self.finish(item, _CANCELLED)
                container.kill()
            else:
                container.cancellations.put_nowait(item.id)
                self._world.in_background(self._kill_if_ignored(container, item))

    def retire(self, app: App) -> None:
        """Let the containers of earlier deployments end after what they are doing."""
        for function in self._functions(app):
            for container in function.containers.values():
                container.is_stopping = True
            function.changed.announce()
            self._scale_up(function)

    async def stop(self, app: App) -> None:
        """End an app: idle containers leave by themselves, so that their Volumes are committed; busy ones are told."""
        functions = list(self._functions(app))
        for call in self._world.calls.values():
            if call.function.app is app:
                for item in [item for item in call.inputs if item.result is None]:
                    item.is_cancelled = True
        containers = [container for function in functions for container in function.containers.values()]
        for container in containers:
            if container.is_waiting:
                container.is_stopping = True
                asyncio.get_running_loop().call_later(self._world.settings.grace_seconds, container.kill)
            else:
                container.interrupt(self._world.settings.grace_seconds)
        for function in functions:
            function.changed.announce()
            for item in [*function.pending]:
                self.finish(item, _CANCELLED)
            function.pending.clear()
        for container in containers:
            await container.wait()
        app.finish()

    async def stop_when_done(self, app: App) -> None:
        """End a detached app once its calls are over."""
        for call in [call for call in self._world.calls.values() if call.function.app is app]:
            while any(item.result is None for item in call.inputs):
                await call.finished.wait(1.0)
        await self.stop(app)

    async def kill_all(self) -> None:
        """End every container at once and start no more."""
        self._is_over = True
        for container in [each for function in self._world.functions.values() for each in function.containers.values()]:
            container.kill()
            await container.wait()

    def _functions(self, app: App) -> Iterable[Function]:
        return [function for function in self._world.functions.values() if function.app is app]

    def _scale_up(self, function: Function) -> None:
        definition = function.definition
        limit = definition.autoscaler_settings.max_containers or definition.concurrency_limit or _DEFAULT_MAX_CONTAINERS
        if self._is_over:
            return
        coming = [each for each in function.containers.values() if not each.is_stopping and not each.running]
        for _ in range(min(len(function.pending) - len(coming), limit - len(function.containers))):
            container = Container(
                self._world, function, lambda container: self._control_plane(self, container), self._exited
            )
            function.containers[container.task_id] = self._world.containers[container.task_id] = container
            self._world.in_background(container.run())

    async def _exited(self, container: Container) -> None:
        function = container.function
        for item in list(container.running.values()):
            self._lose(item, container)
        has_failed = container.init_failure is not None or container.exit_code != 0
        if has_failed and not container.has_had_input and not container.is_preempted:
            self._start_failed(function, container)
        self._scale_up(function)

    def _lose(self, item: Input, container: Container) -> None:
        """Deal with an input whose container is gone without an answer."""
        if item.is_cancelled:
            self.finish(item, _CANCELLED)
        elif item.id in container.timed_out:
            seconds = container.definition.timeout_secs
            message = f"Task's current input {item.id} hit its timeout of {seconds}s"
            self.finish(item, pb.GenericResult(status=pb.GenericResult.GENERIC_STATUS_TIMEOUT, exception=message))
        elif container.is_preempted:
            self._try_again(item, 0)
        else:
            item.crashes += 1
            is_ephemeral = item.call.function.app.state != pb.APP_STATE_DEPLOYED
            if is_ephemeral and item.crashes >= self._world.settings.ephemeral_crashes:
                message = f"Container exited with code {container.exit_code} for the {item.crashes}. time"
                status = pb.GenericResult.GENERIC_STATUS_INTERNAL_FAILURE
                self.finish(item, pb.GenericResult(status=status, exception=message))
            else:  # a deployed app's crashes are retried for ever, ever more slowly
                self._try_again(item, 0 if item.crashes == 1 else min(0.25 * 2**item.crashes, 10))

    def _start_failed(self, function: Function, container: Container) -> None:
        function.failed_starts += 1
        if function.failed_starts < self._world.settings.start_failures and container.init_failure is None:
            return
        result = container.init_failure or pb.GenericResult(
            status=pb.GenericResult.GENERIC_STATUS_INIT_FAILURE,
            exception=f"Container failed to start: exit code {container.exit_code}",
        )
        function.failed_starts = 0
        while function.pending:
            item = function.pending.popleft()
            item.failures = item.call.function.definition.retry_policy.retries  # another container would fail as well
            self.finish(item, result)

    def _try_again(self, item: Input, delay_seconds: float) -> None:
        item.retry_count += 1
        item.container = None
        if delay_seconds:
            self._world.in_background(self._enqueue_later(item, delay_seconds))
        else:
            self.enqueue(item)

    async def _enqueue_later(self, item: Input, delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        if item.result is None:
            self.enqueue(item)

    async def _kill_if_ignored(self, container: Container, item: Input) -> None:
        await asyncio.sleep(self._world.settings.grace_seconds)
        if item.container is container:
            self.finish(item, _CANCELLED)
            container.kill()
