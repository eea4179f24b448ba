"""RPCs about what goes into containers: mounted local files, images and secrets."""

import hashlib
import sys

from modal_proto import api_pb2 as pb

from .refusals import already_exists, invalid, not_found, wrong_state
from .rpcs import Rpcs, is_creation


class ImageRpcs(Rpcs):
    """Mounts keep their files; images are recorded and never built; secrets are kept in the clear."""

    async def mount_batched_check_existence(
        self, request: pb.MountBatchedCheckExistenceRequest
    ) -> pb.MountBatchedCheckExistenceResponse:
        missing = [digest for digest in request.sha256_hex_hashes if not self._has_file(digest)]
        return pb.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    async def mount_put_file(self, request: pb.MountPutFileRequest) -> pb.MountPutFileResponse:
        digest = request.sha256_hex
        if not self._has_file(digest) and request.WhichOneof("data_oneof"):
            blob_id = request.data_blob_id
            content = self._world.upload(blob_id).path.read_bytes() if blob_id else request.data
            if hashlib.sha256(content).hexdigest() != digest:
                raise invalid(f"content of a mounted file doesn't have the sha256 {digest}")
            (self._world.folder / "mounted" / digest).write_bytes(content)
        return pb.MountPutFileResponse(exists=self._has_file(digest))

    async def mount_get_or_create(self, request: pb.MountGetOrCreateRequest) -> pb.MountGetOrCreateResponse:
        missing = [file.filename for file in request.files if not self._has_file(file.sha256_hex)]
        if missing:
            raise wrong_state(f"content of mounted file {missing[0]!r} has not been uploaded")
        mount_id = self._world.new_id("mo")
        # A named mount is one that the service provides: the client's own package, which this interpreter has.
        self._world.mounts[mount_id] = list(request.files)
        parts = [file.SerializeToString() for file in request.files] or [request.deployment_name.encode()]
        checksum = hashlib.sha256(b"".join(parts)).hexdigest()
        metadata = pb.MountHandleMetadata(content_checksum_sha256_hex=checksum)
        return pb.MountGetOrCreateResponse(mount_id=mount_id, handle_metadata=metadata)

    async def image_get_or_create(self, request: pb.ImageGetOrCreateRequest) -> pb.ImageGetOrCreateResponse:
        for base in request.image.base_images:
            self._world.image(base.image_id)
        for secret_id in request.image.secret_ids:
            self._world.secret(secret_id)
        image_id = f"im-{hashlib.sha256(request.image.SerializeToString(deterministic=True)).hexdigest()[:22]}"
        self._world.images[image_id] = request.image
        success, failure = pb.GenericResult.GENERIC_STATUS_SUCCESS, pb.GenericResult.GENERIC_STATUS_FAILURE
        problem = self._world.build_failure
        return pb.ImageGetOrCreateResponse(
            image_id=image_id,
            result=pb.GenericResult(status=failure if problem else success, exception=problem),
            metadata=pb.ImageMetadata(
                image_builder_version=request.builder_version, python_version_info=f"Python {sys.version.split()[0]}"
            ),
        )

    async def secret_get_or_create(self, request: pb.SecretGetOrCreateRequest) -> pb.SecretGetOrCreateResponse:
        name, how = request.deployment_name, request.object_creation_type
        secret_id = self._world.secret_names.get(name)
        if not secret_id and not is_creation(how):
            raise not_found("Secret", name)
        if secret_id and how == pb.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS:
            raise already_exists("Secret", name)
        if not secret_id or how == pb.OBJECT_CREATION_TYPE_CREATE_OVERWRITE_IF_EXISTS:
            secret_id = secret_id or self._world.new_id("st")
            self._world.secrets[secret_id] = dict(request.env_dict)
            if name:
                self._world.secret_names[name] = secret_id
        missing = [key for key in request.required_keys if key not in self._world.secret(secret_id)]
        if missing:
            raise wrong_state(f"Secret {name!r} lacks the key {missing[0]!r}")
        return pb.SecretGetOrCreateResponse(secret_id=secret_id)

    def _has_file(self, digest: str) -> bool:
        return (self._world.folder / "mounted" / digest).is_file()
