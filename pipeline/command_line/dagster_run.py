"""A Dagster run in this process: what `materialize` does once Dagster is imported."""

import warnings
from dataclasses import dataclass
from typing import Any

import dagster as dg
from rich.console import Console

from pipeline.command_line.dagster_home import open_instance
from pipeline.command_line.interruption import InterruptedRun
from pipeline.command_line.recorded_run import job_of_the_definitions, recorded_run, run_to_resume
from pipeline.command_line.results import print_production, print_results
from pipeline.command_line.run_request import NewRun, ResumedRun
from pipeline.command_line.terminal import say
from pipeline.core.errors import PipelineError, counted, one_line
from pipeline.core.progress import LogLine, OnProgress
from pipeline.core.store import VersionStore
from pipeline.definitions import defs
from pipeline.orchestration.ancestry import with_ancestors
from pipeline.orchestration.asset_values import load_value
from pipeline.orchestration.failures import step_failure
from pipeline.orchestration.progress_logger import PROGRESS
from pipeline.orchestration.steps import ON_REQUEST, PRODUCTION, steps_of
from pipeline.quality.production_record import ProductionModel, current_production
from pipeline.settings import environment

_TAGS_OF_DAGSTER = ("dagster/", ".dagster/")


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        runs: its id, then those of the runs that it went on from.
        assets: what was selected.
        failure: why the run failed, in one line; None when it succeeded.
        remarks: what its checks found wrong, a line each.
    """

    runs: list[str]
    assets: set[str]
    failure: str | None
    remarks: list[str]


def execute(work: NewRun | ResumedRun, verbose: bool, on_progress: OnProgress, answer: InterruptedRun) -> Outcome:
    """Do a run in the Dagster instance that the environment names.

    Args:
        verbose: print Dagster's event log instead of telling of the steps as progress.
        answer: told which run it is, for the case that it is interrupted.

    Raises:
        PipelineError: when nothing is selected, there is nothing to resume, or Dagster's instance can't be opened.
    """
    with open_instance() as instance:
        loggers: dict[str, Any] = {"loggers": {name: {} for name in (PROGRESS, *(["console"] if verbose else []))}}
        if isinstance(work, NewRun):
            assets = _selected_assets(work.select)
            parameters: dict[str, Any] = {
                "job": job_of_the_definitions(defs.resolve_implicit_global_asset_job_def().name),
                "run_config": work.settings.run_config(steps_of(assets)) | loggers,
                "asset_selection": [dg.AssetKey.from_user_string(key) for key in sorted(assets)],
            }
            tags: dict[str, str] = {}
            before: list[str] = []
        else:
            earlier = run_to_resume(instance, work.run)
            before = with_ancestors(instance, earlier.run_id)
            assets = _assets_of(instance, before[-1])
            on_progress(LogLine(f"resuming run {earlier.run_id}: {_done(instance, before)}"))
            parameters = {
                "job": job_of_the_definitions(earlier.job_name),
                "run_config": {**earlier.run_config, **loggers},
                "reexecution_options": dg.ReexecutionOptions.from_failure(earlier.run_id, instance),
            }
            tags = {name: value for name, value in earlier.tags.items() if not name.startswith(_TAGS_OF_DAGSTER)}
        with recorded_run(instance) as run, answer.of(run):
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
            # A step makes all of its assets or none: "+key:fine_tuned_model" alone would leave out the eval split.
            keys = {other for key in selected for other in graph.get(key).execution_set_asset_keys}
        except dg.DagsterError:
            keys = set()
    if not keys:
        everything = sorted(key.to_user_string() for key in graph.materializable_asset_keys)
        raise PipelineError(f"--select {select!r} matches no asset; there are: {', '.join(everything)}")
    names = {key.to_user_string() for key in keys}
    # Its steps would make nothing in such a run.
    return names - ON_REQUEST if PRODUCTION in names else names


def _assets_of(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    """What a run was to make that goes on from no other."""
    planned = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED).records
    return {record.asset_key.to_user_string() for record in planned if record.asset_key}


def _done(instance: dg.DagsterInstance, runs: list[str]) -> str:
    """How much of a run is done, by it and the runs that it goes on from."""
    done = {
        record.event_log_entry.step_key
        for run_id in runs
        for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_SUCCESS).records
    }
    return f"{counted(len(done), 'step')} of it {'is' if len(done) == 1 else 'are'} done"


def _finished(result: dg.JobExecutionResult, runs: list[str], assets: set[str]) -> Outcome:
    remarks = [
        f"{check.asset_key.to_user_string()}: {check.description}"
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
        and not (check := event.asset_check_evaluation_data).passed
    ]
    if result.success:
        return Outcome(runs, assets, None, remarks)
    failures = [event for event in result.all_events if event.is_step_failure]
    if any(_was_interrupted(event) for event in failures):
        raise KeyboardInterrupt
    if failures:
        failure = remarks[-1] if _is_of_a_check(failures[0]) else step_failure(failures[0], _HINT)
        return Outcome(runs, assets, failure, remarks)
    reason = f"the Dagster run {result.run_id} failed; run again with --verbose to see its log"
    return Outcome(runs, assets, reason, remarks)


_HINT = " (run again with --verbose to see where)"


def _is_of_a_check(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == "DagsterAssetCheckFailedError"


def _was_interrupted(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == "DagsterExecutionInterruptedError"


def print_summary(console: Console, outcome: Outcome) -> None:
    """What a run that succeeded made, and where it lies."""
    store, runs, keys = VersionStore(environment.home()), outcome.runs, outcome.assets
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
    for remark in outcome.remarks:
        say(console, one_line(f"Check    {remark}"))
