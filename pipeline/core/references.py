"""Small typed values that travel between assets: where pairs came from, a model, a fine-tuned model."""

from abc import ABC, abstractmethod
from pathlib import PurePosixPath
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


class Interval(BaseModel):
    """A figure with its 95 % interval.

    Attributes:
        estimate: on the data as they are.
        low, high: between which 95 % of the resampled figures lie.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.4f} ({self.low:.4f} to {self.high:.4f})"

    @property
    def signed(self) -> str:
        """For a difference."""
        return f"{self.estimate:+.4f} ({self.low:+.4f} to {self.high:+.4f})"


class ModelReference(Reference):
    """A sentence-embedding model: what it is called, where it lies, and what it holds.

    Attributes:
        kind: `bundled` (in an installed package), `folder`, `hub`, or `fine_tuned` (a folder that we made).
        name: what people call it; for the hub its id.
        location: the folder on this machine, the hub id, or for a model in a Modal Volume
            `modal-volume://<Volume>/<model folder>`.
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


class DevEvaluation(BaseModel):
    """The model in training, measured on the dev split.

    Attributes:
        epoch: passes over the training pairs so far, such as 1.5.
        step: optimiser steps so far.
        average_precision: by cosine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: float
    step: int
    average_precision: float


class Cost(BaseModel):
    """What remote work is estimated to have cost, its GPU alone.

    Attributes:
        amount: in `currency`.
        prices_as_of: date of the price table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: float
    currency: str
    prices_as_of: str

    def __str__(self) -> str:
        return f"{self.amount:,.2f} {self.currency}"


class FineTunedModel(Reference):
    """A sealed training result.

    Attributes:
        model: the fine-tuned model inside the run folder.
        base_model: what it was trained from.
        run_folder: `sentence-transformers-ft-<UNIX_TIMESTAMP>`, as an absolute path, or `modal-volume://<Volume>`.
        recipe: every knob of the training.
        train_version: data version of `train_split`.
        dev_version: data version of `dev_split`.
        origin: where the training pairs came from.
        train_pairs: rows trained on in each epoch.
        pair_visits: rows trained on in all.
        steps: optimiser steps taken.
        kept_step: the step whose weights the model has: the best on the dev split, or the last.
        seconds: wall-clock time of the training, evaluation on the dev split included, since its last resumption.
        device: what it ran on, such as `cpu (2 threads)` or `cuda (NVIDIA H100)`.
        precision: `fp32`, or `bf16` (autocast).
        layout: `packed` (no padding), or `padded`, with the reason.
        token_budget: most tokens of a forward pass.
        truncated_questions: distinct training questions that were cut to the model's limit.
        dev_evaluations: in order; empty without a dev split.
        losses: (step, mean training loss since the step before), as logged.
        cost: of a remote training; None where nobody bills it, or no price is known.
    """

    model: ModelReference
    base_model: ModelReference
    run_folder: str
    recipe: dict[str, Any]
    train_version: str
    dev_version: str
    origin: DataOrigin
    train_pairs: int
    pair_visits: int
    steps: int
    kept_step: int
    seconds: float
    device: str
    precision: str
    layout: str
    token_budget: int
    truncated_questions: int
    dev_evaluations: list[DevEvaluation]
    losses: list[tuple[int, float]]
    cost: Cost | None = None

    @property
    def data_version(self) -> str:
        """Hash of the model's files: the same weights give the same version."""
        return self.model.version

    def at(self, run_folder: str) -> "FineTunedModel":
        """The same result in a run folder that lies elsewhere: copied, downloaded, or seen from another machine."""
        location = f"{run_folder}/{self.model.name}"
        return self.model_copy(
            update={"run_folder": run_folder, "model": self.model.model_copy(update={"location": location})}
        )


VOLUME_SCHEME = "modal-volume://"
"""What a location in a Modal Volume begins with."""


def volume_location(volume: str) -> str:
    """The location of a Modal Volume's root."""
    return f"{VOLUME_SCHEME}{volume}"


def in_volume(location: str) -> tuple[str, PurePosixPath] | None:
    """The Volume of a location, and the path in it; None for a location that is in none."""
    if not location.startswith(VOLUME_SCHEME):
        return None
    volume, _, path = location.removeprefix(VOLUME_SCHEME).partition("/")
    return volume, PurePosixPath(path)
