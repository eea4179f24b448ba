"""A training that takes seconds on Modal, and what its caller is told and keeps on record."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pipeline.compute.modal
from pipeline.compute.base import Compute, EarlierWork, Usage, WorkRecord
from pipeline.compute.driver import Caller, train
from pipeline.core.progress import OnProgress, ProgressEvent, ignore
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import PairTable
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Orders, Recipe

if TYPE_CHECKING:
    from pipeline.compute.modal.client import ModalCompute

UNIX_TIME = 1702914571
VOLUME = f"sentence-transformers-ft-{UNIX_TIME}"


@dataclass
class Training:
    """A small training, what its caller was told, and what its caller has on record."""

    base_model: ModelInfo
    train: PairTable
    dev: PairTable
    recipe: Recipe
    events: list[ProgressEvent] = field(default_factory=list)
    submitted: list[WorkRecord] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    on_record: dict[str, EarlierWork] = field(default_factory=dict)
    when_submitted: Callable[[], None] = lambda: None
    when_interrupted: Callable[[], None] = lambda: None

    def run(
        self,
        compute: Compute,
        on_progress: OnProgress = ignore,
        train_anew: bool = False,
        download_model: bool = False,
    ) -> FineTunedModel:
        """Train on a compute, as an asset would have it done."""

        def tell(event: ProgressEvent) -> None:
            self.events.append(event)
            on_progress(event)

        job = TrainingJob(self.train, self.dev, self.base_model, self.recipe)
        orders = Orders(train_anew=train_anew, download_model=download_model)
        return train(compute, job, RunIdentity("run", UNIX_TIME), tell, _Recorder(self), orders)


class _Recorder(Caller):
    """Keeps a training's records."""

    def __init__(self, training: Training) -> None:
        self._training = training

    def record(self, work: WorkRecord) -> None:
        self._training.submitted.append(work)
        self._training.on_record[work.fingerprint] = EarlierWork(work, is_used=False)
        self._training.when_submitted()

    def earlier(self, fingerprint: str) -> EarlierWork | None:
        return self._training.on_record.get(fingerprint)

    def wants_an_end(self) -> bool:
        self._training.when_interrupted()
        return True

    def took(self, usage: Usage) -> None:
        self._training.usages.append(usage)


def fresh_compute(monkeypatch: pytest.MonkeyPatch, runs_folder: Path) -> "ModalCompute":
    """A compute as a new process would make it."""
    for name in [name for name in sys.modules if name.startswith("pipeline.compute.modal.")]:
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr(pipeline.compute.modal, name.rpartition(".")[2], raising=False)
    from pipeline.compute.modal.client import ModalCompute

    return ModalCompute(runs_folder)
