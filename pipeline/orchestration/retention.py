"""What may be deleted in `PIPELINE_HOME` and where trainings are stored, by rule and each with its reason.

No Dagster here: the command `prune` does without it.

Trainings are known by their names, `sentence-transformers-ft-<UNIX_TIMESTAMP>`, which stored values hold as part of a
path. Looking for names in a record's text needs no knowledge of its type, so records of other releases keep their
trainings too. A value of an asset is kept while it is current, while another kept value names it, as a model names its
pairs, and while it is among the newest. All records of what was in production are kept.
"""

import re
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.compute.base import Backend, Pruning, TrainingFiles
from pipeline.compute.choice import backend
from pipeline.core.store import VersionStore, unreadable
from pipeline.orchestration.steps import LEADERBOARD, PRODUCTION, REMOVED_ASSETS
from pipeline.quality.options import RetentionRules
from pipeline.reporting.leaderboard import Leaderboard
from pipeline.training.run_folder import STEM

if TYPE_CHECKING:
    from upath import UPath

    AnyPath = UPath | Path

UNFINISHED_FOR = timedelta(days=7)
"""A training without a manifest may be running, or be resumed, for this long after its last write."""

_RUN_NAME = re.compile(rf"{re.escape(STEM)}-\d+")


_NO_VALUES = {"runs", "reports", "current.json"}
"""Not values, though in an asset's folder. Reports of other base models cost a measurement, and are kept."""

_VERSION = re.compile(r"\b[0-9a-f]{16,64}\b")
_JUST_WRITTEN = 3600.0
"""Seconds. A value of this age may not have its pointer yet."""

_LEFT = 24 * 3600.0
"""Seconds. A temporary file of this age isn't written any more."""

_DEPTHS = ("*", "*/*", "*/*/*")
_TEMPORARY = (".*.tmp", ".claim-*", ".pruned-*")


@dataclass(frozen=True)
class Item:
    """Something that takes space, and what becomes of it.

    Attributes:
        what: `checkpoints`, `training`, `value` or `leftover`.
        name: what people find it by.
        size: in bytes; None where the storage doesn't tell.
        reason: why it is kept, or may be deleted.
        delete: deletes it; None for what is kept.
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


def items(
    store: VersionStore, computes: list[Backend], runs_folder: "Callable[[], Path]", rules: RetentionRules
) -> Iterator[Item]:
    """Everything that takes space in these computes and in the store, and what becomes of it. Nothing is deleted.

    Raises:
        PipelineError: when a record that says what is kept can't be read, or a compute can't be asked.
    """
    kept = kept_trainings(store, rules.top)
    for compute in computes:
        if compute.pruning:
            yield from _trainings(store, compute, compute.pruning, runs_folder(), rules, kept)
    if any(compute.scheme is None for compute in computes):
        yield from _values(store, rules)
        yield from _leftovers(store, runs_folder())


def computes_of(kind: str) -> list[Backend]:
    """The computes whose trainings a command on this machine may delete: this machine, and the chosen one."""
    return list({compute.kind: compute for compute in (backend("local"), backend(kind))}.values())


# --- trainings -------------------------------------------------------------------------------------------------


def run_names(text: str) -> set[str]:
    """The names of trainings in a text."""
    return set(_RUN_NAME.findall(text))


def kept_trainings(store: VersionStore, top: int) -> dict[str, str]:
    """Why a training is kept, by its name, as far as records say.

    Args:
        top: how many of the first models on the leaderboard are kept. The others are not kept for being named there.

    Raises:
        PipelineError: when a current value or a record can't be read: what it names must not be deleted.
    """
    kept: dict[str, str] = {}
    if top and store.has(LEADERBOARD):
        board = store.read(LEADERBOARD, Leaderboard, store.resolve(LEADERBOARD))
        for rank, row in enumerate(board.rows[:top], start=1):
            kept |= dict.fromkeys(run_names(row.model_dump_json()), f"number {rank} on the leaderboard")
    for asset in store.assets():
        if asset not in (LEADERBOARD, PRODUCTION, *REMOVED_ASSETS):
            kept |= dict.fromkeys(run_names(_current_text(store, asset)), f"the current {asset} points to it")
    if store.has(PRODUCTION):
        for path in store.folder(PRODUCTION).glob("*.json"):
            kept |= dict.fromkeys(run_names(_record_text(path, PRODUCTION)), "it was in production")
        kept |= dict.fromkeys(run_names(_current_text(store, PRODUCTION)), "it is in production")
    return kept


def _current_text(store: VersionStore, asset: str) -> str:
    """The current value of an asset as it is stored; empty for one that is no JSON."""
    path = store.folder(asset) / store.resolve(asset).file
    return _record_text(path, asset) if path.suffix == ".json" else ""


def _record_text(path: "UPath | Path", asset: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise unreadable(asset, path, error) from error


def _trainings(
    store: VersionStore,
    compute: Backend,
    pruning: Pruning,
    runs_folder: Path,
    rules: RetentionRules,
    kept: Mapping[str, str],
) -> Iterator[Item]:
    """What becomes of each training of a compute and of its checkpoints, newest first."""
    root, known = store.root, None
    if compute.scheme is None and not (isinstance(root, Path) and runs_folder.is_relative_to(root)):
        # Other projects may have their run folders there too.
        known = set().union(*(run_names(_text(path)) for path in root.glob("*/*.json")))
    newest_first = sorted(pruning.trainings(runs_folder), key=lambda run: (run.created, run.name), reverse=True)
    for rank, run in enumerate(newest_first):
        reason = kept.get(run.name) or _why(run, rank, rules, known)
        if reason and pruning.delete_checkpoints and run.checkpoints and run.is_finished():
            delete = partial(pruning.delete_checkpoints, runs_folder, run.name)
            unused = "its training is finished, and nothing reads them again"
            yield Item("checkpoints", run.name, run.checkpoints, unused, delete)
        yield Item(
            "training",
            run.name,
            None if run.size is None else run.size - (run.checkpoints if reason else 0),
            reason or _no_reason(rules),
            None if reason else partial(pruning.delete, runs_folder, run.name),
        )


def _why(run: TrainingFiles, rank: int, rules: RetentionRules, known: Collection[str] | None) -> str | None:
    """Why a training is kept that no record names.

    Args:
        known: the trainings that values of this project name; None where all are this project's.
    """
    if rank < rules.keep:
        return f"one of the newest {rules.keep}"
    if known is not None and run.name not in known:
        return "no value in PIPELINE_HOME names it: it may be another project's"
    if datetime.now(UTC) - run.touched < UNFINISHED_FOR and not run.is_finished():
        return "its training is not finished"
    return None


def _no_reason(rules: RetentionRules) -> str:
    """Why something may be deleted."""
    return (
        f"not in production or its history, not current, not among the first {rules.top} on the leaderboard, not one "
        f"of the newest {rules.keep}"
    )


# --- values of assets ------------------------------------------------------------------------------------------


def _values(store: VersionStore, rules: RetentionRules) -> Iterator[Item]:
    for asset in set(store.assets()) & set(REMOVED_ASSETS):
        folder = store.folder(asset)
        yield Item("value", asset, _size(folder), "this release has no such asset", partial(_delete, folder))
    by_asset = {asset: _entries(store.folder(asset)) for asset in store.assets() if asset not in REMOVED_ASSETS}
    reasons: dict[AnyPath, str] = {}
    for asset, entries in by_asset.items():
        current = store.resolve(asset).version
        newest = sorted(entries, key=_written, reverse=True)[: rules.keep]
        for path in entries:
            if _name(path) == current:
                reasons[path] = "it is current"
            elif asset == PRODUCTION:
                reasons[path] = "it is the record of what was in production"
            elif path in newest:
                reasons[path] = f"one of the newest {rules.keep}"
            elif time.time() - _written(path) < _JUST_WRITTEN:
                reasons[path] = "it was just written"
    _keep_what_is_named(by_asset, reasons)
    for asset, entries in by_asset.items():
        for path in entries:
            reason = reasons.get(path, f"not current, not used by what is kept, not one of the newest {rules.keep}")
            delete = None if path in reasons else partial(_delete_value, store.folder(asset), path)
            yield Item("value", f"{asset}/{path.name}", _size(path), reason, delete)


def _keep_what_is_named(by_asset: "dict[str, list[AnyPath]]", reasons: "dict[AnyPath, str]") -> None:
    """Add the values that kept values name, and so on."""
    named_as = {_name(path): path for entries in by_asset.values() for path in entries}
    # A leaderboard names every model that there ever was.
    waiting = [path for path in reasons if path.parent.name != LEADERBOARD]
    while waiting:
        path = waiting.pop()
        for version in _VERSION.findall(_text(_main_file(path))):
            other = named_as.get(version)
            if other is not None and other not in reasons:
                reasons[other] = f"{path.parent.name}/{path.name} was made with it"
                waiting.append(other)


def _entries(folder: "AnyPath") -> "list[AnyPath]":
    return sorted(
        (path for path in folder.iterdir() if path.name not in _NO_VALUES and not path.name.startswith(".")),
        key=lambda path: path.name,
    )


def _name(path: "AnyPath") -> str:
    """The version of a value, by its file or folder."""
    return path.name.partition(".")[0]


def _main_file(path: "AnyPath") -> "AnyPath":
    return path / "report.json" if path.is_dir() else path


def _text(path: "AnyPath") -> str:
    """A value's text; empty for one that is no JSON. One that can't be read names nothing."""
    try:
        return path.read_text(encoding="utf-8") if path.suffix == ".json" else ""
    except (OSError, ValueError):
        return ""


def _written(path: "AnyPath") -> float:
    """When a value was written, in seconds since 1970; 0 where the storage doesn't tell."""
    try:
        return float(path.stat().st_mtime)
    except (AttributeError, OSError, TypeError, ValueError):
        return 0.0


def _size(path: "AnyPath") -> int:
    files = [path] if not path.is_dir() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _delete_value(folder: "AnyPath", path: "AnyPath") -> None:
    """Delete the pointers to a value, which would lead nowhere, and then the value."""
    for pointer in (folder / "runs").glob("*.json") if (folder / "runs").is_dir() else ():
        if f'"{_name(path)}"' in _text(pointer):
            pointer.unlink()
    _delete(path)


def _delete(path: "AnyPath") -> None:
    """Delete a file or a folder, at once for who reads it on a disk."""
    if not isinstance(path, Path):
        path.fs.rm(path.path, recursive=True)
        return
    doomed = path.with_name(f".pruned-{path.name}-{uuid.uuid4().hex}")
    path.rename(doomed)
    _remove(doomed)


# --- what killed processes left --------------------------------------------------------------------------------


def _leftovers(store: VersionStore, runs_folder: Path) -> Iterator[Item]:
    root = store.root
    folders = [root] if isinstance(root, Path) else []
    if not any(map(runs_folder.is_relative_to, folders)):
        folders.append(runs_folder)
    for folder in folders:
        found = {path for depth in _DEPTHS for path in folder.glob(depth) if any(map(path.match, _TEMPORARY))}
        for path in sorted(found):
            status = path.lstat()
            is_old = path.name.startswith(".pruned-") or time.time() - status.st_mtime > _LEFT
            if is_old and not any(parent in found for parent in path.parents):
                size = status.st_size if stat.S_ISREG(status.st_mode) else _size(path)
                reason = "left by a process that was killed"
                yield Item("leftover", str(path.relative_to(folder)), size, reason, partial(_remove, path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
