"""Starts a command in a private file system in which a container's mounts lie at their own absolute paths."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_SCRIPT = Path(__file__).with_name("private_root.sh")


@dataclass(frozen=True)
class Bind:
    """A folder or file of this machine and where the container sees it."""

    source: Path
    target: str
    is_read_only: bool = False


def in_private_root(command: Sequence[str], root: Path, working_folder: Path, binds: Sequence[Bind]) -> list[str]:
    """Wrap a command so that it runs in a private root. The process keeps its id: every wrapper replaces itself."""
    return [*_namespace(), *mounting(command, root, working_folder, binds)]


def mounting(command: Sequence[str], root: Path, working_folder: Path, binds: Sequence[Bind]) -> list[str]:
    """Wrap a command so that it first mounts a private root, in the mount namespace that it is started in."""
    mounts = [word for bind in binds for word in (str(bind.source), bind.target, "ro" if bind.is_read_only else "rw")]
    return ["sh", str(_SCRIPT), str(root), str(working_folder), *mounts, "--", *command]


@cache
def missing_for_private_roots() -> str:
    """Say what this machine lacks to run containers; an empty string if nothing."""
    if shutil.which("unshare") is None:
        return "the loopback Modal server needs Linux's mount namespaces (the unshare command)"
    tried = subprocess.run([*_namespace(), "mount", "-t", "tmpfs", "probe", "/mnt"], capture_output=True, text=True)
    if tried.returncode:
        return f"the loopback Modal server may not make a mount namespace: {tried.stderr.strip()}"
    return ""


def _namespace() -> list[str]:
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *as_root, "--propagation", "private"]
