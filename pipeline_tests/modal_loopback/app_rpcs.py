"""RPCs about the session (greetings, environment, token, blobs) and apps: their life, deployments, logs, containers."""

import time
from collections.abc import AsyncIterator

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2 as pb

from .refusals import invalid, not_found, wrong_state
from .rpcs import Rpcs
from .state import App, Upload

IMAGE_BUILDER_VERSION = "2025.06"


class SessionRpcs(Rpcs):
    """One workspace with one environment, `main`."""

    async def client_hello(self, request: Empty) -> pb.ClientHelloResponse:
        return pb.ClientHelloResponse()

    async def environment_get_or_create(
        self, request: pb.EnvironmentGetOrCreateRequest
    ) -> pb.EnvironmentGetOrCreateResponse:
        name = request.deployment_name or "main"
        if name != "main":
            raise not_found("Environment", name)
        settings = pb.EnvironmentSettings(image_builder_version=IMAGE_BUILDER_VERSION)
        metadata = pb.EnvironmentMetadata(name=name, settings=settings)
        return pb.EnvironmentGetOrCreateResponse(environment_id="en-loopback", metadata=metadata)

    async def blob_create(self, request: pb.BlobCreateRequest) -> pb.BlobCreateResponse:
        blob_id = self._world.new_id("bl")
        self._world.uploads[blob_id] = Upload(self._world.folder / "blobs" / blob_id, request.content_sha256_base64)
        urls = pb.UploadUrlList(items=[f"{self._url}/blobs/{blob_id}"])
        return pb.BlobCreateResponse(blob_id=blob_id, blob_ids=[blob_id], upload_urls=urls)

    async def blob_get(self, request: pb.BlobGetRequest) -> pb.BlobGetResponse:
        if not self._world.upload(request.blob_id).path.exists():
            raise not_found("content of blob", request.blob_id)
        return pb.BlobGetResponse(download_url=f"{self._url}/blobs/{request.blob_id}")


class AppRpcs(Rpcs):
    """Apps, ephemeral, detached and deployed."""

    async def app_create(self, request: pb.AppCreateRequest) -> pb.AppCreateResponse:
        app = self._new_app(request.description, request.app_state)
        app.tags.update(request.tags)
        url = _dashboard_url(app)
        return pb.AppCreateResponse(app_id=app.id, app_page_url=url, app_logs_url=f"{url}/logs")

    async def app_get_or_create(self, request: pb.AppGetOrCreateRequest) -> pb.AppGetOrCreateResponse:
        app = self._world.deployed.get(request.app_name)
        if app is None:
            app = self._new_app(request.app_name, pb.APP_STATE_DEPLOYED)
            app.name = request.app_name
            self._world.deployed[request.app_name] = app
        return pb.AppGetOrCreateResponse(app_id=app.id)

    async def app_heartbeat(self, request: pb.AppHeartbeatRequest) -> Empty:
        self._world.app(request.app_id)
        return Empty()

    async def app_get_by_deployment_name(
        self, request: pb.AppGetByDeploymentNameRequest
    ) -> pb.AppGetByDeploymentNameResponse:
        app = self._world.deployed.get(request.name)
        if app is None:
            return pb.AppGetByDeploymentNameResponse(environment_name="main")
        return pb.AppGetByDeploymentNameResponse(app_id=app.id, environment_name="main", lifecycle=_lifecycle(app))

    async def app_get_layout(self, request: pb.AppGetLayoutRequest) -> pb.AppGetLayoutResponse:
        app = self._world.app(request.app_id)
        objects = [
            pb.Object(object_id=function_id, function_handle_metadata=self._world.function(function_id).handle)
            for function_id in app.functions.values()
        ]
        return pb.AppGetLayoutResponse(app_layout=pb.AppLayout(function_ids=app.functions, objects=objects))

    async def app_publish(self, request: pb.AppPublishRequest) -> pb.AppPublishResponse:
        app = self._world.app(request.app_id)
        if app.is_stopped:
            raise wrong_state(f"App {app.id!r} is stopped")
        functions = [self._world.function(function_id) for function_id in request.function_ids.values()]
        if any(function.app is not app for function in functions):
            raise invalid(f"App {app.id!r} can't publish a function of another app")
        for function in functions:
            function.publish()
        app.functions = dict(request.function_ids)
        app.state = request.app_state or app.state
        now = time.time()
        if request.name:
            app.name = request.name
            self._world.deployed[request.name] = app
            app.deployments.append(
                pb.AppDeploymentHistory(
                    app_id=app.id,
                    version=len(app.deployments) + 1,
                    client_version=request.client_version,
                    deployed_at=now,
                    deployed_by="loopback",
                    tag=request.deployment_tag,
                )
            )
            self._scheduler.retire(app)
        return pb.AppPublishResponse(url=_dashboard_url(app), deployed_at=now)

    async def app_client_disconnect(self, request: pb.AppClientDisconnectRequest) -> Empty:
        app = self._world.app(request.app_id)
        is_completed = request.reason == pb.APP_DISCONNECT_REASON_ENTRYPOINT_COMPLETED
        if app.state in (pb.APP_STATE_EPHEMERAL, pb.APP_STATE_INITIALIZING):
            await self._scheduler.stop(app)
        elif app.state == pb.APP_STATE_DETACHED and is_completed:
            self._world.in_background(self._scheduler.stop_when_done(app))
        return Empty()

    async def app_stop(self, request: pb.AppStopRequest) -> Empty:
        app = self._world.app(request.app_id)
        self._world.deployed.pop(app.name, None)
        await self._scheduler.stop(app)
        return Empty()

    async def app_get_logs(self, request: pb.AppGetLogsRequest) -> AsyncIterator[pb.TaskLogsBatch]:
        app = self._world.app(request.app_id)
        position = int(request.last_entry_id.partition("-")[0] or 0)
        end = time.monotonic() + request.timeout
        while True:
            for batch in app.logs[position:]:
                position += 1
                if _is_wanted(batch, request):
                    yield batch
            if app.is_stopped:
                yield pb.TaskLogsBatch(app_done=True)
                return
            left = end - time.monotonic()
            if left <= 0:
                return
            if position == len(app.logs):
                await app.logged.wait(left)

    def _new_app(self, description: str, state: "pb.AppState.ValueType") -> App:
        app = App(self._world.new_id("ap"), description, state, {})
        self._world.apps[app.id] = app
        return app


def _is_wanted(batch: pb.TaskLogsBatch, request: pb.AppGetLogsRequest) -> bool:
    item = batch.items[0]
    descriptor = request.file_descriptor
    return (
        request.function_call_id in ("", item.function_call_id)
        and request.function_id in ("", batch.function_id)
        and request.task_id in ("", batch.task_id)
        and descriptor in (pb.FILE_DESCRIPTOR_UNSPECIFIED, item.file_descriptor)
        and request.search_text in item.data
    )


def _lifecycle(app: App) -> pb.AppLifecycle:
    deployed_at = app.deployments[-1].deployed_at if app.deployments else 0.0
    return pb.AppLifecycle(app_state=app.state, created_at=app.created_at, deployed_at=deployed_at)


def _dashboard_url(app: App) -> str:
    return f"https://modal.com/apps/loopback/main/{app.id}"
