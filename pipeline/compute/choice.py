"""Which places to compute there are, and which one is chosen."""

import importlib
from pathlib import Path

from pipeline.compute.base import Backend, Compute
from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.locations import register_scheme

_BACKENDS = {
    "local": "pipeline.compute.local",
    "modal": "pipeline.compute.modal.backend",
}
"""The module of each place, which has a `BACKEND`."""


_loaded: dict[str, Backend] = {}
"""Each backend under the name that it was asked for by, and under its kind."""


def backend(kind: str) -> Backend:
    """The place of that name: one of the project's own, or by its dotted name a module that has a `BACKEND`.

    Raises:
        PipelineError: when there is no such place.
    """
    if kind not in _loaded:
        found = _load(kind)
        _loaded[kind] = _loaded[found.kind] = found
        if found.scheme:
            register_scheme(found.scheme, f"set PIPELINE_COMPUTE={kind}")
    return _loaded[kind]


def _load(kind: str) -> Backend:
    if kind not in _BACKENDS and "." not in kind:
        raise PipelineError(
            f"PIPELINE_COMPUTE is {kind!r}, but there is only: {', '.join(_BACKENDS)}; unset it to compute here"
        )
    try:
        found: Backend = importlib.import_module(_BACKENDS.get(kind, kind)).BACKEND
    except (ImportError, AttributeError) as error:
        raise PipelineError(
            f"PIPELINE_COMPUTE is {kind!r}, but that module can't be used ({reason_of(error)}): it must have a BACKEND"
        ) from error
    return found


def backends() -> list[Backend]:
    """All places of the project, and those that were asked for beside."""
    places = [*(backend(kind) for kind in _BACKENDS), *_loaded.values()]
    return list({place.kind: place for place in places}.values())


def create_compute(kind: str, runs_folder: Path) -> Compute:
    """The compute of that name.

    Raises:
        PipelineError: when there is none, or a setting of it makes no sense.
    """
    # All of them, so that a model which lies with another one is named with the way to reach it.
    backends()
    place = backend(kind)
    place.check()
    return place.create(runs_folder)
