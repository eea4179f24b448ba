"""What Modal says of itself as a place to compute, without importing its client."""

from pathlib import Path

from pipeline.compute.backend import Backend, Pruning, TrainingFiles
from pipeline.compute.base import Compute
from pipeline.compute.modal.settings import KIND, SCHEME, VARIABLES, ModalSettings


def _create(runs_folder: Path) -> Compute:
    # Imports modal and torch, which the definitions must not.
    from pipeline.compute.modal.compute import ModalCompute

    return ModalCompute(runs_folder)


def _check() -> None:
    ModalSettings.from_environment()


def _cancel(call_id: str) -> None:
    from pipeline.compute.modal.calls import cancel

    cancel(call_id)


def _trainings(runs_folder: Path) -> list[TrainingFiles]:
    from pipeline.compute.modal.pruning import trainings

    return trainings()


def _delete(runs_folder: Path, volume: str) -> None:
    from pipeline.compute.modal.pruning import delete

    delete(volume)


BACKEND = Backend(
    kind=KIND,
    title="Modal",
    create=_create,
    check=_check,
    variables=VARIABLES,
    asset_kinds=frozenset({"modal"}),
    scheme=SCHEME,
    place_name="volume",
    cancel=_cancel,
    pruning=Pruning(
        job="prune_training_volumes",
        op="prune_volumes",
        schedule="weekly_prune",
        what="Volumes of old training runs on Modal",
        trainings=_trainings,
        delete=_delete,
    ),
)
