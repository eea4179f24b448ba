"""Jobs and schedules: what runs the assets without a person choosing them."""

import dagster as dg

from pipeline.config_files import load_settings, project_config

_EVERYTHING = dg.AssetSelection.all()

quickstart = dg.define_asset_job(
    "quickstart",
    selection=_EVERYTHING,
    config=load_settings(project_config("quickstart")).run_config(),
    description="The whole pipeline on the bundled sample, with the bundled model: minutes on a laptop's CPU.",
)

retrain = dg.define_asset_job(
    "retrain",
    selection=_EVERYTHING,
    config=load_settings(project_config("best")).run_config(),
    description="The whole pipeline on real question pairs, with the recipe of configs/best.yaml.",
)

weekly_retrain = dg.ScheduleDefinition(
    name="weekly_retrain",
    target=retrain,
    # Sunday night: done before the week begins.
    cron_schedule="0 3 * * 0",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Retrains every Sunday at 3:00 UTC. Off until someone switches it on.",
)
