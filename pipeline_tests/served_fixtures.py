"""Services to ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from deciding_model import made_decision
from exports import info_of
from served import WITH_TORCH, WITHOUT_TORCH, Launcher, Served, launcher

from pipeline.exporting.export import ExportSource, export_model
from pipeline.exporting.options import ExportOptions, ParityLimits

KNOWN = [
    "How do I learn Python?",
    "What is the capital of France?",
    "How can I lose weight quickly?",
    "Why is the sky blue?",
    "How do I cook rice?",
]


@pytest.fixture(scope="session")
def launching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Starts services that can import nothing but what requirements-serve.lock names."""
    with launcher(tmp_path_factory.mktemp("services"), WITHOUT_TORCH) as found:
        yield found


@pytest.fixture(scope="session")
def launching_with_torch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Starts services of the plain install."""
    with launcher(tmp_path_factory.mktemp("services"), WITH_TORCH) as found:
        yield found


@pytest.fixture(scope="session")
def deciding_export(deciding_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a model with a decision."""
    info, folder = info_of(deciding_model), tmp_path_factory.mktemp("deciding") / "export"
    made = export_model(ExportSource(info, made_decision(info.version)), ExportOptions(), ParityLimits(), folder)
    assert made.check.passed, made.check.message
    return folder


@pytest.fixture(scope="session")
def known_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few questions."""
    path = tmp_path_factory.mktemp("known") / "known.txt"
    path.write_text("\n".join(KNOWN) + "\n")
    return path


@pytest.fixture(scope="session")
def asked(
    launching: Launcher, deciding_export: Path, known_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A service that tests ask. What they add to it, they remove again."""
    journal = tmp_path_factory.mktemp("journal")
    arguments = ["--model", str(deciding_export), "--in", str(known_file), "--journal", str(journal)]
    limits = ["--limit", "max_batch=20", "--limit", "max_body_bytes=20000"]
    with launching.serving(*arguments, *limits) as served:
        yield served
