"""The command line of `modal run -m pipeline.compute.modal_app`: the options of `finetune`, and short ones."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipeline.command_line.click_options import config_option, set_option
from pipeline.compute.base import Compute
from pipeline.core.errors import PipelineError, one_line
from pipeline.core.foreign_text import for_terminal
from pipeline.core.locations import remote_location
from pipeline.orchestration.steps import load_settings

_RECIPE = ("epochs", "batch_size", "loss")


@click.command("modal run -m pipeline.compute.modal_app")
@config_option
@set_option
@click.option("--pairs", help="`bundled_sample`, `hub` (Quora's pairs), or a file of question pairs.")
@click.option("--fraction", type=float, help="Share of the pairs to use, counted from the first.")
@click.option("--base-model", help="`bundled`, a folder, or a Hugging Face id.")
@click.option("--epochs", type=int, help="Passes over the training pairs.")
@click.option("--batch-size", type=int, help="Pairs in an optimiser step.")
@click.option("--loss", help="Loss function.")
@click.pass_obj
def command(compute: Compute, /, config_path: Path | None, overrides: tuple[str, ...], **short: Any) -> None:
    """Evaluate, train, evaluate, and print both results, as the reference's `modal run main.py` does."""
    settings = load_settings(config_path, overrides, _values(short))
    # Imports torch, so only after the settings are checked.
    from pipeline.command_line.finetune import run

    # Modal shows what the containers print.
    results = run(settings, compute)
    if place := remote_location(results.model.model.location):
        volume, model = place.container, place.path
        click.echo(f"Volume {volume}; download the model with: mkdir -p dump && modal volume get {volume} {model} dump")


def _values(short: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings of the given short options."""
    values: dict[str, dict[str, Any]] = {"raw_quora_dataset": {}, "base_model": {}, "fine_tuned_model": {}}
    if (pairs := short["pairs"]) in ("bundled_sample", "hub"):
        values["raw_quora_dataset"]["source"] = pairs
    elif pairs is not None:
        values["raw_quora_dataset"] |= {"source": "file", "path": pairs}
    if short["fraction"] is not None:
        values["raw_quora_dataset"]["fraction"] = short["fraction"]
    if short["base_model"] is not None:
        values["base_model"]["model"] = short["base_model"]
    values["fine_tuned_model"] |= {name: short[name] for name in _RECIPE if short[name] is not None}
    return values


def main(arguments: Sequence[str], compute: Compute) -> None:
    """Run the command. A `PipelineError` ends it with one line and status 1."""
    try:
        command.main(list(arguments), standalone_mode=False, obj=compute)
    except PipelineError as error:
        sys.exit(for_terminal(one_line(f"Error: {error}")))
    except click.ClickException as error:
        sys.exit(for_terminal(one_line(f"Error: {error.format_message()}")))
