"""Jobs, the schedule and the sensors that run the assets. The schedule and the sensors are off until switched on."""

import time

import dagster as dg

from pipeline.core.errors import PipelineError, SettingError, excerpt, reason_of
from pipeline.core.values import Stored
from pipeline.duplicates.options import IndexOptions, MiningJobOptions, QuestionSource
from pipeline.exporting.options import ExportJobOptions
from pipeline.orchestration.assets import dataset, exporting, mining, model, production, publishing, reports
from pipeline.orchestration.assets.common import OWNERS
from pipeline.orchestration.step_config import run_config
from pipeline.orchestration.steps import PRODUCTION, load_settings, steps_of
from pipeline.question_pairs.options import PairSource
from pipeline.reporting.options import Publication
from pipeline.settings import environment
from pipeline.settings.run_config import project_config

# Not what is made on request, such as `exported_model`.
_EVERYTHING = dg.AssetSelection.groups(dataset.GROUP, model.GROUP, reports.GROUP) | dg.AssetSelection.assets(
    production.production_model
)
_REPORTS = dg.AssetSelection.groups(reports.GROUP)
_OWNER = {"owner": OWNERS[0]}
_CHECKED_EVERY = 60
"""Seconds between two checks of the source: a hash of its bytes, or one request to the hub."""

_LONGEST_CHECK = 40.0
"""Seconds. Dagster ends a tick after a minute, without saying what it waited for."""


_RETRAIN = load_settings(environment.retrain_config())

quickstart = dg.define_asset_job(
    "quickstart",
    selection=_EVERYTHING,
    config=load_settings(project_config("quickstart")).run_config(),
    description="The whole pipeline on the bundled sample, with the bundled model: minutes on a laptop's CPU.",
    tags={"purpose": "quickstart", **_OWNER},
)

retrain = dg.define_asset_job(
    "retrain",
    selection=_EVERYTHING,
    config=_RETRAIN.run_config(),
    description="The whole pipeline on real question pairs, with the recipe of configs/best.yaml or the file that "
    "PIPELINE_RETRAIN_CONFIG names.",
    tags={
        "purpose": "retrain",
        **_OWNER,
        # Where the run's own process is lost; the training goes on from its newest checkpoint. A step that fails is
        # not tried again, as it would fail again (`retry_on_asset_or_op_failure` in deploy/).
        "dagster/max_retries": "2",
        "dagster/retry_strategy": "FROM_FAILURE",
    },
)

evaluate_only = dg.define_asset_job(
    "evaluate_only",
    selection=_REPORTS,
    config=load_settings().run_config(
        steps_of(["baseline_eval_report", "post_train_eval_report", "model_leaderboard"])
    ),
    description="Measures the base model and the newest fine-tuned model again on the current eval pairs. Trains and "
    "promotes nothing.",
    tags={"purpose": "evaluate", **_OWNER},
)


mine = dg.define_asset_job(
    mining.JOB,
    selection=dg.AssetSelection.assets(*mining.ASSETS),
    config=run_config(
        {
            "read_questions": QuestionSource(),
            "mine_questions": MiningJobOptions(),
            "build_question_index": IndexOptions(),
        }
    ),
    description="Mines a corpus for duplicates with the model in production: its questions, their vectors, the pairs, "
    "an index.",
    tags={"purpose": mining.JOB, **_OWNER},
)

export = dg.define_asset_job(
    exporting.JOB,
    selection=dg.AssetSelection.assets(exporting.export_production_model),
    config=run_config({"export_production_model": ExportJobOptions()}),
    description="Exports the model in production as an ONNX graph, fp32 or int8, and compares the export with it.",
    tags={"purpose": exporting.JOB, **_OWNER},
)

publish = dg.define_asset_job(
    publishing.JOB,
    selection=dg.AssetSelection.assets(publishing.publish_production_model),
    config=run_config({"publish_production_model": Publication()}),
    description="Pushes the model in production to the Hugging Face hub, to a private repository unless told "
    "otherwise.",
    tags={"purpose": publishing.JOB, **_OWNER},
)


def _weekly(cron: str) -> dg.ScheduleDefinition:
    try:
        return dg.ScheduleDefinition(
            name="weekly_retrain",
            target=retrain,
            cron_schedule=cron,
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="Retrains every Sunday at 3:00 UTC, or when PIPELINE_RETRAIN_CRON says. Off until someone "
            "switches it on.",
        )
    except dg.DagsterInvalidDefinitionError:
        raise SettingError(
            f"PIPELINE_RETRAIN_CRON is {excerpt(cron)}, which is not a cron schedule: write five fields, such as "
            "'0 3 * * 0'",
            setting="PIPELINE_RETRAIN_CRON",
            value=cron,
        ) from None


# Sunday night: done before the week begins.
weekly_retrain = _weekly(environment.retrain_cron())


class Watch(Stored):
    """The sensor's cursor.

    Attributes:
        known: fingerprint of the source that the last run was launched for, or that was there when the sensor was
            switched on.
        seen: fingerprint at the last check.
        launched: how many runs were launched so far. A source that changes back to what it was is a change too.
    """

    known: str
    seen: str
    launched: int = 0


@dg.sensor(
    job=retrain,
    minimum_interval_seconds=_CHECKED_EVERY,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Retrains when the question pairs that `retrain` reads have changed: their bytes, or the commit of a "
    "hub dataset. The pairs that exist when it is switched on count as known. Off until someone switches it on.",
)
def new_question_pairs(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Launch one run for each change, once two checks agree: a file may be half copied at first."""
    from pipeline.question_pairs.sources import source_fingerprint

    try:
        found = source_fingerprint(_RETRAIN.of("raw_quora_dataset", PairSource), _LONGEST_CHECK)
    except PipelineError as error:
        return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
    if found is None:
        return dg.SensorResult(skip_reason="the bundled sample changes with the code only", cursor=context.cursor)
    try:
        watch = Watch.from_stored_json(context.cursor) if context.cursor else Watch(known=found, seen=found)
    except (ValueError, PipelineError) as error:
        # What was known is lost. An unneeded run is the smaller harm. Dagster launches no run whose key was
        # used before, so the count continues from a number that no earlier count has reached.
        context.log.warning(f"the cursor of this sensor can't be read ({reason_of(error)}): it starts again")
        watch = Watch(known="", seen="", launched=int(time.time()))
    shown = found[:12]
    if found == watch.known:
        skip, watch = f"unchanged: {shown}", watch.model_copy(update={"seen": found})
    elif found != watch.seen:
        skip, watch = f"changed to {shown}: waiting for it to stay the same", watch.model_copy(update={"seen": found})
    else:
        watch = Watch(known=found, seen=found, launched=watch.launched + 1)
        request = dg.RunRequest(run_key=f"{watch.launched}-{found}", tags={"source_fingerprint": shown})
        return dg.SensorResult(run_requests=[request], cursor=watch.model_dump_json())
    return dg.SensorResult(skip_reason=skip, cursor=watch.model_dump_json())


reports_follow = dg.AutomationConditionSensorDefinition(
    "reports_follow_their_inputs",
    target=_REPORTS,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Measures again when a model or a split that a report depends on was materialised alone. Off until "
    "someone switches it on.",
)


def _launched_after_promotion(name: str, job: str, what: str) -> dg.SensorDefinition:
    """A sensor that launches one run of a job for each promotion and each roll-back."""

    @dg.asset_sensor(
        name=name,
        asset_key=dg.AssetKey(PRODUCTION),
        job_name=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"{what} when another model was promoted or rolled back to. Off until someone switches it on.",
    )
    def launched(context: dg.SensorEvaluationContext, event: dg.EventLogEntry) -> dg.RunRequest | dg.SkipReason:
        materialization = event.asset_materialization
        metadata = materialization.metadata if materialization else {}
        decision, version = (metadata[key].value if key in metadata else None for key in ("decision", "model_version"))
        if decision == "confirmed":
            return dg.SkipReason(f"model version {version} was in production already")
        return dg.RunRequest(run_key=context.cursor, tags={"model_version": str(version)})

    return launched


mine_after_promotion = _launched_after_promotion("mine_after_promotion", mining.JOB, "Mines again")
export_after_promotion = _launched_after_promotion("export_after_promotion", exporting.JOB, "Exports again")

JOBS = [quickstart, retrain, evaluate_only, mine, export, publish]
SCHEDULES = [weekly_retrain]
SENSORS = [new_question_pairs, reports_follow, mine_after_promotion, export_after_promotion]
