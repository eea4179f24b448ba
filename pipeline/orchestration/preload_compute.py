"""What the server of the steps imports where a run trains or evaluates: torch, if this machine is where it is done."""

from pipeline.compute.choice import backend
from pipeline.orchestration.preload import preload
from pipeline.settings import environment

preload(
    (
        *backend(environment.compute_kind()).preload,
        "pipeline.reporting.ranking",
        "pipeline.reporting.result_files",
        "pipeline.workflow",
    )
)
