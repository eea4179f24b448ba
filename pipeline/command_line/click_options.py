"""Options that several commands have."""

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
    help="Question pairs of your own, instead of those of the config: a file, a folder or a URL.",
)


def with_own_pairs(own_pairs: str | None, overrides: tuple[str, ...]) -> tuple[str, ...]:
    """The overrides of `--set`, after those that `--pairs` stands for."""
    if own_pairs is None:
        return overrides
    return ("raw_quora_dataset.source=file", f"raw_quora_dataset.path={own_pairs}", *overrides)
