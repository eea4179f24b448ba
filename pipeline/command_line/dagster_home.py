"""Sets up Dagster's SQLite files in a new DAGSTER_HOME, one process at a time, and recognises files that are broken.

Dagster's own set-up can't stand a second process: both write a revision into the same table, and every later command
fails with `Version table 'alembic_version' has more than one head present`. What `make` and `python -m pipeline` start
goes through here first. No Dagster is imported for a home that is whole.
"""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.locks import locked

_DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
_PATIENCE = 60
"""Seconds that a database may be in use by another process."""


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
            import dagster as dg

            with dg.DagsterInstance.get():
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
        raise _broken(home, f"two of Dagster's commands set up {name} at once, so it has more than one head")
    return revisions


def _broken(home: Path, why: str) -> PipelineError:
    return PipelineError(
        f"DAGSTER_HOME {home} is broken: {why}. Stop what uses it, and delete `history` and `schedules` in it: that is "
        "the record of runs; models and values lie in PIPELINE_HOME"
    )
