"""What the loopback server's own tests share."""

from pathlib import Path
from types import ModuleType

import pytest

from modal_loopback import LoopbackModal
from modal_loopback.sample_app import deploy_sample_app


@pytest.fixture
def sample(modal_loopback: LoopbackModal, tmp_path: Path) -> ModuleType:
    """The sample app, deployed to a server of the test's own."""
    return deploy_sample_app(tmp_path)
