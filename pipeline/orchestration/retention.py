"""What may go of all that lies in `PIPELINE_HOME` and where trainings are kept. No Dagster here: the command `prune`
does without it.

Values of an asset stay while they are current, while a value that stays names them, as a model names its pairs, and
while they are among the newest. The records of what was in production stay all.
"""

import re
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.compute.base import Backend, Pruning
from pipeline.compute.choice import backend
from pipeline.core.store import VersionStore
from pipeline.orchestration.steps import LEADERBOARD, PRODUCTION
from pipeline.quality.options import RetentionRules
from pipeline.quality.retention import Item, judge_trainings, kept_trainings, run_names

if TYPE_CHECKING:
    from upath import UPath

    AnyPath = UPath | Path

_NO_VALUES = {"runs", "reports", "current.json"}
"""What lies in an asset's folder beside its values. Reports of other base models cost a measurement, and stay."""

_VERSION = re.compile(r"\b[0-9a-f]{16,64}\b")
_JUST_WRITTEN = 3600.0
"""Seconds in which a value may not have its pointer yet."""

_LEFT = 24 * 3600.0
"""Seconds after which nobody writes a temporary file any more."""

_DEPTHS = ("*", "*/*", "*/*/*")
_TEMPORARY = (".*.tmp", ".claim-*", ".pruned-*")


def items(
    store: VersionStore, places: list[Backend], runs_folder: "Callable[[], Path]", rules: RetentionRules
) -> Iterator[Item]:
    """All that takes space in these places and in the store, and what becomes of it; nothing is deleted.

    Raises:
        PipelineError: when a record that says what stays can't be read, or a place can't be asked.
    """
    kept = kept_trainings(store, PRODUCTION, LEADERBOARD, rules.top)
    for place in places:
        if place.pruning:
            yield from _trainings(store, place, place.pruning, runs_folder(), rules, kept)
    if any(place.scheme is None for place in places):
        yield from _values(store, rules)
        yield from _leftovers(store, runs_folder())


def place_of(kind: str) -> list[Backend]:
    """The places whose trainings a command on this machine looks after: this machine, and the chosen one."""
    return list({place.kind: place for place in (backend("local"), backend(kind))}.values())


def _trainings(
    store: VersionStore,
    place: Backend,
    pruning: Pruning,
    runs_folder: Path,
    rules: RetentionRules,
    kept: dict[str, str],
) -> Iterator[Item]:
    root, known = store.root, None
    if place.scheme is None and not (isinstance(root, Path) and runs_folder.is_relative_to(root)):
        # Other projects may have their run folders there too.
        known = set().union(*(run_names(_text(path)) for path in root.glob("*/*.json")))
    delete_checkpoints = pruning.delete_checkpoints and partial(pruning.delete_checkpoints, runs_folder)
    yield from judge_trainings(
        pruning.trainings(runs_folder), kept, rules, partial(pruning.delete, runs_folder), delete_checkpoints, known
    )


# --- values of assets ------------------------------------------------------------------------------------------


def _values(store: VersionStore, rules: RetentionRules) -> Iterator[Item]:
    by_asset = {asset: _entries(store.folder(asset)) for asset in store.assets()}
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
            said = reasons.get(path, f"not current, not used by what stays, not one of the newest {rules.keep}")
            delete = None if path in reasons else partial(_delete_value, store.folder(asset), path)
            yield Item("value", f"{asset}/{path.name}", _size(path), said, delete)


def _keep_what_is_named(by_asset: "dict[str, list[AnyPath]]", reasons: "dict[AnyPath, str]") -> None:
    """Add the values that one which stays names, and so on."""
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
    """When a value was written, in seconds since 1970; 0 where the place doesn't say."""
    try:
        return float(path.stat().st_mtime)
    except (AttributeError, OSError, TypeError, ValueError):
        return 0.0


def _size(path: "AnyPath") -> int:
    files = [path] if not path.is_dir() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _delete_value(folder: "AnyPath", path: "AnyPath") -> None:
    """Delete a value; first the pointers to it: without a value they would lead nowhere."""
    for pointer in (folder / "runs").glob("*.json") if (folder / "runs").is_dir() else ():
        if f'"{_name(path)}"' in _text(pointer):
            pointer.unlink()
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
                said = "a process that was killed left it"
                yield Item("leftover", str(path.relative_to(folder)), size, said, partial(_remove, path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
