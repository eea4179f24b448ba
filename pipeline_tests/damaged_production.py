"""What may have become of the record of the model in production, so that it can't be read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.checksums import checked_json, read_checked
from pipeline.core.files import bytes_sha256
from pipeline.core.store import VersionStore
from pipeline.orchestration.steps import PRODUCTION


@dataclass(frozen=True)
class Damage:
    """One kind of damage.

    Attributes:
        do: damages the current record below a home folder.
        said: a part of what is said of it.
        spares_the_record: only the pointer to it is damaged.
    """

    do: Callable[[VersionStore], object]
    said: str
    spares_the_record: bool = False


def _pointer(store: VersionStore) -> Path:
    return Path(store.home) / PRODUCTION / "current.json"


def _record(store: VersionStore) -> Path:
    return Path(store.home) / PRODUCTION / store.resolve(PRODUCTION).file


def _cut(path: Path) -> None:
    path.write_text(path.read_text()[:-100])


def _change(store: VersionStore, change: Callable[[dict[str, Any]], object], is_told: bool = True) -> None:
    """Change the record; `is_told`: its checksum and the pointer to it are those of the changed one."""
    path, pointer = _record(store), store.resolve(PRODUCTION)
    stored = read_checked(path.read_bytes())
    change(stored["value"])
    content = checked_json(stored)
    path.write_bytes(content)
    if is_told:
        told = pointer.model_copy(update={"sha256": bytes_sha256(content)})
        _pointer(store).write_bytes(told.to_checked_json())


_NEWER = "was written by a newer release"

DAMAGES = {
    "damaged JSON": Damage(lambda store: _cut(_record(store)), "has changed since it was written"),
    "a missing field": Damage(lambda store: _change(store, lambda value: value.pop("run_id")), "run_id"),
    "a newer schema": Damage(lambda store: _change(store, lambda value: value.update(schema=99)), _NEWER),
    "a newer schema of a part": Damage(
        lambda store: _change(store, lambda value: value["report"].update(schema=99)), _NEWER
    ),
    "another content": Damage(
        lambda store: _change(store, lambda value: value.update(promoted_at="then")),
        "has changed since it was written",
    ),
    "other bytes": Damage(
        lambda store: _change(store, lambda value: value.update(is_rollback=True), is_told=False),
        "has changed since it was written",
    ),
    "a record that is gone": Damage(lambda store: _record(store).unlink(), "No such file"),
    "a damaged pointer": Damage(lambda store: _cut(_pointer(store)), "current.json", spares_the_record=True),
    "a pointer of a newer schema": Damage(
        lambda store: _pointer(store).write_text('{"schema": 99}'), _NEWER, spares_the_record=True
    ),
}
