"""A training that takes seconds on Modal, and what its caller is told and keeps on record."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pipeline.compute.modal
from pipeline.compute.base import EarlierCall, RemoteCall, RemoteHooks, RemoteUsage, RunIdentity
from pipeline.compute.local import LocalCompute
from pipeline.core.progress import OnProgress, ProgressEvent, ignore
from pipeline.core.references import FineTunedModel, ModelReference
from pipeline.question_pairs.schema import PairTable
from pipeline.training.recipe import Recipe

if TYPE_CHECKING:
    from pipeline.compute.modal.client import ModalCompute

UNIX_TIME = 1702914571
VOLUME = f"sentence-transformers-ft-{UNIX_TIME}"


@dataclass
class Training:
    """A small training, what its caller was told, and what its caller has on record."""

    base_model: ModelReference
    train: PairTable
    dev: PairTable
    recipe: Recipe
    events: list[ProgressEvent] = field(default_factory=list)
    submitted: list[RemoteCall] = field(default_factory=list)
    usages: list[RemoteUsage] = field(default_factory=list)
    on_record: dict[str, EarlierCall] = field(default_factory=dict)
    when_submitted: Callable[[], None] = lambda: None
    when_interrupted: Callable[[], None] = lambda: None

    def run(
        self,
        compute: "ModalCompute | LocalCompute",
        on_progress: OnProgress = ignore,
        train_anew: bool = False,
        download_model: bool = False,
    ) -> FineTunedModel:
        """Train on a compute, as an asset would have it done."""

        def tell(event: ProgressEvent) -> None:
            self.events.append(event)
            on_progress(event)

        def record(call: RemoteCall) -> None:
            self.submitted.append(call)
            self.on_record[call.fingerprint] = EarlierCall(call, is_used=False)
            self.when_submitted()

        def is_cancelled() -> bool:
            self.when_interrupted()
            return True

        hooks = RemoteHooks(
            on_submitted=record,
            find_call=self.on_record.get,
            is_cancelled=is_cancelled,
            on_usage=self.usages.append,
            train_anew=train_anew,
            download_model=download_model,
        )
        return compute.fine_tune(
            self.train, self.dev, self.base_model, self.recipe, RunIdentity("run", UNIX_TIME), tell, hooks
        )


def fresh_compute(monkeypatch: pytest.MonkeyPatch, runs_folder: Path) -> "ModalCompute":
    """A compute as a new process would make it."""
    for name in [name for name in sys.modules if name.startswith("pipeline.compute.modal.")]:
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr(pipeline.compute.modal, name.rpartition(".")[2], raising=False)
    from pipeline.compute.modal.client import ModalCompute

    return ModalCompute(runs_folder)
