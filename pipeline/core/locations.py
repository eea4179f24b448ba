"""Locations of models: a local folder, or `<scheme>://<container>/<path>` in the storage of a compute backend.

A compute backend registers its scheme, so that errors about a location can name the backend to choose.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

_WAYS_OUT: dict[str, str] = {}


@dataclass(frozen=True)
class RemoteLocation:
    """A location that is not on this machine.

    Attributes:
        scheme: of the compute backend.
        container: the name of a Volume, for example.
        path: in the container.
    """

    scheme: str
    container: str
    path: PurePosixPath

    @property
    def way_out(self) -> str:
        """How to reach it, for an error."""
        return _WAYS_OUT.get(self.scheme, f"no compute of this project knows {self.scheme}://")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.container}" + (f"/{self.path}" if self.path.parts else "")


def register_scheme(scheme: str, way_out: str) -> None:
    """Register locations `<scheme>://…`; `way_out` completes an error with how to reach one."""
    _WAYS_OUT[scheme] = way_out


def remote_location(location: str) -> RemoteLocation | None:
    """The parts of a remote location; None for a local folder or a hub id."""
    scheme, separator, rest = location.partition("://")
    if not separator:
        return None
    container, _, path = rest.partition("/")
    return RemoteLocation(scheme, container, PurePosixPath(path))
