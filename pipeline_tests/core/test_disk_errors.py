"""Errors of disks become one line, whichever library raises them, also on real disks, full or read-only."""

import errno
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.disk_errors import disk_error, disk_problem
from pipeline.core.errors import InputError
from pipeline.core.files import PROJECT_ROOT, write_bytes


def caused_by(cause: Exception) -> Exception:
    try:
        try:
            raise cause
        except Exception as error:
            raise RuntimeError("a step failed") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "full"),
        (sqlite3.OperationalError("database or disk is full"), "full"),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), "full"),
        (RuntimeError("[enforce fail] . PytorchStreamWriter failed writing file data/0"), "full"),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"), "full"),
        (OSError(errno.EROFS, "Read-only file system", "/data/x"), "read-only"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/x"), "denied"),
        (OSError(errno.EIO, "Input/output error"), "broken"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/data/x/y"), "no folder"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "no temporary folder"),
    ],
)
def test_an_error_of_a_disk_is_told_at_any_depth(error: Exception, problem: str, tmp_path: Path) -> None:
    for raised in (error, caused_by(error)):
        found = disk_error(raised, [tmp_path])
        assert found is not None
        assert found.values["problem"] == problem
        path = getattr(error, "filename", None)
        assert found.values["path"] == (Path(path) if path else None)
        assert str(path or "") in str(found)


def test_other_errors_are_not_taken_for_one() -> None:
    for error in (ValueError("full of surprises"), KeyError("x"), FileNotFoundError(2, "No such file", "x")):
        assert disk_error(caused_by(error)) is None
    assert disk_error(InputError("the disk is full of model files: remove some")) is None
    assert disk_problem("AssertionError: 3 != 4") is None
    found = disk_problem("OSError: [Errno 28] No space left on device: '/data/x'")
    assert found is not None
    assert found.values == {"problem": "full", "path": Path("/data/x")}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_keeps_the_old_file_and_no_half_one(small_disk: Path) -> None:
    write_bytes(small_disk / "value", b"old")
    with pytest.raises(OSError, match="No space left") as caught:
        write_bytes(small_disk / "value", b"x" * 100_000)
    assert (small_disk / "value").read_bytes() == b"old"
    assert [path.name for path in small_disk.iterdir()] == ["value"]
    assert "the disk is full" in str(disk_error(caught.value, [small_disk]))


@pytest.mark.slow
def test_a_read_only_disk_is_told_by_a_command(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    result = finetune({"PIPELINE_HOME": str(small_disk)})
    assert (result.returncode, len(result.stderr.strip().splitlines()[-1]) <= 300) == (1, True)
    assert result.stderr.strip().splitlines()[-1].startswith("Error: the disk is read-only")
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_a_folder_of_somebody_else_is_told_with_its_owner(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    told, teller = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.seteuid(65534)
            (tmp_path / "value").write_text("x")
        except OSError as error:
            os.write(teller, str(disk_error(error)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(teller)
    with os.fdopen(told) as output:
        assert re.fullmatch(r"no permission for .*/value \(it belongs to root, this command runs as .*", output.read())


def finetune(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pipeline", "finetune", "--set", "raw_quora_dataset.fraction=0.02"],
        cwd=PROJECT_ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
