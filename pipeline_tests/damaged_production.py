"""What may have become of the record of the model in production, so that it can't be read."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.store import VersionStore
from pipeline.orchestration.steps import PRODUCTION


@dataclass(frozen=True)
class Damage:
    """One kind of damage.

    Attributes:
        do: damages the current record below a home folder.
        said: a part of what is said of it.
        spares_the_pointer: whether it is known still which record is the current one.
    """

    do: Callable[[VersionStore], object]
    said: str
    spares_the_pointer: bool = True


def _pointer(store: VersionStore) -> Path:
    return Path(store.home) / PRODUCTION / "current.json"


def _record(store: VersionStore) -> Path:
    return Path(store.home) / PRODUCTION / store.resolve(PRODUCTION).file


def _cut(path: Path) -> None:
    path.write_text(path.read_text()[:-100])


def _change(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    stored = json.loads(path.read_text())
    change(stored["value"])
    path.write_text(json.dumps(stored))


_NEWER = "was written by a newer release of this project"

DAMAGES = {
    "damaged JSON": Damage(lambda store: _cut(_record(store)), "can't read"),
    "a missing field": Damage(lambda store: _change(_record(store), lambda value: value.pop("run_id")), "run_id"),
    "a newer schema": Damage(lambda store: _change(_record(store), lambda value: value.update(schema=99)), _NEWER),
    "a newer schema of a part": Damage(
        lambda store: _change(_record(store), lambda value: value["report"].update(schema=99)), _NEWER
    ),
    "another content": Damage(
        lambda store: _change(_record(store), lambda value: value.update(promoted_at="then")),
        "has changed since it was written",
    ),
    "a record that is gone": Damage(lambda store: _record(store).unlink(), "No such file"),
    "a damaged pointer": Damage(lambda store: _cut(_pointer(store)), "current.json", spares_the_pointer=False),
    "a pointer of a newer schema": Damage(
        lambda store: _pointer(store).write_text('{"schema": 99}'), _NEWER, spares_the_pointer=False
    ),
}
