"""The project's definitions with sensors that look every few seconds, for tests that wait for them."""

from typing import Any
from unittest import mock

import dagster as dg


def _hasty(sensor: Any) -> Any:
    return lambda **options: sensor(**{**options, "minimum_interval_seconds": 4})


_KINDS = ("sensor", "run_failure_sensor", "run_status_sensor")

with mock.patch.multiple(dg, **{kind: _hasty(getattr(dg, kind)) for kind in _KINDS}):
    from pipeline.definitions import defs

__all__ = ["defs"]
