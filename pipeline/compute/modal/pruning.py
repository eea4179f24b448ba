"""Which Volumes of training runs may go: they cost money for as long as they are there."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import modal

from pipeline.compute.backend import PruneDecision
from pipeline.compute.modal.errors import one_line_modal_errors
from pipeline.compute.modal.volumes import RUN_VOLUME

UNFINISHED_FOR = timedelta(days=7)
"""A Volume without a manifest may be in training, or be resumed, for so long."""


def decide(live: Collection[str], keep: int) -> list[PruneDecision]:
    """Look at every training run's Volume, newest first; nothing is deleted.

    Args:
        live: Volumes that something still points to.
        keep: how many of the newest stay in any case.
    """
    with one_line_modal_errors("listing Volumes on Modal"):
        found = [volume for volume in modal.Volume.objects.list() if volume.name and RUN_VOLUME.fullmatch(volume.name)]
        dated = sorted(((volume.info().created_at, volume.name or "") for volume in found), reverse=True)
        return [
            PruneDecision(name, created, _reason(name, created, rank, live, keep))
            for rank, (created, name) in enumerate(dated)
        ]


def _reason(name: str, created: datetime, rank: int, live: Collection[str], keep: int) -> str | None:
    if name in live:
        return "a current value points to it"
    if rank < keep:
        return f"one of the newest {keep}"
    if datetime.now(UTC) - created < UNFINISHED_FOR and not _is_finished(name):
        return "its training is not finished"
    return None


def _is_finished(name: str) -> bool:
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
