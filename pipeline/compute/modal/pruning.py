"""The Volumes of training runs: they cost money for as long as they are there."""

from functools import partial

import modal

from pipeline.compute.backend import TrainingFiles
from pipeline.compute.modal.errors import one_line_modal_errors
from pipeline.compute.modal.volumes import RUN_VOLUME


def trainings() -> list[TrainingFiles]:
    """Every training run's Volume."""
    with one_line_modal_errors("listing Volumes on Modal"):
        found = [volume for volume in modal.Volume.objects.list() if volume.name and RUN_VOLUME.fullmatch(volume.name)]
        return [
            TrainingFiles(volume.name or "", created, created, partial(_is_finished, volume.name or ""))
            for volume in found
            for created in [volume.info().created_at]
        ]


def _is_finished(name: str) -> bool:
    with one_line_modal_errors(f"looking into the Volume {name}"):
        return any(entry.path.lstrip("/") == "manifest.json" for entry in modal.Volume.from_name(name).listdir("/"))


def delete(name: str) -> None:
    """Delete a training run's Volume, for good.

    Raises:
        ValueError: for a Volume that is no training run's.
    """
    if not RUN_VOLUME.fullmatch(name):
        raise ValueError(f"{name!r} is not the Volume of a training run")
    with one_line_modal_errors(f"deleting the Volume {name}"):
        modal.Volume.objects.delete(name)
