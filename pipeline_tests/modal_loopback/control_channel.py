"""The server's HTTP side: the test's channel to it, as JSON, and the content of blobs, Volumes and files."""

import base64
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web
from google.protobuf.message import Message

from .gate import Gate
from .loopback import CallRecord, ContainerRecord, DeploymentRecord
from .state import Call, World
from .volume_rpcs import put_receipt
from .volume_store import BLOCK_BYTES

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


def content_routes(world: World) -> list[web.RouteDef]:
    """Make the routes that signed URLs lead to: an unknown id is 404, content with another hash than announced 400."""

    async def put_blob(request: web.Request) -> web.Response:
        upload = world.uploads.get(request.match_info["blob_id"])
        if upload is None:
            raise web.HTTPNotFound(text="no such blob has been announced")
        content = await request.read()
        if base64.b64encode(hashlib.sha256(content).digest()).decode() != upload.sha256_base64:
            raise web.HTTPBadRequest(text=f"the content doesn't have the sha256 {upload.sha256_base64}")
        upload.path.write_bytes(content)
        return web.Response(headers={"ETag": f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'})

    async def get_blob(request: web.Request) -> web.StreamResponse:
        upload = world.uploads.get(request.match_info["blob_id"])
        if upload is None or not upload.path.exists():
            raise web.HTTPNotFound(text="no such blob")
        return web.FileResponse(upload.path)

    async def put_block(request: web.Request) -> web.Response:
        digest, content = request.match_info["digest"], await request.read()
        if len(content) > BLOCK_BYTES:
            raise web.HTTPRequestEntityTooLarge(max_size=BLOCK_BYTES, actual_size=len(content))
        if hashlib.sha256(content).hexdigest() != digest:
            raise web.HTTPBadRequest(text=f"the block doesn't have the sha256 {digest}")
        (world.folder / "blocks" / digest).write_bytes(content)
        return web.Response(body=put_receipt(digest))

    async def get_block(request: web.Request) -> web.Response:
        path, block = world.downloads.get(request.match_info["key"], (None, 0))
        if path is None or not path.is_file():
            raise web.HTTPNotFound(text="no such file")
        with path.open("rb") as file:
            file.seek(block * BLOCK_BYTES)
            content = file.read(BLOCK_BYTES)
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        return web.Response(body=content, headers={"Repr-Digest": f"sha-256=:{digest}:"})

    return [
        web.put("/blobs/{blob_id}", put_blob),
        web.get("/blobs/{blob_id}", get_blob),
        web.put("/blocks/{digest}", put_block),
        web.get("/downloads/{key}", get_block),
    ]
