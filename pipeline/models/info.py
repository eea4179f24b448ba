"""Which sentence-embedding model is meant: a small value that travels in place of the weights."""

from typing import ClassVar, Literal

from pipeline.core.values import StoredValue

CARD_FILES = ("README.md",)
"""Files of a model folder that don't make the model: its card is completed when results are known."""


class ModelInfo(StoredValue):
    """A sentence-embedding model: what it is called, where it lies, and what it holds.

    Attributes:
        kind: `bundled` (in an installed package), `folder`, `hub`, or `fine_tuned` (a folder that we made).
        name: what people call it; for the hub its id.
        location: the folder on this machine, the hub id, or `<scheme>://…` for a model that lies where a compute keeps
            it (see `pipeline.core.locations`).
        revision: the hub commit; None elsewhere.
        version: the commit of a hub model, else the hash of the model's files.
    """

    stored_name: ClassVar[str] = "ModelReference"

    kind: Literal["bundled", "folder", "hub", "fine_tuned"]
    name: str
    location: str
    revision: str | None = None
    version: str

    @property
    def data_version(self) -> str:
        """The commit of a hub model, else the hash of the model's files."""
        return self.version
