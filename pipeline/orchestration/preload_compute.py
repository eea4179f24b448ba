"""What the server of the steps imports where a run trains or evaluates: torch, and all that stands on it."""

from pipeline.orchestration.preload import preload

preload(
    (
        "pipeline.compute.local.compute",
        "pipeline.reporting.ranking",
        "pipeline.reporting.result_files",
        "pipeline.workflow",
    )
)
