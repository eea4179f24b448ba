"""Modal's control plane: finds the method of each RPC, checks the token, and writes down what was asked."""

import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from google.protobuf.message import Message
from grpclib import GRPCError, Status
from grpclib.const import Cardinality, Handler
from grpclib.exceptions import StreamTerminatedError
from grpclib.server import Stream
from modal_proto.api_grpc import ModalClientBase

from .app_rpcs import AppRpcs, SessionRpcs
from .function_rpcs import CallRpcs, FunctionRpcs
from .image_rpcs import ImageRpcs
from .refusals import unimplemented
from .volume_rpcs import VolumeRpcs

_Stream = Stream[Message, Message]


class _NoMethods:
    """Stands where the protocol's table of RPCs looks for their methods."""

    def __getattr__(self, name: str) -> None:
        return None


def _rpcs() -> dict[str, Handler]:
    return ModalClientBase.__mapping__(cast("ModalClientBase", _NoMethods()))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


REQUEST_TYPES: dict[str, type[Message]] = {_name(path): rpc.request_type for path, rpc in _rpcs().items()}


def method_name(rpc: str) -> str:
    """Write an RPC's name in snake case: `VolumePutFiles2` is `volume_put_files2`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", rpc).lower()


class ControlPlane(SessionRpcs, AppRpcs, ImageRpcs, FunctionRpcs, CallRpcs, VolumeRpcs):
    """Serves clients, or one container if it is made with a sender.

    An RPC without a method here is refused as `UNIMPLEMENTED`, by name, and noted: the fixture fails the test for it.
    """

    def __mapping__(self) -> Mapping[str, Handler]:
        return {
            path: Handler(partial(self._serve, _name(path), rpc.cardinality), *rpc[1:]) for path, rpc in _rpcs().items()
        }

    async def _serve(self, rpc: str, cardinality: Cardinality, stream: _Stream) -> None:
        with self._noting_failures(rpc):
            if self._sender is None:
                self._check_token(stream)
            method: Any = getattr(self, method_name(rpc), None)
            request = await stream.recv_message()
            if request is None:  # the client left before it had asked
                return
            if method is None:
                self._world.unimplemented.append(rpc)
                raise unimplemented(f"the RPC {rpc}")
            self._world.requests.setdefault(rpc, []).append(request)
            if cardinality is Cardinality.UNARY_STREAM:
                async for reply in method(request):
                    await stream.send_message(reply)
            else:
                await stream.send_message(await method(request))

    def _check_token(self, stream: _Stream) -> None:
        headers = dict(stream.metadata or ())
        brought = headers.get("x-modal-token-id"), headers.get("x-modal-token-secret")
        if self._world.are_tokens_rejected or brought != self._world.settings.token:
            raise GRPCError(Status.UNAUTHENTICATED, "Token missing. Could not authenticate client.")

    @contextmanager
    def _noting_failures(self, rpc: str) -> Iterator[None]:
        try:
            yield
        except GRPCError as refusal:
            is_noted = rpc in self._world.unimplemented
            if refusal.status is Status.UNIMPLEMENTED and refusal.message and not is_noted:
                self._world.unimplemented.append(refusal.message)
            raise
        except (StreamTerminatedError, ConnectionError):  # the client's doing, or the gate's
            raise
        except Exception:
            self._world.failures.append(f"{rpc}: {traceback.format_exc()}")
            raise
