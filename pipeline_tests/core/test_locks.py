"""Locks of the kernel: one process at a time, and none is left behind by a process that is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.errors import BusyError
from pipeline.core.locks import held_alone, locked

HOLD = """
import sys, time
from pathlib import Path
from pipeline.core.locks import held_alone
with held_alone(Path(sys.argv[1]), "trains in"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_that_is_held_is_refused_in_a_line_until_its_holder_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError) as caught, held_alone(tmp_path, "trains in"):
            pass
        assert caught.value.values == {"path": tmp_path}
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with held_alone(tmp_path, "trains in"):
        pass


COUNT = """
import sys
from pathlib import Path
from pipeline.core.locks import locked
folder, counter = Path(sys.argv[1]), Path(sys.argv[1]) / "counter"
for _ in range(100):
    with locked(folder), locked(folder):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_waiting_processes_come_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    workers = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)]) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert (tmp_path / "counter").read_text() == "300"


def test_a_store_of_objects_holds_nothing() -> None:
    from upath import UPath

    with locked(UPath("memory://somewhere")):
        assert not UPath("memory://somewhere").exists()
