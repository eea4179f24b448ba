"""The project's definitions with sensors that look every few seconds, for tests that wait for them."""

from typing import Any
from unittest import mock

import dagster as dg

_sensor = dg.sensor


def _hasty(**options: Any) -> Any:
    return _sensor(**{**options, "minimum_interval_seconds": 4})


with mock.patch.object(dg, "sensor", _hasty):
    from pipeline.definitions import defs

__all__ = ["defs"]
