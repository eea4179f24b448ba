"""Content over HTTP: blobs, blocks on their way into Volumes, and blocks of files on their way out."""

import base64
import hashlib

from aiohttp import web

from .state import World
from .volume_rpcs import put_receipt
from .volume_store import BLOCK_BYTES


def blob_routes(world: World) -> list[web.RouteDef]:
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
