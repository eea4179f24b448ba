"""What this machine says of itself as a place to compute."""

from pathlib import Path

from pipeline.compute.backend import Backend, Pruning, TrainingFiles
from pipeline.compute.base import Compute
from pipeline.compute.local.compute import LocalCompute


def _create(runs_folder: Path) -> Compute:
    return LocalCompute(runs_folder)


def _trainings(runs_folder: Path) -> list[TrainingFiles]:
    from pipeline.compute.local.run_folders import trainings

    return trainings(runs_folder)


def _delete(runs_folder: Path, name: str) -> None:
    from pipeline.compute.local.run_folders import delete

    delete(runs_folder, name)


def _delete_checkpoints(runs_folder: Path, name: str) -> None:
    from pipeline.compute.local.run_folders import delete_checkpoints

    delete_checkpoints(runs_folder, name)


BACKEND = Backend(
    kind="local",
    title="this machine",
    create=_create,
    preload=("pipeline.training.fine_tune", "pipeline.evaluation.measure"),
    pruning=Pruning(
        job="prune",
        op="prune_home",
        schedule="weekly_prune_home",
        what="run folders of old trainings on this machine, checkpoints of finished ones, and old values of assets",
        trainings=_trainings,
        delete=_delete,
        delete_checkpoints=_delete_checkpoints,
    ),
)
