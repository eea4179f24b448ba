"""Services to ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from served import WITH_TORCH, Launcher, Served, launcher

KNOWN = [
    "How do I learn Python?",
    "What is the capital of France?",
    "How can I lose weight quickly?",
    "Why is the sky blue?",
    "How do I cook rice?",
]


@pytest.fixture(scope="session")
def launching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Starts services with torch."""
    with launcher(tmp_path_factory.mktemp("services"), WITH_TORCH) as found:
        yield found


@pytest.fixture(scope="session")
def known_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few questions."""
    path = tmp_path_factory.mktemp("known") / "known.txt"
    path.write_text("\n".join(KNOWN) + "\n")
    return path


@pytest.fixture(scope="session")
def asked(
    launching: Launcher, deciding_model: Path, known_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A service that tests ask and change nothing in."""
    journal = tmp_path_factory.mktemp("journal")
    arguments = ["--model", str(deciding_model), "--in", str(known_file), "--journal", str(journal)]
    limits = ["--limit", "max_batch=20", "--limit", "max_body_bytes=20000"]
    with launching.serving(*arguments, *limits) as served:
        yield served
