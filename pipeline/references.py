"""Small typed values that travel between assets: where pairs came from, a model, a fine-tuned model."""

from abc import ABC, abstractmethod
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Reference(BaseModel, ABC):
    """A frozen value that is stored as JSON and has a version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    @abstractmethod
    def data_version(self) -> str:
        """Content hash of what the value stands for, whatever machine made it."""


class DataOrigin(BaseModel):
    """Where question pairs came from; every split, model and report says it.

    Attributes:
        source: a name that a person recognises, such as a file's name.
        synthetic: true for generated pairs. Synthetic and real results are never compared.
        dataset_version: data version of the whole dataset that the rows were taken from.
        revision: commit of a hub dataset; None elsewhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    synthetic: bool
    dataset_version: str | None = None
    revision: str | None = None


class ModelReference(Reference):
    """A sentence-embedding model: what it is called, where it lies, and what it holds.

    Attributes:
        kind: `bundled` (in an installed package), `folder`, `hub`, or `fine_tuned` (a folder that we made).
        name: what people call it; for the hub its id.
        location: the folder on this machine, or the hub id.
        revision: the hub commit; None elsewhere.
        version: the commit of a hub model, else the hash of the model's files.
    """

    kind: Literal["bundled", "folder", "hub", "fine_tuned"]
    name: str
    location: str
    revision: str | None = None
    version: str

    @property
    def data_version(self) -> str:
        """The commit of a hub model, else the hash of the model's files."""
        return self.version


class FineTunedModel(Reference):
    """A sealed training result.

    Attributes:
        model: the fine-tuned model inside the run folder.
        base_model: what it was trained from.
        run_folder: `sentence-transformers-ft-<UNIX_TIMESTAMP>`, as an absolute path.
        recipe: every knob of the training.
        train_version: data version of `train_split`.
        dev_version: data version of `dev_split`.
        origin: where the training pairs came from.
        train_pairs: rows trained on in each epoch.
        steps: optimiser steps taken.
        seconds: wall-clock time of the training, evaluation on the dev split included.
        device: what it ran on, such as `cpu` or `cuda (NVIDIA H100)`.
        dev_average_precision: cosine average precision on `dev_split` after each epoch; empty without one.
        losses: (step, mean training loss since the step before), as logged.
    """

    model: ModelReference
    base_model: ModelReference
    run_folder: str
    recipe: dict[str, Any]
    train_version: str
    dev_version: str
    origin: DataOrigin
    train_pairs: int
    steps: int
    seconds: float
    device: str
    dev_average_precision: list[float]
    losses: list[tuple[int, float]]

    @property
    def data_version(self) -> str:
        """Hash of the model's files: the same weights give the same version."""
        return self.model.version
