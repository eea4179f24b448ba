"""Checks the folder that DAGSTER_HOME names, and creates Dagster's SQLite databases in a new one.

Two processes that open a new home at once break it: Dagster creates the databases without a lock, both write a
revision, and every later command fails with `Version table 'alembic_version' has more than one head present`. So
`make` and `python -m pipeline` create them here first, under a lock. What Dagster would answer with a traceback is one
line. Dagster is imported only where a database is missing.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import DamagedError, ResourceError, SettingError, excerpt, one_line, reason_of
from pipeline.core.locks import locked
from pipeline.settings import environment
from pipeline.settings.yaml_text import config_text, load_yaml

if TYPE_CHECKING:
    from dagster import DagsterInstance

_WAY_OUT = "correct it, or start from deploy/dagster.yaml"
_MAX_REASON = 120

_DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
_TIMEOUT = 60
"""Seconds to wait for a database that another process uses."""


def folder_of(home: str) -> Path:
    """The folder that a value of DAGSTER_HOME names, which may not exist yet.

    Raises:
        SettingError: when it is relative, or in the home of an unknown user.
    """
    try:
        # `~` means the same to Dagster.
        folder = Path(home).expanduser()
    except RuntimeError:
        raise SettingError(
            f"DAGSTER_HOME is {excerpt(home)}, and there is no such user: set it to a folder", value=home
        ) from None
    if not folder.is_absolute():
        raise SettingError(
            f"DAGSTER_HOME is {excerpt(home)}, a relative path, which Dagster refuses: set it to {folder.absolute()}",
            value=home,
        )
    return folder


def check_dagster_home(home: str) -> None:
    """Check the folder that a value of DAGSTER_HOME names, and the settings in it.

    Raises:
        SettingError: when it is relative or no folder, or its `dagster.yaml` can't be read.
    """
    folder = folder_of(home)
    if not folder.is_dir():
        raise SettingError(
            f"DAGSTER_HOME is {excerpt(home)}, which is no folder: create it, or unset the variable", value=home
        )
    settings = folder / "dagster.yaml"
    if settings.exists() and not isinstance(load_yaml(config_text(settings), str(settings)), dict | None):
        raise SettingError(f"{settings} contains no settings: {_WAY_OUT}", path=settings)


def open_instance() -> "DagsterInstance":
    """Open Dagster's instance in the folder that DAGSTER_HOME names.

    Raises:
        SettingError: when Dagster refuses its settings or its databases.
    """
    import dagster as dg

    try:
        return dg.DagsterInstance.get()
    except Exception as error:  # Of any type: the settings may name any class.
        problems = getattr(error, "errors", None)
        message = str(problems[0].message).partition(" Expected:")[0] if problems else None
        reason = one_line(message, _MAX_REASON) if message else reason_of(error)
        settings = Path(environment.dagster_home() or ".").expanduser() / "dagster.yaml"
        raise SettingError(f"Dagster can't use {settings} ({reason}): {_WAY_OUT}", path=settings) from error


def set_up(home: Path) -> None:
    """Create the databases in the folder that DAGSTER_HOME names, unless they exist.

    Raises:
        ResourceError: when it can't be written.
        DamagedError: when a database is broken, such as by two of Dagster's own commands.
    """
    try:
        with locked(home):
            if _is_whole(home):
                return
            # With other storage, such as PostgreSQL, there are never such files.
            with open_instance():
                pass
            _is_whole(home)
    except OSError as error:
        reason = error.strerror or reason_of(error)
        raise ResourceError(
            f"can't write to DAGSTER_HOME {home} ({reason}): set it to a folder that can be written", path=home
        ) from error


def _is_whole(home: Path) -> bool:
    """Whether all databases exist; a broken one is an error, even where another one is missing."""
    return {_revisions(home, name) for name in _DATABASES} == {1}


def _revisions(home: Path, name: str) -> int:
    """The number of revisions in a database: 1, or 0 before it is created."""
    path = home / name
    if not path.is_file():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=_TIMEOUT)) as database:
            tables = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'").fetchone()[0]
            revisions = int(database.execute("SELECT count(*) FROM alembic_version").fetchone()[0]) if tables else 0
    except sqlite3.Error as error:
        raise _broken(home, f"{name} can't be read ({reason_of(error)})") from error
    if revisions > 1:
        raise _broken(home, f"two commands set up {name} at once (it has more than one head)")
    return revisions


def _broken(home: Path, why: str) -> DamagedError:
    return DamagedError(
        f"DAGSTER_HOME {home} is broken, {why}: stop what uses it, and delete `history` and `schedules` in it (the "
        "record of runs)",
        path=home,
    )
