"""Looks at the folder that DAGSTER_HOME names, and sets up Dagster's SQLite files in a new one.

What Dagster would answer with a traceback, or wait for, is one line. Dagster's own set-up of its files can't stand a
second process: both write a revision into the same table, and every later command fails with `Version table
'alembic_version' has more than one head present`. What `make` and `python -m pipeline` start goes through here first.
No Dagster is imported for a home that is whole.
"""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import PipelineError, excerpt, one_line, reason_of
from pipeline.core.locks import locked
from pipeline.settings import environment
from pipeline.settings.yaml_text import config_text, load_yaml

if TYPE_CHECKING:
    from dagster import DagsterInstance

_WAY_OUT = "correct it, or start from deploy/dagster.yaml"
_LONGEST_REASON = 120

_DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
_PATIENCE = 60
"""Seconds that a database may be in use by another process."""


def folder_of(home: str) -> Path:
    """The folder that a value of DAGSTER_HOME names, which need not be there.

    Raises:
        PipelineError: when it is relative, or names the home of no user.
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
    return folder


def check_dagster_home(home: str) -> None:
    """Look at the folder that a value of DAGSTER_HOME names, and at the settings in it.

    Raises:
        PipelineError: when it is relative or no folder, or its `dagster.yaml` can't be read.
    """
    folder = folder_of(home)
    if not folder.is_dir():
        raise PipelineError(f"DAGSTER_HOME is {excerpt(home)}, which is no folder: make it, or unset the variable")
    settings = folder / "dagster.yaml"
    if settings.exists() and not isinstance(load_yaml(config_text(settings), str(settings)), dict | None):
        raise PipelineError(f"{settings} holds no settings: {_WAY_OUT}")


def open_instance() -> "DagsterInstance":
    """Open Dagster's instance in the folder that DAGSTER_HOME names.

    Raises:
        PipelineError: when its settings, or a database under it, don't let Dagster.
    """
    import dagster as dg

    try:
        return dg.DagsterInstance.get()
    except Exception as error:  # Whatever its settings make Dagster, or a database under it, raise.
        problems = getattr(error, "errors", None)
        said = str(problems[0].message).partition(" Expected:")[0] if problems else None
        reason = one_line(said, _LONGEST_REASON) if said else reason_of(error)
        settings = Path(environment.dagster_home() or ".").expanduser() / "dagster.yaml"
        raise PipelineError(f"Dagster can't use {settings} ({reason}): {_WAY_OUT}") from error


def set_up(home: Path) -> None:
    """Leave a home that any number of Dagster's processes can open; it is the one that DAGSTER_HOME names.

    Raises:
        PipelineError: when it can't be written, or two of Dagster's own commands have broken it.
    """
    try:
        with locked(home):
            if _is_whole(home):
                return
            # Where other storage is configured, such as PostgreSQL, there are never such files.
            with open_instance():
                pass
            _is_whole(home)
    except OSError as error:
        raise PipelineError(f"can't write into DAGSTER_HOME {home} ({error.strerror or reason_of(error)})") from error


def _is_whole(home: Path) -> bool:
    """Whether all databases are set up.

    Raises:
        PipelineError: when one of them is broken.
    """
    # All are looked at: a broken one must not hide behind one that isn't there.
    return set(map(partial(_revisions, home), _DATABASES)) == {1}


def _revisions(home: Path, name: str) -> int:
    """How many revisions a database is said to have: 1 when it is set up, 0 before."""
    path = home / name
    if not path.is_file():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=_PATIENCE)) as database:
            tables = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'").fetchone()[0]
            revisions = int(database.execute("SELECT count(*) FROM alembic_version").fetchone()[0]) if tables else 0
    except sqlite3.Error as error:
        raise _broken(home, f"{name} can't be read ({reason_of(error)})") from error
    if revisions > 1:
        raise _broken(home, f"two commands set up {name} at once (it has more than one head)")
    return revisions


def _broken(home: Path, why: str) -> PipelineError:
    return PipelineError(
        f"DAGSTER_HOME {home} is broken: {why}. Stop what uses it, and delete `history` and `schedules` in it (the "
        "record of runs)"
    )
