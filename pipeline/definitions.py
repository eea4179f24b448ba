"""The door: assembles what Dagster loads, and nothing else."""

import dagster as dg

from pipeline.orchestration import automation, checks, upkeep
from pipeline.orchestration.assets import dataset, model, production, publishing, reports
from pipeline.orchestration.resources import default_resources

defs = dg.Definitions(
    assets=[*dg.load_assets_from_modules([dataset, model, reports, production]), publishing.published_model],
    asset_checks=checks.CHECKS,
    jobs=[
        automation.quickstart,
        automation.retrain,
        automation.evaluate_only,
        publishing.publish_job,
        upkeep.prune_training_volumes,
    ],
    schedules=[automation.weekly_retrain, upkeep.weekly_prune],
    sensors=[automation.new_question_pairs, automation.reports_follow, upkeep.end_calls_of_cancelled_runs],
    resources=default_resources(),
    # One step at a time: baseline and training would fight over the same cores or the same GPU. A process for
    # each step, so that a step's memory is given back and its death doesn't take the run with it.
    executor=dg.multiprocess_executor.configured({"max_concurrent": 1}),
)
