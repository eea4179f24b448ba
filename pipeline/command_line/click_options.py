"""Options shared by several commands."""

from pathlib import Path

import click

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Run config, such as configs/quickstart.yaml.",
)
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="STEP.SETTING=VALUE",
    help="Override one setting; may be repeated.",
)
pairs_option = click.option(
    "--pairs",
    "own_pairs",
    metavar="FILE",
    help="Your own question pairs, instead of those of the config: a file, a folder or a URL.",
)
model_option = click.option(
    "--model",
    "choice",
    default="production",
    show_default=True,
    help="`production`, `exported`, the id of the run that trained it, the folder of a model or of an export, a "
    "Hugging Face id, or `bundled`.",
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Device for the embeddings.",
)
precision_option = click.option(
    "--precision",
    type=float,
    help="Decide by the threshold with this precision on the dev split. [default: the threshold with the best F1]",
)
column_option = click.option(
    "--column",
    metavar="NAME",
    help="The column of the questions. [default: the only one, or question, text, sentence, query, title]",
)


def with_own_pairs(own_pairs: str | None, overrides: tuple[str, ...]) -> tuple[str, ...]:
    """The overrides of `--set`, after those that `--pairs` stands for."""
    if own_pairs is None:
        return overrides
    return ("raw_quora_dataset.source=file", f"raw_quora_dataset.path={own_pairs}", *overrides)
