"""The loopback server speaks the protocol of one exact version of modal."""

import re
from importlib.metadata import version
from pathlib import Path

from modal_loopback import MODAL_VERSION
from modal_loopback.control_plane import REQUEST_TYPES, ControlPlane, method_name

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"


def test_the_installed_modal_is_the_version_that_the_server_was_written_against() -> None:
    assert version("modal") == MODAL_VERSION, (
        f"modal {version('modal')} is installed, but the loopback server was written against {MODAL_VERSION}: "
        "run pipeline_tests/modal_loopback with the new version, mend what fails, then change MODAL_VERSION"
    )


def test_the_constraints_pin_the_version_that_the_server_was_written_against() -> None:
    assert re.search(r"^modal==(.+)$", CONSTRAINTS.read_text(), re.MULTILINE)[1] == MODAL_VERSION  # type: ignore[index]


def test_every_rpc_method_belongs_to_an_rpc_of_the_protocol() -> None:
    methods = {
        name
        for base in ControlPlane.__mro__[1:-2]
        for name, value in vars(base).items()
        if callable(value) and not name.startswith("_")
    }

    assert methods <= {method_name(rpc) for rpc in REQUEST_TYPES}
