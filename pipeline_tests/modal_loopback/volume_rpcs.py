"""RPCs about Volumes, of version 2 of their file system."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2 as pb

from .refusals import already_exists, invalid, not_found, unimplemented, wrong_state
from .rpcs import Rpcs, is_creation
from .volume_store import BLOCK_BYTES, Volume, WorkingCopy, write_file

_SHA256_BYTES = 32


class VolumeRpcs(Rpcs):
    """Content travels in blocks over HTTP; here are the names, the listings and the bookkeeping."""

    async def volume_get_or_create(self, request: pb.VolumeGetOrCreateRequest) -> pb.VolumeGetOrCreateResponse:
        name, how = request.deployment_name, request.object_creation_type
        volume = self._world.volume_named(name)
        if volume is None:
            if not is_creation(how):
                raise not_found("Volume", name)
            if request.version != pb.VOLUME_FS_VERSION_V2:  # the service makes a Volume of version 1
                raise unimplemented(f"Volumes of version 1: ask for {name!r} with version=2")
            volume_id = self._world.new_id("vo")
            volume = Volume(volume_id, name, self._world.folder / "volumes" / volume_id)
            self._world.volumes[volume_id] = volume
        elif how == pb.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS:
            raise already_exists("Volume", name)
        return pb.VolumeGetOrCreateResponse(
            volume_id=volume.id, version=pb.VOLUME_FS_VERSION_V2, metadata=volume.metadata
        )

    async def volume_get_by_id(self, request: pb.VolumeGetByIdRequest) -> pb.VolumeGetByIdResponse:
        volume = self._world.volume(request.volume_id)
        return pb.VolumeGetByIdResponse(volume_id=volume.id, metadata=volume.metadata)

    async def volume_heartbeat(self, request: pb.VolumeHeartbeatRequest) -> Empty:
        self._world.volume(request.volume_id)
        return Empty()

    async def volume_list(self, request: pb.VolumeListRequest) -> pb.VolumeListResponse:
        before = request.pagination.created_before or float("inf")
        named = [each for each in self._world.volumes.values() if each.name and each.created_at < before]
        newest_first = sorted(named, key=lambda volume: -volume.created_at)
        items = [
            pb.VolumeListItem(
                label=volume.name, volume_id=volume.id, created_at=volume.created_at, metadata=volume.metadata
            )
            for volume in newest_first[: request.pagination.max_objects or 100]
        ]
        return pb.VolumeListResponse(items=items, environment_name="main")

    async def volume_delete(self, request: pb.VolumeDeleteRequest) -> Empty:
        volume = self._world.volume(request.volume_id)
        del self._world.volumes[volume.id]
        shutil.rmtree(volume.root)
        return Empty()

    async def volume_list_files2(
        self, request: pb.VolumeListFiles2Request
    ) -> AsyncIterator[pb.VolumeListFiles2Response]:
        volume = self._world.volume(request.volume_id)
        found = volume.find(request.path)
        held = found.rglob("*") if request.recursive else found.iterdir()
        paths = [found] if found.is_file() else sorted(held)
        yield pb.VolumeListFiles2Response(entries=[volume.entry(path) for path in paths])

    async def volume_get_file2(self, request: pb.VolumeGetFile2Request) -> pb.VolumeGetFile2Response:
        if request.start or request.len:
            raise unimplemented("VolumeGetFile2 for a part of a file")
        volume = self._world.volume(request.volume_id)
        found = volume.find(request.path)
        if found.is_dir():
            raise invalid(f"path {request.path!r} is a directory")
        size = found.stat().st_size
        urls = []
        for block in range(-(-size // BLOCK_BYTES)):
            key = self._world.new_id("dl")
            self._world.downloads[key] = (found, block)
            urls.append(f"{self._url}/downloads/{key}")
        return pb.VolumeGetFile2Response(size=size, start=0, len=size, get_urls=urls)

    async def volume_put_files2(self, request: pb.VolumePutFiles2Request) -> pb.VolumePutFiles2Response:
        volume = self._world.volume(request.volume_id)
        missing = []
        for file_index, file in enumerate(request.files):
            if refusal := volume.refusal_to_write(file.path, not request.disallow_overwrite_existing_files):
                raise refusal
            if len(file.blocks) != -(-file.size // BLOCK_BYTES):
                raise invalid(f"{file.size} bytes of {file.path!r} don't come in {len(file.blocks)} blocks")
            for block_index, block in enumerate(file.blocks):
                digest = block.contents_sha256.hex()
                if len(block.contents_sha256) != _SHA256_BYTES:
                    raise invalid(f"{digest!r} of {file.path!r} is no sha256")
                if block.put_response and block.put_response != put_receipt(digest):
                    raise invalid(f"block {digest} of {file.path!r} has not been uploaded: its receipt is wrong")
                if not self._block(digest).exists():
                    missing.append(
                        pb.VolumePutFiles2Response.MissingBlock(
                            file_index=file_index, block_index=block_index, put_url=f"{self._url}/blocks/{digest}"
                        )
                    )
        if not missing:
            for file in request.files:
                blocks = [self._block(block.contents_sha256.hex()).read_bytes() for block in file.blocks]
                # A block comes without the zeros at its end.
                content = b"".join(block.ljust(BLOCK_BYTES, b"\0") for block in blocks)
                write_file(volume.locate(file.path), content[: file.size])
        return pb.VolumePutFiles2Response(missing_blocks=missing)

    async def volume_remove_file2(self, request: pb.VolumeRemoveFile2Request) -> Empty:
        volume = self._world.volume(request.volume_id)
        found = volume.find(request.path)
        if found == volume.root:
            raise invalid("the root of a volume can't be removed")
        if found.is_dir() and not request.recursive:
            raise invalid(f"path {request.path!r} is a directory: remove it recursively")
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink()
        return Empty()

    async def volume_commit(self, request: pb.VolumeCommitRequest) -> pb.VolumeCommitResponse:
        self._working_copy(request.volume_id).commit()
        return pb.VolumeCommitResponse(skip_reload=True)

    async def volume_reload(self, request: pb.VolumeReloadRequest) -> Empty:
        self._working_copy(request.volume_id).reload()
        return Empty()

    def _working_copy(self, volume_id: str) -> WorkingCopy:
        volume = self._world.volume(volume_id)
        copy = self._sending_container().working_copies.get(volume_id)
        if copy is None:
            raise wrong_state(f"Volume {volume.name!r} is not mounted in this container")
        return copy

    def _block(self, digest: str) -> Path:
        return self._world.folder / "blocks" / digest


def put_receipt(digest: str) -> bytes:
    """Make what an uploader of a block gets and has to show."""
    return b"stored:" + digest.encode()
