"""How much the exhaustive tests try: a seeded sample with `make test`, ten times as much or all with `make prove`."""

import os

import pytest

PROVES = os.environ.get("PROVE") == "1"
"""Set by `make prove`."""

exhaustive = pytest.mark.prove
"""Marks a test that tries more with `make prove`."""


def tries(sample: int, whole: int | None = None) -> int:
    """How often to try: `sample` times, or `whole` (ten times as often) with `make prove`."""
    return (whole or 10 * sample) if PROVES else sample
