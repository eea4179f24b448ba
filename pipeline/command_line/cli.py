"""`python -m pipeline`: materialise with a live progress bar, or fine-tune without Dagster."""

import os
import shutil
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from pipeline.command_line.terminal import live_progress, print_comparison, print_places, print_production
from pipeline.core.errors import PipelineError
from pipeline.core.progress import OnProgress
from pipeline.core.references import FineTunedModel, ModelReference
from pipeline.core.storage import PROJECT_ROOT, VersionStore, default_home, default_runs_folder, local_folder
from pipeline.evaluation.measurement import Measurement
from pipeline.evaluation.measuring import EvaluationOptions
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.embedding_models import BaseModelChoice
from pipeline.question_pairs.sources import PairSource
from pipeline.question_pairs.splits import SplitPlan
from pipeline.settings.run_config import load_settings, reference, steps_of
from pipeline.training.recipe import TrainingOrder

if TYPE_CHECKING:
    import dagster as dg

_config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Run config, such as configs/quickstart.yaml.",
)
_set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="STEP.SETTING=VALUE",
    help="Override one setting; may be repeated.",
)
_INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells give it."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Fine-tune a sentence-embedding model on duplicate questions, and measure the gain."""


def main() -> None:
    """Run the command line: errors that a user can put right end it with one line and status 1."""
    try:
        cli.main(standalone_mode=False)
    except PipelineError as error:
        _fail(str(error), 1)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted: nothing is half-written; run the command again to start anew", _INTERRUPTED)


def _fail(message: str, status: int) -> None:
    click.echo(f"Error: {message}", err=True)
    sys.exit(status)


# --- looking before starting -----------------------------------------------------------------------------------


@cli.command("config")
@_config_option
@_set_option
@click.option("--reference", "as_reference", is_flag=True, help="Print docs/configuration.md instead.")
def print_config(config_path: Path | None, overrides: tuple[str, ...], as_reference: bool) -> None:
    """Print a run config with every setting, what it means and allows; with --config, what that file amounts to."""
    settings = load_settings(config_path, overrides)
    click.echo(reference() if as_reference else settings.explained(), nl=False)


@cli.command()
@_config_option
@_set_option
def pairs(config_path: Path | None, overrides: tuple[str, ...]) -> None:
    """Read the question pairs and split them, and print what became of each row. Nothing is written."""
    settings = load_settings(config_path, overrides)
    from pipeline.question_pairs.sources import load_audited
    from pipeline.question_pairs.splits import split_pairs

    read = load_audited(settings.of("raw_quora_dataset", PairSource))
    click.echo(
        f"{read.table.origin.source}: {', '.join(f'{name} {value}' for name, value in read.audit.facts.items())}"
    )
    click.echo(f"data version {read.table.data_version}, {read.table.positive_rate:.1%} duplicates")
    click.echo(f"\n{read.audit.table()}\n")
    sides = split_pairs(read.table, settings.of("splits", SplitPlan))
    for name, side in (("train", sides.train), ("dev", sides.dev), ("eval", sides.eval)):
        click.echo(
            f"{name}_split: {len(side):,} pairs" + (f", {side.positive_rate:.1%} duplicates" if len(side) else "")
        )


# --- materialise, with Dagster ---------------------------------------------------------------------------------


@cli.command()
@_config_option
@click.option("--select", default="*", show_default=True, help="Assets to materialise, in Dagster's selection syntax.")
@_set_option
@click.option("--verbose", is_flag=True, help="Show Dagster's event log instead of the progress bar.")
def materialize(config_path: Path | None, select: str, overrides: tuple[str, ...], verbose: bool) -> None:
    """Materialise assets in a Dagster run, with a live progress bar.

    The run is recorded in DAGSTER_HOME, where the UI shows it; without that variable in a throw-away instance.
    """
    settings = load_settings(config_path, overrides)
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
def _dagster_instance() -> Iterator["dg.DagsterInstance"]:
    import dagster as dg

    with tempfile.TemporaryDirectory(prefix="pipeline-dagster-") as throw_away:
        if not (home := os.environ.get("DAGSTER_HOME")):
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
    import dagster as dg

    from pipeline.definitions import defs

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


def command_line_job() -> "dg.JobDefinition":
    """The job of all assets under a name that says who started it; step processes load it from here."""
    import dagster as dg

    from pipeline.definitions import defs

    job = dg.define_asset_job("command_line", dg.AssetSelection.all())
    return dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def(job.name)


def _execute(
    instance: "dg.DagsterInstance", run_config: Mapping[str, Any], keys: set[str]
) -> tuple[str, str | None, list[str]]:
    """Execute a run; returns its id, if it failed why, in one line, and what its checks found wrong, a line each."""
    import dagster as dg

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


def _is_of_a_check(event: "dg.DagsterEvent") -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == "DagsterAssetCheckFailedError"


def _was_interrupted(event: "dg.DagsterEvent") -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == "DagsterExecutionInterruptedError"


def _reason(event: "dg.DagsterEvent") -> str:
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
    # Imports Dagster, which `finetune` must not need.
    from pipeline.orchestration.resources import load_value

    store = VersionStore(default_home())
    # A model that is not accepted leaves no value of `production_model`, or an earlier one.
    made = {key for key in keys if key != "production_model" or store.has(key)}
    loaded = {key: load_value(store, key, [run_id]) for key in made}
    if "post_train_eval_report" in keys and "fine_tuned_model" in keys and "baseline_eval_report" in keys:
        baseline, post = loaded["baseline_eval_report"], loaded["post_train_eval_report"]
        model = loaded["fine_tuned_model"]
        if not (
            isinstance(baseline, EvaluationReport)
            and isinstance(post, EvaluationReport)
            and isinstance(model, FineTunedModel)
        ):
            raise TypeError("the stored reports are of another type than their assets")
        print_comparison(console, baseline, post)
        print_places(console, model)
        if "production_model" in keys:
            print_production(console, loaded.get("production_model"))
    else:
        for key in sorted(made):
            pointer = store.resolve(key, [run_id])
            console.print(f"{key}  {store.folder(key) / pointer.file}", soft_wrap=True, highlight=False)
    for remark in remarks:
        console.print(f"Check    {remark}", soft_wrap=True, highlight=False, markup=False)
    home = os.environ.get("DAGSTER_HOME")
    console.print(
        f"UI       `make dev` shows this run and its lineage at http://127.0.0.1:3000 (DAGSTER_HOME {home})"
        if home
        else "UI       this run was not recorded: set DAGSTER_HOME, or use `make materialize` and `make dev`",
        soft_wrap=True,
        highlight=False,
    )


# --- fine-tune, without Dagster --------------------------------------------------------------------------------


@cli.command()
@_config_option
@_set_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the run folder is made. [default: PIPELINE_RUNS_FOLDER, else runs/ in PIPELINE_HOME]",
)
def finetune(config_path: Path | None, overrides: tuple[str, ...], output: Path | None) -> None:
    """Evaluate, train, evaluate, and print both results: what the reference's `python main.py` does.

    Works without Dagster: nothing is recorded but the run folder. On several GPUs of one machine:
    `torchrun --nproc-per-node 4 -m pipeline finetune …`; the batch is shared out among them.
    """
    settings = load_settings(config_path, overrides)
    # Imports that only this command needs.
    from pipeline.compute.base import RunIdentity
    from pipeline.compute.local import LocalCompute
    from pipeline.evaluation.report_builder import EvaluationData, build_report
    from pipeline.evaluation.results_csv import reference_print
    from pipeline.models.embedding_models import resolve_base_model, resolve_device
    from pipeline.question_pairs.sources import load_pairs
    from pipeline.question_pairs.splits import split_pairs
    from pipeline.reporting.results import publish_results
    from pipeline.training import distributed

    recipe = settings.of("fine_tuned_model", TrainingOrder).recipe
    distributed.join(resolve_device(recipe.device))
    console, terminal = Console(quiet=not distributed.is_main()), Console(stderr=True, quiet=not distributed.is_main())
    compute = LocalCompute(output.absolute() if output else local_folder(default_runs_folder()))
    splits = split_pairs(load_pairs(settings.of("raw_quora_dataset", PairSource)), settings.of("splits", SplitPlan))
    base_model = resolve_base_model(settings.of("base_model", BaseModelChoice))
    before, after = (
        settings.of(step, EvaluationOptions) for step in ("baseline_eval_report", "post_train_eval_report")
    )
    data = EvaluationData(splits.eval, splits.dev, splits.train)

    def measured(model: ModelReference, options: EvaluationOptions, on_progress: OnProgress) -> Measurement:
        return compute.evaluate(model, splits.eval, splits.dev, options, on_progress)

    with live_progress(terminal) as bar:
        baseline = distributed.from_main(
            lambda: build_report("pre_train", base_model, measured(base_model, before, bar), data)
        )
    console.print(f"pre train eval {reference_print(baseline.oracle)}", soft_wrap=True, highlight=False)
    identity = RunIdentity(owner=uuid.uuid4().hex, unix_time=int(time.time()))
    with live_progress(terminal) as bar:
        model = compute.fine_tune(splits.train, splits.dev, base_model, recipe, identity, bar)
        post = distributed.from_main(
            lambda: build_report("post_train", model.model, measured(model.model, after, bar), data, baseline, model)
        )
    distributed.from_main(lambda: publish_results(model, baseline, post))
    console.print(f"post train eval {reference_print(post.oracle)}", soft_wrap=True, highlight=False)
    print_comparison(console, baseline, post)
    print_places(console, model)
