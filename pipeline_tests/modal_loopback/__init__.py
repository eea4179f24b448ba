"""A stand-in for Modal's service on 127.0.0.1, against which the real `modal` library and CLI run in tests."""

from .loopback import (
    CallRecord,
    ContainerRecord,
    DeploymentRecord,
    LoopbackModal,
    run_loopback_modal,
    wait_until,
)

# The protocol's definitions and the client's ways are those of this version.
MODAL_VERSION = "1.6.4"

__all__ = [
    "MODAL_VERSION",
    "CallRecord",
    "ContainerRecord",
    "DeploymentRecord",
    "LoopbackModal",
    "run_loopback_modal",
    "wait_until",
]
