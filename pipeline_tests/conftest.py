"""What several test modules share: small inputs, and a home folder of the test's own."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from deciding_model import make_deciding_model
from effort import exhaustive
from error_lines import ErrorLines, watch
from hypothesis import is_hypothesis_test
from modal_loopback.fixture import forked_containers, modal_loopback  # noqa: F401  (fixtures)
from served_fixtures import (  # noqa: F401  (fixtures)
    asked,
    deciding_export,
    known_file,
    launching,
    launching_with_torch,
)
from shared_folders import unchanged
from small_data import write_small_pairs
from tiny_model import make_tiny_model

from pipeline.core.errors import PipelineError
from pipeline.core.files import PROJECT_ROOT

pytest_plugins = ["pytester"]

_SERVERS = {"hub", "launching", "launching_with_torch", "modal_loopback"}
"""Fixtures that start one."""

for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    # Whoever starts tests in the background has them ignore Ctrl-C, and so do all processes that they start.
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first: where files are shared out among processes, quick ones fill up the end.

    Tests that ask for a server are slow. Property-based tests try more with `make prove`.
    """
    for item in items:
        if isinstance(item, pytest.Function) and not _SERVERS.isdisjoint(item.fixturenames):
            item.add_marker(pytest.mark.slow)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    for item in items:
        if isinstance(item, pytest.Function) and is_hypothesis_test(item.obj):
            item.add_marker(exhaustive)


@pytest.fixture(autouse=True)
def _errors_have_their_form() -> Iterator[None]:
    """Check the line of every error that the package makes in a test; see `error_lines.py`."""
    lines = ErrorLines()
    original = watch(lines)
    yield
    PipelineError.__init__ = original  # type: ignore[method-assign]
    assert lines.faulty == []


@pytest.fixture
def pipeline_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `PIPELINE_HOME`, and no `DAGSTER_HOME` or other setting of the developer's."""
    home = tmp_path / "home"
    monkeypatch.setenv("PIPELINE_HOME", str(home))
    for name in ("DAGSTER_HOME", "PIPELINE_RUNS_FOLDER", "PIPELINE_COMPUTE", "PIPELINE_PROGRESS_FILE"):
        monkeypatch.delenv(name, raising=False)
    # Threads of several processes on a few cores spend their time waiting for each other.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return home


@pytest.fixture
def small_pairs(tmp_path: Path) -> Path:
    """See `write_small_pairs`."""
    return write_small_pairs(tmp_path / "pairs.tsv")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of `make_tiny_model`, which all tests of a process share."""
    with unchanged(make_tiny_model(tmp_path_factory.mktemp("tiny_model"))) as folder:
        yield folder


@pytest.fixture(scope="session")
def deciding_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `make_deciding_model`, which all tests of a process share."""
    return make_deciding_model(tiny_model, tmp_path_factory.mktemp("deciding") / "tiny-ft")


@pytest.fixture
def small_config(tmp_path: Path, small_pairs: Path, tiny_model: Path) -> Path:
    """A run config that trains for a moment."""
    path = tmp_path / "small.yaml"
    path.write_text(
        f"""
ops:
  raw_quora_dataset: {{config: {{source: file, path: {small_pairs}}}}}
  splits: {{config: {{strategy: reference, eval_fraction: 0.2, dev_fraction: 0.2}}}}
  base_model: {{config: {{model: {tiny_model}}}}}
  fine_tuned_model: {{config: {{epochs: 2, batch_size: 16, max_seq_length: 16, save_steps: 5}}}}
"""
    )
    return path


@pytest.fixture(scope="session")
def real_pairs_path() -> Path:
    """A file of real Quora pairs, which are no part of the project."""
    beside = PROJECT_ROOT.parent / "shared" / "data" / "quora_pairs.parquet"
    path = Path(os.environ.get("QUORA_PAIRS") or beside)
    if not path.is_file():
        pytest.skip("needs real Quora pairs: set QUORA_PAIRS to a file of them")
    return path
