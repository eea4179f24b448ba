"""Refuses in one line a `DAGSTER_HOME` with which Dagster ends in a traceback, or waits. Imports no Dagster."""

from pathlib import Path

from pipeline.core.errors import PipelineError, excerpt, one_line, reason_of
from pipeline.settings.yaml_text import config_text, load_yaml

_WAY_OUT = "correct it, or start from deploy/dagster.yaml"
_LONGEST_REASON = 120


def check_dagster_home(home: str) -> None:
    """Look at the folder that DAGSTER_HOME names, and at the settings in it.

    Raises:
        PipelineError: when it is relative or no folder, or its `dagster.yaml` can't be read.
    """
    try:
        # As Dagster does, so that a `~` means the same to both.
        folder = Path(home).expanduser()
    except RuntimeError:
        raise PipelineError(f"DAGSTER_HOME is {excerpt(home)}, and there is no such user: name a folder") from None
    if not folder.is_absolute():
        raise PipelineError(
            f"DAGSTER_HOME is {excerpt(home)}, a relative path, which Dagster refuses: set it to {folder.absolute()}"
        )
    if not folder.is_dir():
        raise PipelineError(f"DAGSTER_HOME is {excerpt(home)}, which is no folder: make it, or unset the variable")
    settings = folder / "dagster.yaml"
    if settings.exists() and not isinstance(load_yaml(config_text(settings), str(settings)), dict | None):
        raise PipelineError(f"{settings} holds no settings: {_WAY_OUT}")


def instance_error(home: str | None, error: Exception) -> PipelineError:
    """The one line for what Dagster raises when it opens its instance."""
    problems = getattr(error, "errors", None)
    reason = (
        one_line(str(problems[0].message).partition(" Expected:")[0], _LONGEST_REASON) if problems else reason_of(error)
    )
    settings = Path(home or ".").expanduser() / "dagster.yaml"
    return PipelineError(f"Dagster can't use {settings} ({reason}): {_WAY_OUT}")
