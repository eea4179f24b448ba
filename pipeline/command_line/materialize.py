"""Materialises assets in a Dagster run of this process, with a live progress bar: what `materialize` does."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console

from pipeline.command_line.terminal import live_progress, print_production, print_results
from pipeline.core.errors import PipelineError
from pipeline.core.files import PROJECT_ROOT
from pipeline.core.store import VersionStore
from pipeline.definitions import defs
from pipeline.orchestration.asset_values import load_value
from pipeline.orchestration.steps import PRODUCTION, steps_of
from pipeline.quality.production_record import ProductionModel, current_production
from pipeline.settings import environment
from pipeline.settings.run_config import RunSettings


def run(settings: RunSettings, select: str, verbose: bool) -> None:
    """Materialise the selected assets, and print what came out.

    Args:
        select: assets in Dagster's selection syntax.
        verbose: show Dagster's event log instead of the progress bar.

    Raises:
        PipelineError: when nothing is selected, or the run fails.
    """
    console = Console(stderr=True)
    with _dagster_instance() as instance:
        keys = _selected_assets(select)
        run_config = settings.run_config(steps_of(keys))
        if not verbose:
            run_config["loggers"] = {"console": {"config": {"log_level": "CRITICAL"}}}
        with live_progress(console, quiet=verbose):
            run_id, failure, remarks = _execute(instance, run_config, keys)
    if failure:
        raise PipelineError(failure)
    _print_summary(Console(), run_id, keys, remarks)


@contextmanager
def _dagster_instance() -> Iterator[dg.DagsterInstance]:
    with tempfile.TemporaryDirectory(prefix="pipeline-dagster-") as throw_away:
        if not (home := environment.dagster_home()):
            shutil.copy(PROJECT_ROOT / "deploy" / "dagster.yaml", throw_away)
            # Steps run in processes of their own, which find the instance by this variable.
            os.environ["DAGSTER_HOME"] = throw_away
        elif not Path(home).is_dir():
            raise PipelineError(f"DAGSTER_HOME is {home!r}, which is no folder: make it, or unset the variable")
        try:
            with dg.DagsterInstance.get() as instance:
                yield instance
        finally:
            if not home:
                del os.environ["DAGSTER_HOME"]


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


def command_line_job() -> dg.JobDefinition:
    """The job of all assets under a name that says who started it; step processes load it from here."""
    job = dg.define_asset_job("command_line", dg.AssetSelection.all())
    return dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def(job.name)


def _execute(
    instance: dg.DagsterInstance, run_config: Mapping[str, Any], keys: set[str]
) -> tuple[str, str | None, list[str]]:
    """Execute a run; returns its id, if it failed why, in one line, and what its checks found wrong, a line each."""
    try:
        execution = dg.execute_job(
            dg.reconstructable(command_line_job),
            instance=instance,
            run_config=dict(run_config),
            asset_selection=[dg.AssetKey.from_user_string(key) for key in sorted(keys)],
            raise_on_error=False,
        )
    except dg.DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None
    with execution as result:
        remarks = [
            f"{check.asset_key.to_user_string()}: {check.description}"
            for event in result.all_events
            if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
            and not (check := event.asset_check_evaluation_data).passed
        ]
        if result.success:
            return result.run_id, None, remarks
        failures = [event for event in result.all_events if event.is_step_failure]
        if any(_was_interrupted(event) for event in failures):
            raise KeyboardInterrupt
        if failures:
            return result.run_id, remarks[-1] if _is_of_a_check(failures[0]) else _reason(failures[0]), remarks
        reason = f"the Dagster run {result.run_id} failed; run again with --verbose to see its log"
        return result.run_id, reason, remarks


def _is_of_a_check(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == "DagsterAssetCheckFailedError"


def _was_interrupted(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == "DagsterExecutionInterruptedError"


def _reason(event: dg.DagsterEvent) -> str:
    """The one line of a step's failure: what the step said, else the error that ended it."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return f"{event.step_key}: {data.user_failure_data.description}"
    error = data.error
    while error and error.cause:
        error = error.cause
    message = " ".join(error.message.split()) if error else "no reason was recorded"
    return f"{event.step_key}: {message} (run again with --verbose to see where)"


def _print_summary(console: Console, run_id: str, keys: set[str], remarks: list[str]) -> None:
    store = VersionStore(environment.home())
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
            console.print(f"{key}  {store.folder(key) / pointer.file}", soft_wrap=True, highlight=False)
    for remark in remarks:
        console.print(f"Check    {remark}", soft_wrap=True, highlight=False, markup=False)
    home = environment.dagster_home()
    console.print(
        f"UI       `make dev` shows this run and its lineage at http://127.0.0.1:3000 (DAGSTER_HOME {home})"
        if home
        else "UI       this run was not recorded: set DAGSTER_HOME, or use `make materialize` and `make dev`",
        soft_wrap=True,
        highlight=False,
    )
