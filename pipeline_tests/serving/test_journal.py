"""What was added or removed is kept by text: the last change of each question, whatever ends the process."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.errors import BusyError, MismatchError, ResourceError
from pipeline.core.files import PROJECT_ROOT
from pipeline.question_pairs.questions import question_key
from pipeline.serving.journal import FILE_NAME, Change, opened

QUESTIONS = st.one_of(
    st.sampled_from(["How?", "how? ", "Why?", "Ärger?", "ÄRGER?"]), st.text(min_size=1).filter(str.strip)
)
CHANGES = st.lists(st.builds(Change, QUESTIONS, st.booleans()), max_size=6)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CHANGES, max_size=5))
def test_the_last_change_of_each_question_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Change]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    last: dict[str, Change] = {}
    for batch in batches:
        with opened(folder) as journal:
            before = journal.revision
            journal.record(batch)
            assert [_plain(change) for change in journal.changes(after=before)] == [
                _plain(change) for change in _last_of(batch).values()
            ]
        for key, change in _last_of(batch).items():
            last.pop(key, None)
            last[key] = change
    with opened(folder) as journal:
        assert [_plain(change) for change in journal.changes()] == [_plain(change) for change in last.values()]
        assert journal.revision == max((change.revision for change in journal.changes()), default=0)


def _last_of(batch: list[Change]) -> dict[str, Change]:
    """In the order of the last changes."""
    last: dict[str, Change] = {}
    for change in batch:
        last.pop(question_key(change.question), None)
        last[question_key(change.question)] = change
    return last


def _plain(change: Change) -> tuple[str, bool]:
    return change.question, change.is_known


WRITER = """
import sys
from pathlib import Path
from pipeline.serving.journal import Change, opened

with opened(Path(sys.argv[1])) as journal:
    for number in range(int(sys.argv[2]), 1_000_000):
        journal.record([Change(f"question {number}", is_known=True), Change(f"other {number}", is_known=True)])
        print(number, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill_and_nothing_is_there_by_half(tmp_path: Path) -> None:
    begin = 0
    for acknowledged in (1, 40, 7):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(begin)]
        with subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(acknowledged):
                begin = int(writer.stdout.readline()) + 1
            os.kill(writer.pid, signal.SIGKILL)
        with opened(tmp_path) as journal:
            there = {change.question for change in journal.changes()}
        assert {f"question {number}" for number in range(begin)} <= there
        assert {text.replace("question", "other") for text in there} == {
            text.replace("question", "other") for text in there if text.startswith("other")
        }
        begin = len(there) // 2


def test_one_process_at_a_time_has_it(tmp_path: Path) -> None:
    with (
        opened(tmp_path),
        pytest.raises(BusyError),
        opened(tmp_path),
    ):
        pass
    with opened(tmp_path):
        pass


def test_one_of_a_newer_release_is_refused_by_name(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.record([Change("How?", is_known=True)])
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(MismatchError) as caught, opened(tmp_path):
        pass
    assert caught.value.values["schema"] == 2


def test_a_damaged_one_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1_000)
    with pytest.raises(ResourceError) as caught, opened(tmp_path):
        pass
    assert caught.value.values == {"path": tmp_path / FILE_NAME}


FULL = """
import resource, signal, sys
from pathlib import Path
from pipeline.core.errors import ResourceError
from pipeline.serving.journal import Change, opened

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with opened(Path(sys.argv[1])) as journal:
    journal.record([Change("kept", is_known=True)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
    try:
        journal.record([Change(f"{number} " * 500, is_known=True) for number in range(1_000)])
    except ResourceError:
        print("refused")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.record([Change("kept later", is_known=True)])
"""


def test_a_full_disk_refuses_a_change_whole_and_later_ones_are_kept(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "refused\n"
    with opened(tmp_path) as journal:
        assert [change.question for change in journal.changes()] == ["kept", "kept later"]
