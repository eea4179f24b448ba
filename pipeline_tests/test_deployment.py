"""The settings in deploy/: Dagster takes them, containers agree with them, and the graph runs on a real PostgreSQL."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster_runs import run

from pipeline.core.files import PROJECT_ROOT

DEPLOY = PROJECT_ROOT / "deploy"


def _program(name: str) -> str | None:
    """A program of PostgreSQL: Debian keeps most of them out of PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*map(str, folders), os.environ["PATH"]]))


INITDB, POSTGRES = _program("initdb"), _program("postgres")
needs_postgres = pytest.mark.skipif(
    INITDB is None or POSTGRES is None, reason="needs PostgreSQL's server: apt-get install postgresql"
)


@pytest.fixture
def postgres(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty PostgreSQL on a free loopback port, which the variables of deploy/.env.example lead to."""
    pytest.importorskip("dagster_postgres", reason="needs the extra `team`: pip install -e '.[team]'")
    # It refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Not below pytest's own folder, which only its owner may enter.
    with tempfile.TemporaryDirectory(prefix="pipeline-postgres-", ignore_cleanup_errors=True) as folder:
        shutil.chown(folder, user)
        data, log = f"{folder}/data", Path(folder) / "log"
        initdb = [str(INITDB), "-D", data, "-U", "dagster", "--auth=trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(initdb, user=user, cwd=folder, check=True, capture_output=True)
        with log.open("w") as output:
            server = subprocess.Popen(
                [str(POSTGRES), "-D", data, "-p", str(port), "-k", folder, "-c", "listen_addresses=127.0.0.1"],
                user=user,
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            deadline = time.monotonic() + 60
            while "ready to accept connections" not in log.read_text():
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            for name, value in {
                "HOST": "127.0.0.1",
                "PORT": str(port),
                "USER": "dagster",
                "PASSWORD": "unused",
                "DB": "postgres",
            }.items():
                monkeypatch.setenv(f"DAGSTER_POSTGRES_{name}", value)
            yield
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=60)


@needs_postgres
@pytest.mark.slow
@pytest.mark.usefixtures("postgres")
def test_the_graph_runs_with_its_history_in_postgresql(
    pipeline_home: Path, small_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "dagster_home"
    home.mkdir()
    shutil.copy(DEPLOY / "team" / "dagster.yaml", home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    # Steps in processes of their own, each with its own connections; and then all that assets record, in this process.
    command = [sys.executable, "-m", "pipeline", "materialize", "--config", str(small_config)]
    command += ["--select", "group:dataset"]
    result = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=400)
    assert result.returncode == 0, result.stderr
    with dg.DagsterInstance.get() as instance:
        run(pipeline_home, small_config, instance)
        assert [found.is_success for found in instance.get_runs()] == [True, True]

    import psycopg2

    address = {"host": "127.0.0.1", "port": os.environ["DAGSTER_POSTGRES_PORT"], "user": "dagster"}
    connection = psycopg2.connect(**address, dbname="postgres")
    with connection, connection.cursor() as cursor:
        cursor.execute("select status from runs")
        assert cursor.fetchall() == [("SUCCESS",), ("SUCCESS",)]
        cursor.execute(
            "select count(distinct asset_key) from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION'"
        )
        assert cursor.fetchone()[0] >= 8
        cursor.execute("select count(*) from asset_check_executions where execution_status = 'SUCCEEDED'")
        assert cursor.fetchone()[0] >= 16
    connection.close()
    # Nothing of the history is in files.
    assert not list(home.rglob("*.db"))


@pytest.mark.parametrize("name", ["dagster.yaml", "team/dagster.yaml"])
def test_both_settings_hold_a_second_training_back_and_retry_lost_runs_only(name: str) -> None:
    settings = yaml.safe_load((DEPLOY / name).read_text())
    assert settings["concurrency"]["pools"] == {"default_limit": 1, "granularity": "run"}
    assert settings["run_retries"] == {"enabled": True, "max_retries": 0, "retry_on_asset_or_op_failure": False}
    assert settings["run_monitoring"]["enabled"]
    assert settings["freshness"] == {"enabled": True}
    assert settings["telemetry"] == {"enabled": False}


def test_the_settings_for_one_machine_are_taken_by_dagster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(DEPLOY / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        assert instance.run_retries_enabled
        assert instance.run_monitoring_enabled


def test_the_ui_is_open_to_this_machine_only_unless_told_otherwise() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert services["webserver"]["ports"] == ["${WEBSERVER_ADDRESS:-127.0.0.1}:3000:3000"]
    assert [name for name, service in services.items() if "ports" in service] == ["webserver"]
    assert "-h" not in (PROJECT_ROOT / "Makefile").read_text().split("dagster dev")[1].splitlines()[0]


def test_every_variable_of_the_containers_is_explained_in_the_example() -> None:
    example = set(re.findall(r"^([A-Z_]+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    used = set(re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text()))
    team = yaml.safe_load((DEPLOY / "team" / "dagster.yaml").read_text())["storage"]["postgres"]["postgres_db"]
    fixed = set(yaml.safe_load((DEPLOY / "compose.yaml").read_text())["x-dagster"]["environment"])
    assert used | {value["env"] for value in team.values() if isinstance(value, dict)} <= example | fixed
    # A password or a token is never written down.
    values = dict(line.split("=", 1) for line in (DEPLOY / ".env.example").read_text().splitlines() if "=" in line)
    assert values["DAGSTER_POSTGRES_PASSWORD"] == values["HF_TOKEN"] == ""


def test_what_the_image_is_built_from_is_there_and_sent_to_the_builder() -> None:
    sent = set(re.findall(r"^!(\S+)", (PROJECT_ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = re.findall(r"^COPY (.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    for name in " ".join(copied).split():
        assert (PROJECT_ROOT / name).exists()
        assert name in sent
