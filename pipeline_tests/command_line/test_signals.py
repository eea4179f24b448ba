"""A command ends within seconds of Ctrl-C or a termination, with one line, the status of shells, and nothing left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.command_line.scratch import scratch_folder
from pipeline.core.files import PROJECT_ROOT

pytestmark = pytest.mark.slow

STUBBORN = """
import sys, time
from pipeline.command_line import signals
signals._signals.patience = 0.3
with signals.watched(tidy=lambda: print("tidied", flush=True)):
    said = False
    while True:
        try:
            if not said:
                said = True
                print("ready", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print("went on", flush=True)
"""
EARLY = (
    "from pipeline.command_line import signals; signals.heed(); import time; print('ready', flush=True); time.sleep(60)"
)
WORKING = """
import time
from pipeline.command_line import cli, signals
@cli.cli.command("wait")
def wait():
    with cli.scratch_folder() as folder:
        print("ready", folder, flush=True)
        time.sleep(60)
cli.main()
"""


def ended(code: str, number: int, tmp_path: Path, *arguments: str) -> tuple[int, str, str, float]:
    """(status, output, errors, seconds from the signal to the end) of a process that says when it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("ready"), process.communicate()
    began = time.monotonic()
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    return process.returncode, first + output, errors, time.monotonic() - began


WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "terminated, as its terminal"}


@pytest.mark.parametrize("number", WORDS)
@pytest.mark.parametrize("code", [EARLY, WORKING])
def test_a_signal_ends_a_command_with_one_line(code: str, number: signal.Signals, tmp_path: Path) -> None:
    status, _, errors, seconds = ended(code, number, tmp_path, "wait")
    assert status == 128 + number
    (line,) = errors.strip().splitlines()
    assert line.startswith(f"Error: {WORDS[number]}")
    assert seconds < 10
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_takes_no_notice_is_ended(tmp_path: Path) -> None:
    status, output, errors, seconds = ended(STUBBORN, signal.SIGINT, tmp_path)
    assert status == 128 + signal.SIGINT
    assert output == "ready\nwent on\ntidied\n"
    assert errors.startswith("Error: interrupted")
    assert seconds < 20


def test_what_a_killed_command_left_the_next_one_removes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended(WORKING, signal.SIGKILL, tmp_path, "wait")[0] == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder() as mine:
        assert not left.exists()
        # One that is in use stays.
        with scratch_folder():
            assert mine.is_dir()
    assert list(tmp_path.iterdir()) == []
