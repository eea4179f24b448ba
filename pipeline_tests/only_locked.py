"""Imported first, it keeps a process from importing what isn't in requirements-serve.lock, and so from using torch."""

import importlib.abc
import importlib.machinery
import importlib.metadata
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

_LOCK = Path(__file__).resolve().parents[1] / "requirements-serve.lock"


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class _OnlyLocked(importlib.abc.MetaPathFinder):
    """Refuses modules that only other distributions have."""

    def __init__(self) -> None:
        locked = {_normalised(name) for name in re.findall(r"^([\w.-]+)==", _LOCK.read_text(), re.MULTILINE)}
        owners = importlib.metadata.packages_distributions()
        self._refused = {
            module
            for module, distributions in owners.items()
            if not locked & set(map(_normalised, distributions)) and module != "pipeline"
        }

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] in self._refused:
            raise ModuleNotFoundError(f"No module named {fullname!r} in requirements-serve.lock", name=fullname)
        return None


sys.meta_path.insert(0, _OnlyLocked())
