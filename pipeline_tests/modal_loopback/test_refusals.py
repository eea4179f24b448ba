"""What the real service would refuse, the loopback server refuses: unknown ids, wrong states, bad hashes and paths."""

import asyncio
import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from google.protobuf.message import Message
from grpclib import GRPCError, Status
from grpclib.client import Channel
from modal_proto import api_pb2 as pb
from modal_proto.api_grpc import ModalClientStub

from modal_loopback import LoopbackModal

Ask = Callable[[str, Message], Any]


@pytest.fixture
def ask(modal_loopback: LoopbackModal) -> Ask:
    """Send a request as a client does, without the client."""
    environment = modal_loopback.environment
    metadata = {
        "x-modal-token-id": environment["MODAL_TOKEN_ID"],
        "x-modal-token-secret": environment["MODAL_TOKEN_SECRET"],
    }

    async def send(rpc: str, request: Message) -> Any:
        port = urlsplit(environment["MODAL_SERVER_URL"]).port
        async with Channel("127.0.0.1", port) as channel:
            return await getattr(ModalClientStub(channel), rpc)(request, metadata=metadata)

    return lambda rpc, request: asyncio.run(send(rpc, request))


def _volume(ask: Ask) -> str:
    creation = pb.OBJECT_CREATION_TYPE_CREATE_IF_MISSING
    request = pb.VolumeGetOrCreateRequest(
        deployment_name="v", object_creation_type=creation, version=pb.VOLUME_FS_VERSION_V2
    )
    return str(ask("VolumeGetOrCreate", request).volume_id)


def _put(volume_id: str, path: str, content: bytes, receipt: bytes = b"") -> pb.VolumePutFiles2Request:
    digest = hashlib.sha256(content).digest()
    block = pb.VolumePutFiles2Request.Block(contents_sha256=digest, put_response=receipt or None)
    file = pb.VolumePutFiles2Request.File(path=path, size=len(content), blocks=[block])
    return pb.VolumePutFiles2Request(volume_id=volume_id, files=[file])


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        ("AppPublish", pb.AppPublishRequest(app_id="ap-none")),
        ("FunctionCallCancel", pb.FunctionCallCancelRequest(function_call_id="fc-none")),
        ("FunctionCreate", pb.FunctionCreateRequest(existing_function_id="fu-none")),
        ("FunctionGet", pb.FunctionGetRequest(app_name="none", object_tag="f")),
        ("FunctionGetOutputs", pb.FunctionGetOutputsRequest(function_call_id="fc-none")),
        ("FunctionMap", pb.FunctionMapRequest(function_id="fu-none")),
        ("SecretGetOrCreate", pb.SecretGetOrCreateRequest(deployment_name="none")),
        ("VolumeDelete", pb.VolumeDeleteRequest(volume_id="vo-none")),
        ("VolumeGetFile2", pb.VolumeGetFile2Request(volume_id="vo-none", path="x")),
        ("BlobGet", pb.BlobGetRequest(blob_id="bl-none")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unknown_id_or_name_is_not_found_and_named(ask: Ask, rpc: str, request_: Message) -> None:
    with pytest.raises(GRPCError, match="none") as refused:
        ask(rpc, request_)

    assert refused.value.status is Status.NOT_FOUND


def test_a_function_of_a_stopped_app_cant_be_called_or_published(ask: Ask) -> None:
    app_id = ask("AppCreate", pb.AppCreateRequest(app_state=pb.APP_STATE_EPHEMERAL)).app_id
    precreated = ask("FunctionPrecreate", pb.FunctionPrecreateRequest(app_id=app_id, function_name="f"))
    ask("AppStop", pb.AppStopRequest(app_id=app_id))

    for rpc, request in (
        ("FunctionMap", pb.FunctionMapRequest(function_id=precreated.function_id)),
        ("AppPublish", pb.AppPublishRequest(app_id=app_id)),
    ):
        with pytest.raises(GRPCError, match="is stopped") as refused:
            ask(rpc, request)
        assert refused.value.status is Status.FAILED_PRECONDITION


def test_a_function_that_refers_to_what_doesnt_exist_is_refused(ask: Ask) -> None:
    app_id = ask("AppCreate", pb.AppCreateRequest()).app_id
    precreated = ask("FunctionPrecreate", pb.FunctionPrecreateRequest(app_id=app_id, function_name="f"))
    function = pb.Function(volume_mounts=[pb.VolumeMount(volume_id="vo-none", mount_path="/x")])

    with pytest.raises(GRPCError, match="vo-none"):
        ask(
            "FunctionCreate",
            pb.FunctionCreateRequest(existing_function_id=precreated.function_id, function=function),
        )


def test_only_a_container_may_ask_for_inputs_and_commit_volumes(ask: Ask) -> None:
    for rpc, request in (
        ("FunctionGetInputs", pb.FunctionGetInputsRequest()),
        ("VolumeCommit", pb.VolumeCommitRequest(volume_id=_volume(ask))),
    ):
        with pytest.raises(GRPCError, match="only a container"):
            ask(rpc, request)


@pytest.mark.parametrize("path", ["../outside.txt", "a/../../outside.txt"])
def test_a_path_that_climbs_out_of_a_volume_is_refused(ask: Ask, modal_loopback: LoopbackModal, path: str) -> None:
    volume_id = _volume(ask)

    for rpc, request in (
        ("VolumePutFiles2", _put(volume_id, path, b"x")),
        ("VolumeGetFile2", pb.VolumeGetFile2Request(volume_id=volume_id, path=path)),
        ("VolumeRemoveFile2", pb.VolumeRemoveFile2Request(volume_id=volume_id, path=path)),
    ):
        with pytest.raises(GRPCError, match="climbs out") as refused:
            ask(rpc, request)
        assert refused.value.status is Status.INVALID_ARGUMENT


def test_a_block_with_another_hash_than_announced_is_refused(ask: Ask, modal_loopback: LoopbackModal) -> None:
    volume_id = _volume(ask)
    [missing] = ask("VolumePutFiles2", _put(volume_id, "a.txt", b"announced")).missing_blocks

    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(urllib.request.Request(missing.put_url, b"another", method="PUT"))

    assert len(ask("VolumePutFiles2", _put(volume_id, "a.txt", b"announced")).missing_blocks) == 1
    assert modal_loopback.volume_files("v") == {}


def test_a_block_with_a_made_up_receipt_is_refused(ask: Ask) -> None:
    with pytest.raises(GRPCError, match="receipt is wrong"):
        ask("VolumePutFiles2", _put(_volume(ask), "a.txt", b"content", receipt=b"made up"))


def test_a_file_whose_size_and_blocks_disagree_is_refused(ask: Ask) -> None:
    request = _put(_volume(ask), "a.txt", b"content")
    request.files[0].size = 2**25

    with pytest.raises(GRPCError, match="don't come in 1 blocks"):
        ask("VolumePutFiles2", request)


def test_a_mounted_file_with_another_hash_than_announced_is_refused(ask: Ask) -> None:
    with pytest.raises(GRPCError, match="sha256") as refused:
        ask("MountPutFile", pb.MountPutFileRequest(sha256_hex="0" * 64, data=b"x"))

    assert refused.value.status is Status.INVALID_ARGUMENT


def test_a_blob_with_another_hash_than_announced_is_refused(ask: Ask) -> None:
    created = ask("BlobCreate", pb.BlobCreateRequest(content_sha256_base64="wrong", content_length=1))

    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(urllib.request.Request(created.upload_urls.items[0], b"x", method="PUT"))


def test_a_secret_that_lacks_a_required_key_is_refused(ask: Ask) -> None:
    creation = pb.OBJECT_CREATION_TYPE_CREATE_IF_MISSING
    ask(
        "SecretGetOrCreate",
        pb.SecretGetOrCreateRequest(deployment_name="s", object_creation_type=creation, env_dict={"A": "1"}),
    )

    with pytest.raises(GRPCError, match="lacks the key 'HF_TOKEN'"):
        ask("SecretGetOrCreate", pb.SecretGetOrCreateRequest(deployment_name="s", required_keys=["HF_TOKEN"]))
