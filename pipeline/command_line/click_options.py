"""Options that every command has."""

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
