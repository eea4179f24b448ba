"""What all groups of RPCs share: the state, the scheduler, and who is asking."""

from modal_proto import api_pb2 as pb

from .containers import Container
from .refusals import wrong_state
from .scheduler import Scheduler
from .state import World


class Rpcs:
    """Base of the groups of RPCs. A method bears its RPC's name in snake case, takes the request and returns the reply.

    Args:
        world: the state.
        scheduler: what starts and ends containers.
        sender: the container that asks; None if it is a client.
    """

    def __init__(self, world: World, scheduler: Scheduler, sender: Container | None = None) -> None:
        self._world = world
        self._scheduler = scheduler
        self._sender = sender

    @property
    def _url(self) -> str:
        """Where the sender finds blobs and blocks."""
        return self._world.container_url if self._sender else self._world.client_url

    def _sending_container(self) -> Container:
        if self._sender is None:
            raise wrong_state("only a container may ask for this")
        return self._sender


def is_creation(creation_type: "pb.ObjectCreationType.ValueType") -> bool:
    """Say whether a request for a named object may make it."""
    return creation_type != pb.OBJECT_CREATION_TYPE_UNSPECIFIED
