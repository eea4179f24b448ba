"""What this machine says of itself as a place to compute."""

from pathlib import Path

from pipeline.compute.backend import Backend
from pipeline.compute.base import Compute
from pipeline.compute.local.compute import LocalCompute


def _create(runs_folder: Path) -> Compute:
    return LocalCompute(runs_folder)


BACKEND = Backend(
    kind="local",
    title="this machine",
    create=_create,
    preload=("pipeline.training.fine_tune", "pipeline.evaluation.measure"),
)
