"""RPCs about the session: greetings, environment, workspace, token, blobs."""

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2 as pb

from .refusals import not_found
from .rpcs import Rpcs
from .state import Upload

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

    async def workspace_name_lookup(self, request: Empty) -> pb.WorkspaceNameLookupResponse:
        return pb.WorkspaceNameLookupResponse(workspace_name="loopback", username="loopback")

    async def token_info_get(self, request: pb.TokenInfoGetRequest) -> pb.TokenInfoGetResponse:
        return pb.TokenInfoGetResponse(token_id=self._world.settings.token[0], workspace_name="loopback")

    async def blob_create(self, request: pb.BlobCreateRequest) -> pb.BlobCreateResponse:
        blob_id = self._world.new_id("bl")
        self._world.uploads[blob_id] = Upload(self._world.folder / "blobs" / blob_id, request.content_sha256_base64)
        urls = pb.UploadUrlList(items=[f"{self._url}/blobs/{blob_id}"])
        return pb.BlobCreateResponse(blob_id=blob_id, blob_ids=[blob_id], upload_urls=urls)

    async def blob_get(self, request: pb.BlobGetRequest) -> pb.BlobGetResponse:
        if not self._world.upload(request.blob_id).path.exists():
            raise not_found("content of blob", request.blob_id)
        return pb.BlobGetResponse(download_url=f"{self._url}/blobs/{request.blob_id}")
