"""The result of a training, as a value."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pipeline.core.values import Cost, FrozenModel, StoredValue, Upgrade
from pipeline.models.decision import Decision
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import DataOrigin

REMOVED_KNOBS: Mapping[str, Any] = {
    "architecture": "bi_encoder",
    "learn_from": "gold",
    "closure_cluster": 0,
    "closure_others": 1,
    "swap_pairs": False,
    "vector_epochs": 0,
    "vector_learning_rate": None,
}
"""Knobs that recipes of earlier releases had, each with the value that changed nothing."""


class DevEvaluation(FrozenModel):
    """The model in training, measured on the dev split.

    Attributes:
        epoch: passes over the training pairs so far, such as 1.5.
        step: optimiser steps so far.
        average_precision: by cosine.
    """

    epoch: float
    step: int
    average_precision: float


def _without_tables_of_a_teacher(fields: dict[str, Any]) -> dict[str, Any]:
    """Earlier releases trained on a teacher's scores and vectors that were stored. The recipe says so too."""
    kept = {name: value for name, value in fields.items() if name not in ("scored_version", "vectors_version")}
    return {**kept, "teacher_version": None}


class FineTunedModel(StoredValue):
    """A fine-tuned model in a finished run folder, and how it was made.

    Attributes:
        model: the fine-tuned model inside the run folder. Earlier releases trained cross-encoders too, whose recipe has
            `architecture: cross_encoder`.
        base_model: what it was trained from.
        run_folder: `sentence-transformers-ft-<UNIX_TIMESTAMP>`: an absolute path, or where a compute keeps it.
        recipe: every knob of the training, by the names that they had when it was trained.
        train_version: data version of the training split.
        dev_version: data version of the dev split.
        teacher_version: data version of the teacher whose vectors it has learned from too; None without a teacher.
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
        decision: the minimum cosine of duplicates and their probability, as in `decision.json` next to the
            weights. None without a dev split of both classes, and of trainings before there was one.
    """

    stored_name: ClassVar[str] = "FineTunedModel"
    schema_number: ClassVar[int] = 5
    upgrades: ClassVar[Mapping[int, Upgrade]] = {
        1: lambda fields: {**fields, "decision": None},
        2: lambda fields: {**fields, "scored_version": None},
        3: lambda fields: {**fields, "vectors_version": None},
        4: _without_tables_of_a_teacher,
    }

    model: ModelInfo
    base_model: ModelInfo
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
    decision: Decision | None = None
    teacher_version: str | None = None

    @property
    def data_version(self) -> str:
        """Hash of the model's files: the same weights give the same version."""
        return self.model.version

    def at(self, run_folder: str) -> "FineTunedModel":
        """The same result in a run folder elsewhere: copied, downloaded, or seen from another machine."""
        location = f"{run_folder}/{self.model.name}"
        return self.model_copy(
            update={"run_folder": run_folder, "model": self.model.model_copy(update={"location": location})}
        )
