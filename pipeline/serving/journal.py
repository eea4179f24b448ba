"""Records the questions that were added or removed while the service ran.

A change is on the disk before it is acknowledged, so it survives a kill and a power cut. It is recorded by text, so it
can be replayed on any later model and any later set of questions. The journal is a SQLite database with the last change
of each question; one process has it open at a time.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import MismatchError, ResourceError, reason_of
from pipeline.core.locks import held_alone
from pipeline.question_pairs.questions import question_key

FILE_NAME = "journal.sqlite"
_SCHEMA = 1
_CREATE = """
CREATE TABLE changes (
    question_key TEXT PRIMARY KEY,
    question TEXT NOT NULL,
    is_known INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_by_revision ON changes (revision);
"""


@dataclass(frozen=True)
class Change:
    """A question that was added or removed.

    Attributes:
        is_known: False where it was removed.
        revision: number of the change, from 1; 0 for one that isn't recorded yet.
    """

    question: str
    is_known: bool
    revision: int = 0


class Journal:
    """The journal in one folder, created by `opened`. Not thread-safe."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self._path, self._database = path, database
        (newest,) = database.execute("SELECT coalesce(max(revision), 0) FROM changes").fetchone()
        self.revision: int = newest
        """Of the newest change."""

    def changes(self, after: int = 0) -> list[Change]:
        """The last change of each question that changed after a revision, in order.

        Raises:
            ResourceError: when the file can't be read.
        """
        with _errors_of(self._path, "read"):
            rows = self._database.execute(
                "SELECT question, is_known, revision FROM changes WHERE revision > ? ORDER BY revision", (after,)
            ).fetchall()
        return [Change(question, bool(is_known), revision) for question, is_known, revision in rows]

    def record(self, changes: Sequence[Change]) -> None:
        """Write changes to the disk, all or none.

        Raises:
            ResourceError: when they can't be written.
        """
        rows = [
            (question_key(change.question), change.question, change.is_known, self.revision + number)
            for number, change in enumerate(changes, start=1)
        ]
        with _errors_of(self._path, "write to"), self._database:
            self._database.executemany(
                "INSERT INTO changes VALUES (?, ?, ?, ?) ON CONFLICT (question_key) DO UPDATE SET "
                "question = excluded.question, is_known = excluded.is_known, revision = excluded.revision",
                rows,
            )
        self.revision += len(rows)


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    """Open the journal of a folder, and create it if there is none.

    Raises:
        BusyError: when another process has it open.
        ResourceError: when it can't be read or created.
        MismatchError: when a newer release wrote it.
    """
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            f"can't create a journal in {folder} ({reason_of(error)}): name another folder with --journal", path=folder
        ) from error
    with held_alone(folder, "serves with the journal in"):
        with _errors_of(path, "open"):
            database = sqlite3.connect(path, check_same_thread=False)
        try:
            with _errors_of(path, "open"):
                _prepare(path, database)
                journal = Journal(path, database)
            yield journal
        finally:
            database.close()


def _prepare(path: Path, database: sqlite3.Connection) -> None:
    (schema,) = database.execute("PRAGMA user_version").fetchone()
    if schema > _SCHEMA:
        raise MismatchError(
            f"{path} was written by a newer release (schema {schema}; this one reads {_SCHEMA}): upgrade the project",
            path=path,
            schema=schema,
        )
    database.execute("PRAGMA journal_mode = WAL")
    # Each commit reaches the disk before it returns.
    database.execute("PRAGMA synchronous = FULL")
    if schema == 0:
        database.executescript(f"BEGIN;{_CREATE}PRAGMA user_version = {_SCHEMA};COMMIT;")


@contextmanager
def _errors_of(path: Path, doing: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise ResourceError(
            f"can't {doing} the journal {path} ({reason_of(error)}): free disk space, or restore a backup of it",
            path=path,
        ) from error
