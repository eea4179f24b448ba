"""What Dagster loads: assembles assets, checks, jobs, schedules, sensors and resources, and nothing else."""

import gc

import dagster as dg

# Dagster and pandas stay for as long as the process does. A garbage collection that falls into the loading of the
# definitions would look through all of them, which takes as long as loading the definitions itself.
gc.freeze()

from pipeline.orchestration import automation, checks, notifications, upkeep  # noqa: E402
from pipeline.orchestration.assets import (  # noqa: E402
    dataset,
    exporting,
    mining,
    model,
    production,
    publishing,
    reports,
)
from pipeline.orchestration.execution import PROGRESS, progress_logger, step_executor  # noqa: E402
from pipeline.orchestration.resources import default_resources  # noqa: E402

defs = dg.Definitions(
    assets=[
        *dg.load_assets_from_modules([dataset, model, reports, production]),
        publishing.publish_production_model,
        exporting.export_production_model,
        *mining.ASSETS,
    ],
    asset_checks=checks.CHECKS,
    jobs=[*automation.JOBS, *upkeep.JOBS],
    schedules=[*automation.SCHEDULES, *upkeep.SCHEDULES],
    sensors=[*automation.SENSORS, *notifications.SENSORS, *upkeep.SENSORS],
    resources=default_resources(),
    executor=step_executor,
    loggers={"console": dg.colored_console_logger, PROGRESS: progress_logger},
)
