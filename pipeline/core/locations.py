"""Where a model lies: a folder on this machine, or a place that a compute keeps, named `<scheme>://<container>/<path>`.

A compute registers its scheme, so that whoever meets a location of it can say which compute to choose.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

_WAYS_OUT: dict[str, str] = {}


@dataclass(frozen=True)
class RemoteLocation:
    """A location that is not on this machine.

    Attributes:
        scheme: of the compute that keeps it.
        container: such as the name of a Volume.
        path: in the container.
    """

    scheme: str
    container: str
    path: PurePosixPath

    @property
    def way_out(self) -> str:
        """What a person does to reach it."""
        return _WAYS_OUT.get(self.scheme, f"no compute of this project knows {self.scheme}://")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.container}" + (f"/{self.path}" if self.path.parts else "")


def register_scheme(scheme: str, way_out: str) -> None:
    """Let locations `<scheme>://…` be known; `way_out` says what a person does to reach one, in half a sentence."""
    _WAYS_OUT[scheme] = way_out


def remote_location(location: str) -> RemoteLocation | None:
    """The place that a location names; None for a folder on this machine, or a hub id."""
    scheme, separator, rest = location.partition("://")
    if not separator:
        return None
    container, _, path = rest.partition("/")
    return RemoteLocation(scheme, container, PurePosixPath(path))
