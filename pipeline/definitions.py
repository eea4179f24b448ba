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
from pipeline.orchestration.executor import step_executor  # noqa: E402
from pipeline.orchestration.progress_logger import PROGRESS, progress_logger  # noqa: E402
from pipeline.orchestration.resources import default_resources  # noqa: E402

defs = dg.Definitions(
    assets=[
        *dg.load_assets_from_modules([dataset, model, reports, production]),
        publishing.publish_production_model,
        exporting.export_production_model,
        *mining.ASSETS,
    ],
    asset_checks=checks.CHECKS,
    jobs=[
        automation.quickstart,
        automation.retrain,
        automation.evaluate_only,
        publishing.publish_job,
        mining.mine_job,
        exporting.export_job,
        *upkeep.JOBS,
    ],
    schedules=[automation.weekly_retrain, *upkeep.SCHEDULES],
    sensors=[
        automation.new_question_pairs,
        automation.reports_follow,
        mining.mine_after_promotion,
        exporting.export_after_promotion,
        *notifications.SENSORS,
        *upkeep.SENSORS,
    ],
    resources=default_resources(),
    executor=step_executor,
    loggers={"console": dg.colored_console_logger, PROGRESS: progress_logger},
)
