"""What another process says of itself as a place to compute."""

from pathlib import Path

from other_process.processes import KIND, cancel
from pipeline.compute.base import Backend, Compute


def create(runs_folder: Path) -> Compute:
    """Make the compute; imports torch, which the definitions must not."""
    from other_process.compute import ProcessCompute

    return ProcessCompute(runs_folder)


BACKEND = Backend(
    kind=KIND,
    title="process",
    create=create,
    asset_kinds=frozenset({"python"}),
    place_name="folder",
    cancel=cancel,
)
