"""What stays of old trainings, wherever their files lie, and what may go: by rule, each with its reason.

Runs are known by their names, `sentence-transformers-ft-<UNIX_TIMESTAMP>`, which stored values hold as part of a place.
Looking for names in a record's text needs no knowledge of its type, so also records of other releases keep their runs.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.compute.base import TrainingFiles
from pipeline.core.store import VersionStore, unreadable
from pipeline.quality.options import RetentionRules
from pipeline.reporting.leaderboard import Leaderboard
from pipeline.training.run_folder import STEM

if TYPE_CHECKING:
    from upath import UPath

UNFINISHED_FOR = timedelta(days=7)
"""A training without a manifest may go on, or be resumed, for so long after it was last written to."""

_RUN_NAME = re.compile(rf"{re.escape(STEM)}-\d+")


@dataclass(frozen=True)
class Item:
    """Something that takes space, and what becomes of it.

    Attributes:
        what: `checkpoints`, `training`, `value` or `leftover`.
        name: what people find it by.
        size: in bytes; None where the place doesn't say.
        reason: why it stays, or why it may go.
        delete: deletes it; None for what stays.
    """

    what: str
    name: str
    size: int | None
    reason: str
    delete: Callable[[], None] | None

    @property
    def stays(self) -> bool:
        """Whether the rules keep it."""
        return self.delete is None

    def __str__(self) -> str:
        size = "" if self.size is None else f" ({self.size / 1e6:,.1f} MB)"
        return f"{self.what} {self.name}{size}: {self.reason}"


def run_names(text: str) -> set[str]:
    """The names of trainings in a text."""
    return set(_RUN_NAME.findall(text))


def kept_trainings(store: VersionStore, production: str, leaderboard: str, top: int) -> dict[str, str]:
    """Why a training stays, by its name, as far as records say so.

    Args:
        production: the asset whose values are the records of what is, or was, in production.
        leaderboard: the asset that compares models: being named there is no reason, but for the first ones.
        top: how many.

    Raises:
        PipelineError: when a current value or a record can't be read: what it names must not be deleted.
    """
    kept: dict[str, str] = {}
    if top and store.has(leaderboard):
        board = store.read(leaderboard, Leaderboard, store.resolve(leaderboard))
        for rank, row in enumerate(board.rows[:top], start=1):
            kept |= dict.fromkeys(run_names(row.model_dump_json()), f"number {rank} on the leaderboard")
    for asset in store.assets():
        if asset not in (leaderboard, production):
            kept |= dict.fromkeys(run_names(_current_text(store, asset)), f"the current {asset} points to it")
    if store.has(production):
        for path in store.folder(production).glob("*.json"):
            kept |= dict.fromkeys(run_names(_text(path, production)), "it was in production")
        kept |= dict.fromkeys(run_names(_current_text(store, production)), "it is in production")
    return kept


def _current_text(store: VersionStore, asset: str) -> str:
    """The current value of an asset as it is stored; empty for one that is no JSON."""
    path = store.folder(asset) / store.resolve(asset).file
    return _text(path, asset) if path.suffix == ".json" else ""


def _text(path: "UPath | Path", asset: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise unreadable(asset, path, error) from error


def judge_trainings(
    found: Collection[TrainingFiles],
    kept: Mapping[str, str],
    rules: RetentionRules,
    delete: Callable[[str], None],
    delete_checkpoints: Callable[[str], None] | None = None,
    known: Collection[str] | None = None,
) -> Iterator[Item]:
    """What becomes of each training and of its checkpoints; the newest trainings come first.

    Args:
        kept: why a training stays, by its name.
        delete: deletes all files of one training, by its name.
        delete_checkpoints: deletes the checkpoints of one, where they lie apart.
        known: the trainings that this project's values name, where others keep theirs in the same place; None where
            all are this project's.
    """
    for rank, run in enumerate(sorted(found, key=lambda run: (run.created, run.name), reverse=True)):
        reason = kept.get(run.name) or _why(run, rank, rules, known)
        if reason and delete_checkpoints and run.checkpoints and run.is_finished():
            said = "its training is finished, and nothing reads them again"
            yield Item("checkpoints", run.name, run.checkpoints, said, _of(delete_checkpoints, run.name))
        yield Item(
            "training",
            run.name,
            None if run.size is None else run.size - (run.checkpoints if reason else 0),
            reason or _no_reason(rules),
            None if reason else _of(delete, run.name),
        )


def _why(run: TrainingFiles, rank: int, rules: RetentionRules, known: Collection[str] | None) -> str | None:
    if rank < rules.keep:
        return f"one of the newest {rules.keep}"
    if known is not None and run.name not in known:
        return "no value in PIPELINE_HOME names it: it may be another project's"
    if datetime.now(UTC) - run.touched < UNFINISHED_FOR and not run.is_finished():
        return "its training is not finished"
    return None


def _no_reason(rules: RetentionRules) -> str:
    """Why something goes."""
    return (
        f"not in production or its history, not current, not among the first {rules.top} on the leaderboard, not one "
        f"of the newest {rules.keep}"
    )


def _of(delete: Callable[[str], None], name: str) -> Callable[[], None]:
    return lambda: delete(name)
