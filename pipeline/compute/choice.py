"""The registry of compute backends: find one by its name, and create its compute."""

import importlib
from pathlib import Path

from pipeline.compute.base import Backend, Compute
from pipeline.core.errors import SettingError, reason_of
from pipeline.core.locations import register_scheme

_BACKENDS = {
    "local": "pipeline.compute.local",
    "modal": "pipeline.compute.modal.backend",
}
"""The module of each built-in backend; it has a `BACKEND`."""


_loaded: dict[str, Backend] = {}
"""Each loaded backend, under the name in `PIPELINE_COMPUTE` and under its kind."""


def backend(kind: str) -> Backend:
    """Return a backend: a built-in one by its name, any other by the dotted name of a module with a `BACKEND`.

    Raises:
        SettingError: when there is no such backend.
    """
    if kind not in _loaded:
        found = _load(kind)
        _loaded[kind] = _loaded[found.kind] = found
        if found.scheme:
            register_scheme(found.scheme, f"set PIPELINE_COMPUTE={kind}")
    return _loaded[kind]


def _load(kind: str) -> Backend:
    if kind not in _BACKENDS and "." not in kind:
        raise SettingError(
            f"PIPELINE_COMPUTE is {kind!r}, but there is only: {', '.join(_BACKENDS)}; unset it to compute here",
            setting="PIPELINE_COMPUTE",
            value=kind,
        )
    try:
        found: Backend = importlib.import_module(_BACKENDS.get(kind, kind)).BACKEND
    except (ImportError, AttributeError) as error:
        raise SettingError(
            f"PIPELINE_COMPUTE is {kind!r}, but that module can't be used ({reason_of(error)}): it must have a BACKEND",
            setting="PIPELINE_COMPUTE",
            value=kind,
        ) from error
    return found


def backends() -> list[Backend]:
    """Return all built-in backends, and every other that was loaded by its dotted name."""
    known = [*(backend(kind) for kind in _BACKENDS), *_loaded.values()]
    return list({each.kind: each for each in known}.values())


def create_compute(kind: str, runs_folder: Path) -> Compute:
    """Create the compute of a backend.

    Raises:
        PipelineError: when there is no such backend, or one of its settings is invalid.
    """
    # Load all of them, so that the error for a model that another backend stores says how to reach it.
    backends()
    chosen = backend(kind)
    chosen.check()
    return chosen.create(runs_folder)
