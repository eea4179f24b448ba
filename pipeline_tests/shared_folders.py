"""Folders that are made once and shared by tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.files import folder_sha256


@contextmanager
def unchanged(folder: Path) -> Iterator[Path]:
    """Give the folder to its users, and fail if one of them has changed a file of it."""
    before = folder_sha256(folder)
    yield folder
    assert folder_sha256(folder) == before, f"a test has changed {folder}, which others share"
