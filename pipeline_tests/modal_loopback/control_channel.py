"""The test's own channel to the server: reads its state and does what only the service could do. JSON over HTTP."""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web
from google.protobuf.message import Message

from .gate import Gate
from .records import CallRecord, ContainerRecord, DeploymentRecord
from .state import Call, World

_Answer = Callable[[dict[str, Any]], Awaitable[object]]


class ControlChannel:
    """A method is a command; it takes the JSON object that was sent and returns what is sent back."""

    def __init__(self, world: World, gates: list[Gate]) -> None:
        self._world = world
        self._gates = gates

    def routes(self) -> list[web.RouteDef]:
        """Make one route for each command."""
        commands: list[_Answer] = [
            self.calls,
            self.containers,
            self.deployments,
            self.volumes,
            self.requests,
            self.complaints,
            self.kill_container,
            self.preempt_container,
            self.go_silent,
            self.come_back,
            self.reject_tokens,
            self.break_image_builds,
            self.set_container_environment,
        ]
        return [web.post(f"/control/{command.__name__}", _handler(command)) for command in commands]

    async def calls(self, asked: dict[str, Any]) -> object:
        return [asdict(_call_record(call)) for call in self._world.calls.values()]

    async def containers(self, asked: dict[str, Any]) -> object:
        return [
            asdict(
                ContainerRecord(
                    task_id=container.task_id,
                    pid=container.pid,
                    function=function.name,
                    calls=tuple(item.call.id for item in container.running.values()),
                )
            )
            for function in self._world.functions.values()
            for container in function.containers.values()
        ]

    async def deployments(self, asked: dict[str, Any]) -> object:
        return [
            asdict(DeploymentRecord(app.name, app.id, each.version, each.deployed_at))
            for app in self._world.apps.values()
            for each in app.deployments
        ]

    async def volumes(self, asked: dict[str, Any]) -> object:
        return {volume.name: str(volume.root) for volume in self._world.volumes.values() if volume.name}

    async def requests(self, asked: dict[str, Any]) -> object:
        return [_encoded(request) for request in self._world.requests.get(asked["rpc"], [])]

    async def complaints(self, asked: dict[str, Any]) -> object:
        """Hand over what the fixture fails a test for, and forget it."""
        unimplemented = [f"not implemented: {what}" for what in self._world.unimplemented]
        found = unimplemented + [f"failure of the server: {failure}" for failure in self._world.failures]
        self._world.unimplemented.clear()
        self._world.failures.clear()
        return found

    async def kill_container(self, asked: dict[str, Any]) -> None:
        self._world.container(asked["task_id"]).kill()

    async def preempt_container(self, asked: dict[str, Any]) -> None:
        container = self._world.container(asked["task_id"])
        container.is_preempted = True
        container.interrupt(asked["grace"])

    async def go_silent(self, asked: dict[str, Any]) -> None:
        for gate in self._gates:
            await (gate.close() if asked["refuse"] else gate.swallow())

    async def come_back(self, asked: dict[str, Any]) -> None:
        for gate in self._gates:
            await gate.open()

    async def reject_tokens(self, asked: dict[str, Any]) -> None:
        self._world.are_tokens_rejected = True

    async def break_image_builds(self, asked: dict[str, Any]) -> None:
        self._world.build_failure = asked["message"]

    async def set_container_environment(self, asked: dict[str, Any]) -> None:
        self._world.container_environment.update(asked)


def _handler(command: _Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response(await command(await request.json()))

    return handle


def _encoded(message: Message) -> str:
    return base64.b64encode(message.SerializeToString()).decode()


def _call_record(call: Call) -> CallRecord:
    return CallRecord(
        id=call.id,
        function=call.function.name,
        app=call.function.app.name or call.function.app.description,
        state=call.state,
        created_at=call.created_at,
        tries=sum(item.tries for item in call.inputs),
        inputs=tuple(item.id for item in call.inputs),
    )
