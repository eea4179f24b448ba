"""Train and evaluate in this process, on this machine's CPU or GPU, and manage the run folders on its disk.

Torch is imported where work begins, so that steps which only verify or add files start quickly.
"""

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import numpy as np

from pipeline.compute.base import Backend, Compute, MeasuringJob, Pruning, TrainingFiles, Usage, Work, WorkRecord
from pipeline.compute.driver import interrupts_let_through
from pipeline.core.files import add_to_folder
from pipeline.core.locks import held_alone
from pipeline.core.progress import OnProgress, ignore
from pipeline.evaluation.measurement import EvaluationOptions, Measurement
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.training import distributed
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.manifest import verify_model
from pipeline.training.run_folder import STEM, RunFolder

ResultT = TypeVar("ResultT")

_NAME = re.compile(rf"{re.escape(STEM)}-(\d+)")
_PRUNED = ".pruned-"
"""Prefix of a folder that is being deleted, so that it no longer looks like a training."""


class _InThisProcess(Work[ResultT], Generic[ResultT]):
    """Work that runs while it is followed, and ends with its caller."""

    def __init__(self, do: Callable[[OnProgress], ResultT]) -> None:
        self._do = do
        self._result: ResultT | None = None

    def follow(self, on_progress: OnProgress) -> Usage | None:
        with interrupts_let_through():
            self._result = self._do(on_progress)
        return None

    def cancel(self) -> None:
        """Do nothing: the interrupt has ended the work."""

    def collect(self) -> ResultT:
        if self._result is None:
            raise RuntimeError("work was collected before it was followed")
        return self._result


@dataclass(frozen=True)
class LocalCompute(Compute):
    """Trains and evaluates in this process.

    Attributes:
        runs_folder: parent of the run folders `sentence-transformers-ft-<UNIX_TIMESTAMP>`.
    """

    kind: ClassVar[str] = "local"

    runs_folder: Path

    def start_training(
        self, job: TrainingJob, run: RunIdentity, earlier: WorkRecord | None = None
    ) -> Work[FineTunedModel]:
        """See `Compute.start_training`. A retry of the run finds the folder of the same training again."""
        from pipeline.models.loading import resolve_device
        from pipeline.training.fine_tune import fine_tune

        distributed.join(resolve_device(job.recipe.device))
        folder = distributed.from_main(lambda: RunFolder.claim(self.runs_folder, run, job.fingerprint))

        def do(on_progress: OnProgress) -> FineTunedModel:
            with ExitStack() as stack:
                # Two simultaneous re-executions of a run find the same folder.
                distributed.from_main(lambda: stack.enter_context(held_alone(folder.path, "trains in")))
                return fine_tune(job, folder, on_progress)

        return _InThisProcess(do)

    def start_measuring(self, job: MeasuringJob) -> Work[Measurement]:
        """See `Compute.start_measuring`."""

        def do(on_progress: OnProgress) -> Measurement:
            from pipeline.evaluation.measure import measure
            from pipeline.models.loading import load_model, quiet_libraries, resolve_device

            quiet_libraries()
            model = load_model(job.model, resolve_device(job.options.device))
            stage = f"evaluating {job.model.name}"
            return measure(model, job.eval_split, job.dev_split, job.options, on_progress, stage)

        return _InThisProcess(do)

    def add_files(self, model: FineTunedModel, files: Mapping[str, bytes], replace: bool = True) -> None:
        """See `Compute.add_files`."""
        add_to_folder(Path(model.run_folder), files, replace)

    def verify(self, model: FineTunedModel) -> None:
        """See `Compute.verify`."""
        verify_model(Path(model.run_folder), model.model.version)

    def download(self, model: FineTunedModel) -> FineTunedModel:
        """See `Compute.download`: the model is on this machine already, so only verify it."""
        self.verify(model)
        return model

    def embed(self, model: ModelInfo, questions: list[str]) -> np.ndarray:
        """See `Compute.embed`."""
        return next(self.embed_parts(model, [questions], ignore))

    def embed_parts(
        self, model: ModelInfo, parts: Sequence[list[str]], on_progress: OnProgress
    ) -> Iterator[np.ndarray]:
        """See `Compute.embed_parts`; loads the model once."""
        if not parts:
            return
        from pipeline.models.encoding import embed_questions
        from pipeline.models.loading import load_model, quiet_libraries, resolve_device

        quiet_libraries()
        loaded, budget = load_model(model, resolve_device("auto")), EvaluationOptions().token_budget
        for part in parts:
            yield embed_questions(loaded, part, budget, on_progress)


# --- run folders ------------------------------------------------------------------------------------------------


def trainings(runs_folder: Path) -> list[TrainingFiles]:
    """List every run folder. Links and folders of other names are ignored."""
    if not runs_folder.is_dir():
        return []
    found = [path for path in runs_folder.iterdir() if _NAME.fullmatch(path.name)]
    return [_files(RunFolder(path)) for path in found if path.is_dir() and not path.is_symlink()]


def _files(run: RunFolder) -> TrainingFiles:
    checkpoints, _ = _size_and_time(run.checkpoints)
    size, touched = _size_and_time(run.path)
    number = _NAME.fullmatch(run.path.name)
    assert number is not None
    created = _utc(min(int(number[1]), touched))
    return TrainingFiles(run.path.name, created, _utc(touched), run.manifest.is_file, size, checkpoints)


def _size_and_time(folder: Path) -> tuple[int, float]:
    """The total bytes of all files below a folder, and when the newest was written, in seconds since 1970."""
    size, newest = 0, 0.0
    for path in (folder, *folder.rglob("*")):
        try:
            status = path.lstat()
        except FileNotFoundError:
            # The folder doesn't exist, or a running training has just deleted a checkpoint.
            continue
        newest = max(newest, status.st_mtime)
        size += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return size, newest


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def delete(runs_folder: Path, name: str) -> None:
    """Delete a run folder for good.

    Raises:
        ValueError: when the name isn't a training's.
    """
    _remove(_checked(runs_folder, name), runs_folder)


def delete_checkpoints(runs_folder: Path, name: str) -> None:
    """Delete the checkpoints of a finished training for good.

    Raises:
        ValueError: when the name isn't a training's, or the training is unfinished and needs them to resume.
    """
    run = RunFolder(_checked(runs_folder, name))
    if not run.manifest.is_file():
        raise ValueError(f"the training in {run.path} is not finished, so its checkpoints are kept")
    if run.checkpoints.is_dir() and not run.checkpoints.is_symlink():
        _remove(run.checkpoints, runs_folder)


def _checked(runs_folder: Path, name: str) -> Path:
    path = runs_folder / name
    if not _NAME.fullmatch(name) or path.is_symlink():
        raise ValueError(f"{name!r} is not the run folder of a training")
    return path


def _remove(folder: Path, runs_folder: Path) -> None:
    doomed = runs_folder / f"{_PRUNED}{folder.parent.name}-{folder.name}-{os.getpid()}"
    folder.rename(doomed)
    shutil.rmtree(doomed)


BACKEND = Backend(
    kind="local",
    title="this machine",
    create=LocalCompute,
    preload=("pipeline.training.fine_tune", "pipeline.evaluation.measure"),
    pruning=Pruning(
        job="prune",
        op="prune_home",
        schedule="weekly_prune_home",
        what="run folders of old trainings on this machine, checkpoints of finished ones, and old values of assets",
        trainings=trainings,
        delete=delete,
        delete_checkpoints=delete_checkpoints,
    ),
)
