"""The Dagster side of `materialize`: executes a new run or the rest of an earlier one, and prints the results."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import dagster as dg
from rich.console import Console

from pipeline.command_line.dagster_home import open_instance
from pipeline.command_line.recorded_run import RecordedRun, job_of_the_definitions, recorded_run, run_to_resume
from pipeline.command_line.results import print_production, print_results
from pipeline.command_line.terminal import say
from pipeline.core.errors import PipelineError, SettingError, counted, one_line
from pipeline.core.progress import LogLine, OnProgress
from pipeline.core.store import VersionStore
from pipeline.definitions import defs
from pipeline.orchestration.asset_values import load_value
from pipeline.orchestration.execution import PROGRESS
from pipeline.orchestration.failures import step_failure
from pipeline.orchestration.runs import with_ancestors
from pipeline.orchestration.steps import ON_REQUEST, PRODUCTION, steps_of
from pipeline.quality.production_record import ProductionModel, current_production
from pipeline.settings import environment
from pipeline.settings.run_config import RunSettings

_TAGS_OF_DAGSTER = ("dagster/", ".dagster/")
_HINT = " (run again with --verbose to see where)"


class RunFailedError(PipelineError):
    """A step or a check of a run failed; the line is that of its error."""


@dataclass(frozen=True)
class FinishedRun:
    """A run that ended without an interruption.

    Attributes:
        runs: its id, then those of the runs that it continued.
        assets: the selected ones.
        failure: why the run failed; None where it succeeded.
        failed_checks: a line for each failed check.
    """

    runs: list[str]
    assets: set[str]
    failure: RunFailedError | None
    failed_checks: list[str]


def execute(
    settings: RunSettings | None,
    select: str,
    resume: str | None,
    verbose: bool,
    on_progress: OnProgress,
    interrupted: Callable[[RecordedRun], AbstractContextManager[None]],
) -> FinishedRun:
    """Execute a run in the Dagster instance that the environment names.

    Args:
        settings: of a new run; None to continue an earlier one.
        select: assets of a new run, in Dagster's selection syntax.
        resume: the beginning of the id of the run to continue; None for the newest.
        verbose: print Dagster's event log.
        interrupted: handles an interruption of the run during its block.

    Raises:
        PipelineError: when nothing is selected, there is nothing to resume, or Dagster's instance can't be opened.
        KeyboardInterrupt: when the run is interrupted.
    """
    with open_instance() as instance:
        loggers: dict[str, Any] = {"loggers": {name: {} for name in (PROGRESS, *(["console"] if verbose else []))}}
        if settings is not None:
            assets = _selected_assets(select)
            parameters: dict[str, Any] = {
                "job": job_of_the_definitions(defs.resolve_implicit_global_asset_job_def().name),
                "run_config": settings.run_config(steps_of(assets)) | loggers,
                "asset_selection": [dg.AssetKey.from_user_string(key) for key in sorted(assets)],
            }
            tags: dict[str, str] = {}
            before: list[str] = []
        else:
            earlier = run_to_resume(instance, resume)
            before = with_ancestors(instance, earlier.run_id)
            assets = _planned_assets(instance, before[-1])
            done = counted(len(_finished_steps(instance, before)), "finished step")
            on_progress(LogLine(f"resuming run {earlier.run_id} after {done}"))
            parameters = {
                "job": job_of_the_definitions(earlier.job_name),
                "run_config": {**earlier.run_config, **loggers},
                "reexecution_options": dg.ReexecutionOptions.from_failure(earlier.run_id, instance),
            }
            tags = {name: value for name, value in earlier.tags.items() if not name.startswith(_TAGS_OF_DAGSTER)}
        with recorded_run(instance) as run, interrupted(run):
            try:
                # Not entered as a context, which would create the resources again, and import torch for it.
                result = dg.execute_job(**parameters, instance=instance, tags=tags | run.tags, raise_on_error=False)
            except dg.DagsterExecutionInterruptedError:
                raise KeyboardInterrupt from None
            ended = instance.get_run_by_id(result.run_id)
            if ended and ended.status == dg.DagsterRunStatus.CANCELED:
                raise KeyboardInterrupt
    return _finished(result, [result.run_id, *before], assets)


def _selected_assets(select: str) -> set[str]:
    graph = defs.resolve_asset_graph()
    with warnings.catch_warnings():
        # Dagster's own parser uses a parameter that it calls beta.
        warnings.simplefilter("ignore", dg.BetaWarning)
        try:
            selected = dg.AssetSelection.from_string(select).resolve(graph) & graph.materializable_asset_keys
            # A step makes all of its assets or none, and "+key:fine_tuned_model" does not select the eval split.
            keys = {other for key in selected for other in graph.get(key).execution_set_asset_keys}
        except dg.DagsterError:
            keys = set()
    if not keys:
        everything = sorted(key.to_user_string() for key in graph.materializable_asset_keys)
        raise SettingError(f"--select {select!r} matches no asset: choose from {', '.join(everything)}", select=select)
    names = {key.to_user_string() for key in keys}
    # Its steps would make nothing in such a run.
    return names - ON_REQUEST if PRODUCTION in names else names


def _planned_assets(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    planned = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED).records
    return {record.asset_key.to_user_string() for record in planned if record.asset_key}


def _finished_steps(instance: dg.DagsterInstance, runs: list[str]) -> set[str | None]:
    return {
        record.event_log_entry.step_key
        for run_id in runs
        for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_SUCCESS).records
    }


def _finished(result: dg.JobExecutionResult, runs: list[str], assets: set[str]) -> FinishedRun:
    failed_checks = [
        f"{check.asset_key.to_user_string()}: {check.description}"
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
        and not (check := event.asset_check_evaluation_data).passed
    ]
    if result.success:
        return FinishedRun(runs, assets, None, failed_checks)
    failures = [event for event in result.all_events if event.is_step_failure]
    errors = [event.step_failure_data.error for event in failures]
    names = [error.cls_name if error else None for error in errors]
    if "DagsterExecutionInterruptedError" in names:
        raise KeyboardInterrupt
    if not failures:
        reason = f"the Dagster run {result.run_id} failed: run again with --verbose to see its log"
    elif names[0] == "DagsterAssetCheckFailedError":
        reason = failed_checks[-1]
    else:
        reason = step_failure(failures[0], _HINT)
    return FinishedRun(runs, assets, RunFailedError(reason, run_id=result.run_id), failed_checks)


def print_summary(console: Console, finished: FinishedRun) -> None:
    """Print what a run made, and where it is."""
    store, runs, keys = VersionStore(environment.home()), finished.runs, finished.assets
    in_production = current_production(store, PRODUCTION)
    # A model that is not accepted leaves no record of its own, or an earlier one, which may be damaged.
    made = {key for key in keys if key != PRODUCTION or isinstance(in_production, ProductionModel)}
    loaded = {key: load_value(store, key, runs) for key in made}
    if "post_train_eval_report" in keys and "fine_tuned_model" in keys and "baseline_eval_report" in keys:
        print_results(
            console,
            loaded["baseline_eval_report"],
            loaded["post_train_eval_report"],
            loaded["fine_tuned_model"],
        )
        if PRODUCTION in keys:
            print_production(console, in_production, loaded["fine_tuned_model"])
    else:
        for key in sorted(made):
            pointer = store.resolve(key, runs)
            say(console, f"{key}  {store.folder(key) / pointer.file}")
        if PRODUCTION in keys:
            # Such as after a roll-back.
            print_production(console, in_production)
    for line in finished.failed_checks:
        say(console, one_line(f"Check    {line}"))
