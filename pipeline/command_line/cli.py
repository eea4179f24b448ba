"""`python -m pipeline`: the group of commands, and those that look at settings, pairs and stored values."""

import signal
import sys
from pathlib import Path

import click
from rich.console import Console

from pipeline.command_line import export, materialize, prune, review, serve, signals, use_model
from pipeline.command_line.click_options import config_option, pairs_option, set_option, with_own_pairs
from pipeline.command_line.scratch import remove_scratch, scratch_folder
from pipeline.command_line.terminal import live_progress
from pipeline.compute.choice import create_compute
from pipeline.core.disk_errors import disk_error
from pipeline.core.errors import DamagedError, PipelineError, counted, reason_of
from pipeline.core.foreign_text import for_terminal
from pipeline.core.tables import terminal_lines
from pipeline.orchestration.steps import STEP_SETTINGS, load_settings
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.settings import environment
from pipeline.settings.run_config import settings_page
from pipeline.training import distributed

_NEWEST = "newest"


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="quora-finetuning-pipeline", message="quora-pipeline %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Fine-tune a sentence-embedding model on duplicate questions, and measure the gain."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """Run the command line. A `PipelineError` ends it with one line and status 1, a signal with 128 + its number."""
    with signals.watched(tidy=remove_scratch) as received:
        failure = _failure(received)
        if failure and received.came:
            # The failure is a consequence of the signal.
            signals.end(received.came, remove_scratch)
    if failure:
        message, status = failure
        click.echo(for_terminal(f"Error: {message}"), err=True)
        sys.exit(status)


def _failure(received: signals.Signals) -> tuple[str, int] | None:
    """The message and the exit status of a command that failed; None where it succeeded."""
    try:
        cli.main(standalone_mode=False)
    except PipelineError as error:
        return str(error), 1
    except click.ClickException as error:
        return error.format_message(), error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return "interrupted", 128 + signal.SIGINT
    except Exception as error:
        if found := disk_error(error, environment.folders()):
            return str(found), 1
        if received.came:
            return reason_of(error), 1
        raise
    return None


# --- settings and pairs ----------------------------------------------------------------------------------------


@cli.command("config")
@config_option
@set_option
@click.option("--markdown", "as_page", is_flag=True, help="Print docs/configuration.md instead.")
def print_config(config_path: Path | None, overrides: tuple[str, ...], as_page: bool) -> None:
    """Print every environment variable, and a run config with every setting, its meaning and its limits.

    With --config, the settings have the values of that file.
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
@pairs_option
@set_option
def pairs(config_path: Path | None, own_pairs: str | None, overrides: tuple[str, ...]) -> None:
    """Read the question pairs and split them, and print how many rows were kept and why others were not.

    Nothing is written."""
    settings = load_settings(config_path, with_own_pairs(own_pairs, overrides))
    from pipeline.question_pairs.sources import load_audited
    from pipeline.question_pairs.splits import split_pairs

    read = load_audited(settings.of("raw_quora_dataset", PairSource))
    facts = ", ".join(f"{name} {value}" for name, value in read.audit.facts.items())
    click.echo(for_terminal(f"{read.table.origin.source}: {facts}"))
    click.echo(f"data version {read.table.data_version}, {read.table.positive_rate:.1%} duplicates")
    click.echo("\n" + "\n".join(terminal_lines(read.audit.table)) + "\n")
    sides = split_pairs(read.table, settings.of("splits", SplitPlan))
    for name, side in (("train", sides.train), ("dev", sides.dev), ("eval", sides.eval)):
        click.echo(
            f"{name}_split: {len(side):,} pairs" + (f", {side.positive_rate:.1%} duplicates" if len(side) else "")
        )


# --- stored values and DAGSTER_HOME -----------------------------------------------------------------------------


@cli.command("verify")
def verify_command() -> None:
    """Hash every stored value, its files and every run folder, and list what is damaged.

    Use it after a crash, or after restoring a backup. The exit status is 1 when something is damaged.
    """
    from pipeline.core.store import VersionStore
    from pipeline.orchestration.verification import damage_in

    home, found = VersionStore(environment.home()), 0
    for line in damage_in(home, environment.runs_folder()):
        click.echo(line)
        found += 1
    if found:
        raise DamagedError(
            f"{counted(found, 'file')} in {home.home} {'is' if found == 1 else 'are'} damaged: follow the lines above",
            home=home.home,
            damaged=found,
        )
    click.echo(f"nothing in {home.home} is damaged" if home.assets() else f"nothing is stored in {home.home} yet")


@cli.command("prepare")
def prepare_command() -> None:
    """Set up a new DAGSTER_HOME, so that several of Dagster's commands can open it at once.

    `make dev` and `materialize` do this. Run it before `dagster dev` in a new folder.
    """
    from pipeline.command_line import dagster_home

    if home := environment.dagster_home():
        folder = dagster_home.folder_of(home)
        folder.mkdir(parents=True, exist_ok=True)
        dagster_home.set_up(folder)


# --- fine-tune, without Dagster --------------------------------------------------------------------------------


@cli.command("finetune")
@config_option
@pairs_option
@set_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for run folders on this machine. [default: PIPELINE_RUNS_FOLDER, else runs/ in PIPELINE_HOME]",
)
def finetune_command(
    config_path: Path | None, own_pairs: str | None, overrides: tuple[str, ...], output: Path | None
) -> None:
    """Evaluate, train, evaluate, and print both results, as the reference's `python main.py` does.

    Works without Dagster, on the compute backend that PIPELINE_COMPUTE names. Only the run folder is kept, and the
    properties of the base model in PIPELINE_HOME. On several GPUs of one machine: `torchrun --nproc-per-node 4 -m
    pipeline finetune …`, which divides each batch among them.
    """
    settings = load_settings(config_path, with_own_pairs(own_pairs, overrides))
    if environment.compute_kind() != "local":
        signals.wait_for_other_machines()
    with scratch_folder(), live_progress(Console(stderr=True, quiet=not distributed.is_main())) as progress:
        runs_folder = output.absolute() if output else environment.runs_folder()
        compute = create_compute(environment.compute_kind(), runs_folder)
        # Imports torch, which takes seconds, and which the other commands don't need.
        from pipeline.command_line import finetune

        finetune.run(settings, compute, progress)


# --- commands of other modules ----------------------------------------------------------------------------------

cli.add_command(materialize.materialize_command)
cli.add_command(prune.prune_command)
cli.add_command(use_model.compare_command)
cli.add_command(use_model.search_command)
cli.add_command(use_model.mine_command)
cli.add_command(export.export_command)
cli.add_command(review.review_command)
cli.add_command(serve.serve_command)
