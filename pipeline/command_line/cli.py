"""`python -m pipeline`: materialise with live progress, or fine-tune without Dagster."""

import sys
from pathlib import Path

import click
from rich.console import Console

from pipeline.command_line import materialize
from pipeline.command_line.click_options import config_option, set_option
from pipeline.command_line.live_progress import live_progress
from pipeline.compute.choice import create_compute
from pipeline.core.errors import PipelineError, one_line
from pipeline.orchestration.steps import STEP_SETTINGS, load_settings
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.settings import environment
from pipeline.settings.run_config import settings_page
from pipeline.training import distributed

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
    click.echo(one_line(f"Error: {message}"), err=True)
    sys.exit(status)


# --- looking before starting -----------------------------------------------------------------------------------


@cli.command("config")
@config_option
@set_option
@click.option("--markdown", "as_page", is_flag=True, help="Print docs/configuration.md instead.")
def print_config(config_path: Path | None, overrides: tuple[str, ...], as_page: bool) -> None:
    """Print every environment variable, and a run config with every setting, what each means and allows.

    With --config: what that file amounts to.
    """
    settings = load_settings(config_path, overrides)
    page = (
        settings_page(STEP_SETTINGS, environment.variables())
        if as_page
        else settings.explained(environment.variables())
    )
    click.echo(page, nl=False)


@cli.command()
@config_option
@set_option
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


@cli.command("materialize")
@config_option
@click.option(
    "--select",
    default=materialize.EVERYTHING,
    show_default=True,
    help="Assets to materialise, in Dagster's selection syntax.",
)
@set_option
@click.option("--verbose", is_flag=True, help="Show Dagster's event log instead of the progress.")
def materialize_command(config_path: Path | None, select: str, overrides: tuple[str, ...], verbose: bool) -> None:
    """Materialise assets in a Dagster run, and show its progress.

    The run is recorded in DAGSTER_HOME, where the UI shows it; without that variable in a throw-away instance.
    """
    settings = load_settings(config_path, overrides)
    materialize.run(settings, select, verbose)


# --- fine-tune, without Dagster --------------------------------------------------------------------------------


@cli.command("finetune")
@config_option
@set_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where run folders are made on this machine. [default: PIPELINE_RUNS_FOLDER, else runs/ in PIPELINE_HOME]",
)
def finetune_command(config_path: Path | None, overrides: tuple[str, ...], output: Path | None) -> None:
    """Evaluate, train, evaluate, and print both results: what the reference's `python main.py` does.

    Works without Dagster, on the compute that PIPELINE_COMPUTE names; only the run folder is kept. On several
    GPUs of one machine: `torchrun --nproc-per-node 4 -m pipeline finetune …`; the batch is shared out among them.
    """
    settings = load_settings(config_path, overrides)
    with live_progress(Console(stderr=True, quiet=not distributed.is_main())) as progress:
        runs_folder = output.absolute() if output else environment.runs_folder()
        compute = create_compute(environment.compute_kind(), runs_folder)
        # Imports torch, which the other commands don't need, and which takes seconds.
        from pipeline.command_line import finetune

        finetune.run(settings, compute, progress)
