"""A Dagster run in this process: what `materialize` does once Dagster is imported."""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from rich.console import Console

from pipeline.command_line.dagster_home import open_instance
from pipeline.command_line.results import print_production, print_results
from pipeline.command_line.terminal import say
from pipeline.core.disk_errors import disk_problem
from pipeline.core.errors import PipelineError, one_line
from pipeline.core.progress import StepEnded, StepStarted, progress_file_sink
from pipeline.core.store import VersionStore
from pipeline.definitions import defs
from pipeline.orchestration.asset_values import load_value
from pipeline.orchestration.steps import PRODUCTION, steps_of
from pipeline.quality.production_record import ProductionModel, current_production
from pipeline.settings import environment
from pipeline.settings.run_config import RunSettings


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        assets: what was selected.
        failure: why the run failed, in one line; None when it succeeded.
        remarks: what its checks found wrong, a line each.
    """

    run_id: str
    assets: set[str]
    failure: str | None
    remarks: list[str]


def execute(settings: RunSettings, select: str, verbose: bool) -> Outcome:
    """Materialise the selected assets in the Dagster instance that the environment names.

    Args:
        select: assets in Dagster's selection syntax.
        verbose: print Dagster's event log instead of telling of the steps as progress.

    Raises:
        PipelineError: when nothing is selected, or Dagster's instance can't be opened.
    """
    with open_instance() as instance:
        assets = _selected_assets(select)
        run_config = settings.run_config(steps_of(assets))
        run_config["loggers"] = {"console" if verbose else _PROGRESS: {}}
        return _execute(instance, run_config, assets)


def _selected_assets(select: str) -> set[str]:
    graph = defs.resolve_asset_graph()
    with warnings.catch_warnings():
        # Dagster's own parser uses a parameter that it calls beta.
        warnings.simplefilter("ignore", dg.BetaWarning)
        try:
            # A selection may name what only a job of its own makes, such as `published_model`.
            selected = dg.AssetSelection.from_string(select).resolve(graph) & graph.materializable_asset_keys
            # A step makes all of its assets or none: "+key:fine_tuned_model" alone would leave out the eval split.
            keys = {other for key in selected for other in graph.get(key).execution_set_asset_keys}
        except dg.DagsterError:
            keys = set()
    if not keys:
        everything = sorted(key.to_user_string() for key in graph.materializable_asset_keys)
        raise PipelineError(f"--select {select!r} matches no asset; there are: {', '.join(everything)}")
    return {key.to_user_string() for key in keys}


_PROGRESS = "progress"


@dg.logger
def _progress_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Tells whoever follows the run which step begins and ends, from the processes of the run and of its steps."""
    logger = logging.Logger(_PROGRESS, logging.DEBUG)
    logger.addHandler(_StepProgress())
    return logger


class _StepProgress(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "dagster_meta", {}).get("dagster_event")
        if event is None or event.step_key is None:
            return
        match event.event_type:
            case dg.DagsterEventType.STEP_WORKER_STARTING:
                progress_file_sink()(StepStarted(event.step_key))
            case dg.DagsterEventType.STEP_SUCCESS | dg.DagsterEventType.STEP_FAILURE:
                progress_file_sink()(StepEnded(event.step_key, event.is_step_success))


def command_line_job() -> dg.JobDefinition:
    """The job of all assets under a name that says who started it; step processes load it from here."""
    job = dg.define_asset_job("command_line", dg.AssetSelection.all())
    own = dg.Definitions(jobs=[job], loggers={"console": dg.colored_console_logger, _PROGRESS: _progress_logger})
    return dg.Definitions.merge(defs, own).resolve_job_def(job.name)


def _execute(instance: dg.DagsterInstance, run_config: Mapping[str, Any], assets: set[str]) -> Outcome:
    try:
        # Not entered as a context, which would create the resources again, and import torch for it.
        result = dg.execute_job(
            dg.reconstructable(command_line_job),
            instance=instance,
            run_config=dict(run_config),
            asset_selection=[dg.AssetKey.from_user_string(key) for key in sorted(assets)],
            raise_on_error=False,
        )
    except dg.DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None
    remarks = [
        f"{check.asset_key.to_user_string()}: {check.description}"
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
        and not (check := event.asset_check_evaluation_data).passed
    ]
    if result.success:
        return Outcome(result.run_id, assets, None, remarks)
    failures = [event for event in result.all_events if event.is_step_failure]
    if any(_was_interrupted(event) for event in failures):
        raise KeyboardInterrupt
    if failures:
        failure = remarks[-1] if _is_of_a_check(failures[0]) else _reason(failures[0])
        return Outcome(result.run_id, assets, failure, remarks)
    reason = f"the Dagster run {result.run_id} failed; run again with --verbose to see its log"
    return Outcome(result.run_id, assets, reason, remarks)


def _is_of_a_check(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == "DagsterAssetCheckFailedError"


def _was_interrupted(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == "DagsterExecutionInterruptedError"


_LONGEST_REASON = 180
"""Characters, so that the name of the step and the way out stay in the line."""


def _reason(event: dg.DagsterEvent) -> str:
    """The one line of a step's failure: what the step said, else the error that ended it."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return f"{event.step_key}: {data.user_failure_data.description}"
    error = data.error
    while error and error.cause:
        error = error.cause
    message = " ".join(error.message.split()) if error else "no reason was recorded"
    if found := disk_problem(message, environment.folders()):
        return f"{event.step_key}: {found}"
    message = one_line(message, _LONGEST_REASON)
    return f"{event.step_key}: {message} (run again with --verbose to see where)"


def print_summary(console: Console, outcome: Outcome) -> None:
    """What a run that succeeded made, and where it lies."""
    store, run_id, keys = VersionStore(environment.home()), outcome.run_id, outcome.assets
    in_production = current_production(store, PRODUCTION)
    # A model that is not accepted leaves no record of its own, or an earlier one, which may be damaged.
    made = {key for key in keys if key != PRODUCTION or isinstance(in_production, ProductionModel)}
    loaded = {key: load_value(store, key, [run_id]) for key in made}
    if "post_train_eval_report" in keys and "fine_tuned_model" in keys and "baseline_eval_report" in keys:
        print_results(
            console,
            loaded["baseline_eval_report"],
            loaded["post_train_eval_report"],
            loaded["fine_tuned_model"],
        )
        if PRODUCTION in keys:
            print_production(console, in_production)
    else:
        for key in sorted(made):
            pointer = store.resolve(key, [run_id])
            say(console, f"{key}  {store.folder(key) / pointer.file}")
    for remark in outcome.remarks:
        say(console, one_line(f"Check    {remark}"))
