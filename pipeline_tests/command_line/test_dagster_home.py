"""A `DAGSTER_HOME` that Dagster would refuse with a traceback is one line, and a new one is set up once."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from effort import exhaustive, tries

from pipeline.command_line import dagster_home
from pipeline.command_line.dagster_home import check_dagster_home
from pipeline.core.errors import DamagedError, PipelineError, SettingError
from pipeline.core.files import PROJECT_ROOT


@pytest.mark.parametrize(
    "home",
    ["rel", ".", "{tmp}/none", "{tmp}/file", "~nobody-at-all/x"],
)
def test_a_dagster_home_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rel").mkdir()
    (tmp_path / "file").touch()
    home = home.format(tmp=tmp_path)
    with pytest.raises(SettingError) as caught:
        check_dagster_home(home)
    assert caught.value.values == {"value": home}


def test_a_tilde_in_dagster_home_is_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "history").mkdir()
    check_dagster_home("~/history")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "can't read"),
        ("- a\n", "deploy/dagster.yaml"),
        ("[" * 100_000, "nested more than 20 levels deep"),
        ("x" * (1 << 21), "has more than 1,048,576 bytes"),
        (None, "is a pipe or a device"),
    ],
    ids=["no YAML", "a list", "deep", "large", "a pipe"],
)
def test_settings_of_dagster_that_are_none_are_refused(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "dagster.yaml"
    if text is None:
        os.mkfifo(path)
    else:
        path.write_text(text)
    with pytest.raises(PipelineError) as caught:
        check_dagster_home(str(tmp_path))
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) <= 280


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("foo: 1\n", 'Received unexpected config entry "foo" at the root'),
        ("storage: {sqlite: 7}\n", "dagster.yaml"),
        ("run_storage: {module: none_such, class: Storage, config: {}}\n", "none_such"),
        ("run_queue: {}\nrun_coordinator: {}\n", "run_queue"),
    ],
)
def test_settings_that_dagster_refuses_are_refused_in_one_line(
    pipeline_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    (tmp_path / "dagster.yaml").write_text(text)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with pytest.raises(SettingError) as caught:
        dagster_home.open_instance()
    assert caught.value.values == {"path": tmp_path / "dagster.yaml"}
    assert words in str(caught.value)


# --- set up ---

AT_ONCE = tries(2, 4)


def start(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "DAGSTER_HOME": str(home), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=PROJECT_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@exhaustive
@pytest.mark.slow
def test_commands_at_once_set_up_a_new_home(tmp_path: Path) -> None:
    for number in range(tries(1, 20)):
        home = tmp_path / f"home-{number}"
        home.mkdir()
        shutil.copy(PROJECT_ROOT / "deploy" / "dagster.yaml", home)
        if number % 2 == 0:
            # What is left where the advice for a broken home was followed.
            (home / "history").mkdir()
        commands = [start(home, "prepare") for _ in range(AT_ONCE)]
        outcomes = [(command.wait(120), command.communicate()) for command in commands]
        assert outcomes == [(0, ("", ""))] * AT_ONCE
        assert_whole(home)


@exhaustive
@pytest.mark.slow
def test_runs_at_once_in_a_new_home_are_all_recorded(pipeline_home: Path, small_config: Path, tmp_path: Path) -> None:
    for number in range(tries(1, 20)):
        home = tmp_path / f"home-{number}"
        home.mkdir()
        shutil.copy(PROJECT_ROOT / "deploy" / "dagster.yaml", home)
        selected = ("--select", "raw_quora_dataset", "--config", str(small_config))
        commands = [start(home, "materialize", *selected) for _ in range(AT_ONCE)]
        for command in commands:
            said = command.communicate(timeout=240)[1]
            assert command.returncode == 0, said
        with closing(sqlite3.connect(home / "history" / "runs.db")) as runs:
            assert runs.execute("SELECT status, count(*) FROM runs GROUP BY status").fetchall() == [
                ("SUCCESS", len(commands))
            ]


def assert_whole(home: Path) -> None:
    for name in ("history/runs.db", "history/runs/index.db", "schedules/schedules.db"):
        with closing(sqlite3.connect(home / name)) as database:
            assert len(database.execute("SELECT * FROM alembic_version").fetchall()) == 1


def database(path: Path, *revisions: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.executemany("INSERT INTO alembic_version VALUES (?)", [(revision,) for revision in revisions])


@pytest.mark.parametrize("name", ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"])
def test_a_home_that_two_of_dagsters_commands_have_broken_is_named_with_the_way_out(tmp_path: Path, name: str) -> None:
    database(tmp_path / name, "29b539ebc72a", "7e2f3204cf8e")
    with pytest.raises(DamagedError) as caught:
        dagster_home.set_up(tmp_path)
    assert caught.value.values == {"path": tmp_path}
    assert name in str(caught.value)
    assert "delete `history` and `schedules`" in str(caught.value)


def test_the_command_line_says_so(pipeline_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "dagster"
    database(home / "history" / "runs.db", "one", "two")
    shutil.copy(PROJECT_ROOT / "deploy" / "dagster.yaml", home)
    broken = start(home, "prepare")
    said = broken.communicate(timeout=60)[1]
    assert broken.returncode == 1
    assert said.startswith(f"Error: DAGSTER_HOME {home} is broken")
    assert said.count("\n") == 1


def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "runs.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(DamagedError, match=r"history/runs\.db"):
        dagster_home.set_up(tmp_path)


def test_a_home_that_is_whole_is_left_alone_and_no_dagster_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("history/runs.db", "history/runs/index.db", "schedules/schedules.db"):
        database(tmp_path / name, "29b539ebc72a")
    monkeypatch.setitem(sys.modules, "dagster", None)
    dagster_home.set_up(tmp_path)
