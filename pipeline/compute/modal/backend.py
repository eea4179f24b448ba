"""Modal as a compute backend, described without importing its client."""

from pathlib import Path

from pipeline.compute.base import Backend, Compute, Pruning, TrainingFiles
from pipeline.compute.modal.settings import KIND, SCHEME, VARIABLES, ModalSettings


def _create(runs_folder: Path) -> Compute:
    # The definitions load without the modal package.
    from pipeline.compute.modal.client import ModalCompute

    return ModalCompute(runs_folder)


def _cancel(call_id: str) -> None:
    from pipeline.compute.modal.calls import cancel

    cancel(call_id)


def _trainings(runs_folder: Path) -> list[TrainingFiles]:
    from pipeline.compute.modal.volumes import trainings

    return trainings(runs_folder)


def _delete(runs_folder: Path, volume: str) -> None:
    from pipeline.compute.modal.volumes import delete

    delete(runs_folder, volume)


BACKEND = Backend(
    kind=KIND,
    title="Modal",
    create=_create,
    check=ModalSettings.from_environment,
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
