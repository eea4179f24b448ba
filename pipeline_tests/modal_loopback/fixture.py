"""The fixture `modal_loopback`: a server for one test, to which this process and its children are directed."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .forked import FOLDER_VARIABLE
from .loopback import LoopbackModal, run_loopback_modal
from .private_root import missing_for_private_roots


@pytest.fixture(scope="session")
def forked_containers() -> Iterator[None]:
    """Let the servers of all tests fork containers that use torch from a process that has imported it once."""
    # Paths of sockets are short.
    with tempfile.TemporaryDirectory(prefix="forks-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, f"{os.getpid()}:{folder}")
        yield


@pytest.fixture
def modal_loopback(forked_containers: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackModal]:
    """A server of the test's own. The test fails if an RPC was asked for that the server doesn't implement."""
    if problem := missing_for_private_roots():
        pytest.skip(problem)
    folder = tmp_path / "modal_loopback"
    folder.mkdir()
    with run_loopback_modal(folder) as loopback:
        for name in [name for name in os.environ if name.startswith("MODAL_")]:
            monkeypatch.delenv(name)
        for name, value in loopback.environment.items():
            monkeypatch.setenv(name, value)
        yield loopback
        _forget_client()
        complaints = loopback.complaints()
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


def _forget_client() -> None:
    """Close the client that modal keeps for the whole process: it belongs to this test's server."""
    if "modal" in sys.modules:
        import modal.client

        if modal.client._Client._client_from_env is not None:  # asking for one would make one
            modal.Client.from_env().close()
