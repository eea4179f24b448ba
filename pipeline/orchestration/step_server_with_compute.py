"""Imported by the server of the steps, after `step_server`, if the run trains or evaluates: torch, if it runs here."""

from pipeline.compute.choice import backend
from pipeline.orchestration.step_server import preload
from pipeline.settings import environment

preload(
    (
        *backend(environment.compute_kind()).preload,
        "pipeline.reporting.ranking",
        "pipeline.reporting.result_files",
        "pipeline.workflow",
    )
)
