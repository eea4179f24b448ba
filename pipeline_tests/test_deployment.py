"""The settings in deploy/: Dagster takes them, containers agree with them, and the graph runs on a real PostgreSQL."""

import hashlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster_runs import run

from pipeline.core.files import PROJECT_ROOT
from pipeline.settings.environment import variables

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


COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def test_the_ui_is_open_to_this_machine_only_unless_told_otherwise() -> None:
    assert SERVICES["webserver"]["ports"] == ["${WEBSERVER_ADDRESS:-127.0.0.1}:3000:3000"]
    assert SERVICES["serve"]["ports"] == ["${SERVE_ADDRESS:-127.0.0.1}:8080:8080"]
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["webserver", "serve"]
    assert "-h" not in (PROJECT_ROOT / "Makefile").read_text().split("dagster dev")[1].splitlines()[0]


def test_every_service_is_asked_whether_it_is_well() -> None:
    tests = {name: " ".join(service["healthcheck"]["test"]) for name, service in SERVICES.items()}
    assert set(tests) == {"postgres", "code", "webserver", "daemon", "serve"}
    for name, word in {
        "postgres": "pg_isready",
        "code": "grpc-health-check -s /run/dagster/code.sock",
        "webserver": "http://127.0.0.1:3000/server_info",
        "daemon": "dagster-daemon liveness-check",
        "serve": "http://127.0.0.1:8080/health",
    }.items():
        assert word in tests[name]
        assert SERVICES[name]["healthcheck"]["retries"] > 1
    for name in ("webserver", "daemon"):
        assert SERVICES[name]["depends_on"] == {"code": {"condition": "service_healthy"}}


def test_a_service_has_the_variables_that_it_needs_and_no_other() -> None:
    assert not [name for name, service in SERVICES.items() if "env_file" in service]
    history = {f"DAGSTER_POSTGRES_{part}" for part in ("HOST", "PORT", "USER", "PASSWORD", "DB")}
    assert set(SERVICES["postgres"]["environment"]) == {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"}
    assert set(SERVICES["webserver"]["environment"]) == set(SERVICES["daemon"]["environment"]) == history
    # What the code reads, but for what has its place in the image or is no matter of a server.
    elsewhere = {"PIPELINE_RUNS_FOLDER", "DAGSTER_HOME", "PIPELINE_MODAL_PRICES", "PIPELINE_SERVE_TOKEN"}
    read = {variable.name for variable in variables()} - elsewhere
    tokens = {"MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET", "HF_HOME"}
    assert set(SERVICES["code"]["environment"]) == history | read | tokens
    assert set(SERVICES["serve"]["environment"]) == {"PIPELINE_HOME", "PIPELINE_SERVE_TOKEN"}


def test_the_code_server_listens_on_a_socket_and_on_no_network() -> None:
    command = SERVICES["code"]["command"].split()
    assert command[command.index("-s") + 1] == "/run/dagster/code.sock"
    assert not {"-h", "--host", "-p", "--port"} & set(command)
    (location,) = yaml.safe_load((DEPLOY / "team" / "workspace.yaml").read_text())["load_from"]
    assert location == {"grpc_server": {"socket": "/run/dagster/code.sock", "location_name": "pipeline"}}
    shares = {name for name, service in SERVICES.items() if "sockets:/run/dagster" in service["volumes"]}
    assert shares == {"code", "webserver", "daemon"}
    # Only runs have a way out; the database has none in or out.
    assert COMPOSE["networks"]["history"] == {"internal": True}
    assert {name: set(service["networks"]) for name, service in SERVICES.items()} == {
        "postgres": {"history"},
        "code": {"history", "outside"},
        "webserver": {"history", "ui"},
        "daemon": {"history"},
        "serve": {"service"},
    }
    assert [name for name, service in SERVICES.items() if "pipeline:/data" in service["volumes"]] == ["code", "serve"]
    for name in (*shares, "serve"):
        assert SERVICES[name]["cap_drop"] == ["ALL"]


def test_every_variable_of_the_containers_is_explained_in_the_example() -> None:
    example = set(re.findall(r"^([A-Z_]+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text()))
    team = yaml.safe_load((DEPLOY / "team" / "dagster.yaml").read_text())["storage"]["postgres"]["postgres_db"]
    fixed = set(COMPOSE["x-history"])
    assert used | {value["env"] for value in team.values() if isinstance(value, dict)} <= example | fixed
    assert example <= used
    # A password or a token is never written down.
    values = dict(line.split("=", 1) for line in (DEPLOY / ".env.example").read_text().splitlines() if "=" in line)
    secrets = [name for name in values if name.endswith(("_PASSWORD", "_TOKEN", "_TOKEN_ID", "_TOKEN_SECRET"))]
    assert len(secrets) == 5
    for name in secrets:
        assert values[name] == ""


def test_what_the_image_is_built_from_is_there_and_sent_to_the_builder() -> None:
    sent = set(re.findall(r"^!(\S+)", (PROJECT_ROOT / ".dockerignore").read_text(), re.MULTILINE))
    files = [(DEPLOY / name).read_text() for name in ("Dockerfile", "serve/Dockerfile")]
    copied = [names for text in files for names in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE)]
    for name in " ".join(copied).split():
        assert (PROJECT_ROOT / name).exists()
        assert name in sent


# --- what is installed -----------------------------------------------------------------------------------------

LOCKS = ("requirements.lock", "requirements-torch.lock", "requirements-dev.lock")
ON_SOME_SYSTEMS = re.compile(r"(nvidia-|cuda-|triton$|pywin32$|colorama$|pyreadline3$|httpx2-jsfetch$|setuptools$)")
"""Packages that this project needs on other systems, or to be built: constraints.txt is what tests ran with."""


def locked(name: str) -> dict[str, tuple[str, int]]:
    """(version, number of hashes) of each package in a lock."""
    text = (PROJECT_ROOT / name).read_text()
    found = re.findall(r"^([\w.-]+)==([^ ;\\]+)([^\n]*(?:\n +--hash=sha256:[0-9a-f]{64}[ \\]*)*)", text, re.MULTILINE)
    assert len(found) == len([line for line in text.splitlines() if line[:1].isalnum()])
    return {normalised(package): (version, rest.count("--hash=sha256:")) for package, version, rest in found}


def normalised(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def test_the_locks_name_every_package_with_its_hashes_and_the_versions_of_the_tests() -> None:
    locks = [locked(name) for name in LOCKS]
    together = {package: version for lock in locks for package, (version, _) in lock.items()}
    assert len(together) == sum(len(lock) for lock in locks), "a package stands in two locks: make lock"
    assert all(hashes for lock in locks for _, hashes in lock.values())
    lines = [line for line in (PROJECT_ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    tested = {normalised(line.partition("==")[0]): line.partition("==")[2] for line in lines}
    assert {name: together.get(name) for name in tested} == tested, "make lock"
    assert all(ON_SOME_SYSTEMS.match(name) for name in set(together) - set(tested))
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]
    for needed, names in (
        ([*project["dependencies"], *project["optional-dependencies"]["team"]], LOCKS[:2]),
        (project["optional-dependencies"]["dev"], LOCKS),
    ):
        there = set().union(*(locked(name) for name in names))
        assert {normalised(re.split(r"[<>=~!\[ ]", requirement)[0]) for requirement in needed} <= there, "make lock"


def test_the_lock_of_the_service_has_the_versions_of_the_others_and_nothing_to_train_with() -> None:
    service = locked("requirements-serve.lock")
    others = {package: version for name in LOCKS for package, (version, _) in locked(name).items()}
    assert {package: version for package, (version, _) in service.items()} == {
        package: others[package] for package in service
    }
    assert all(hashes for _, hashes in service.values())
    assert not {"torch", "transformers", "sentence-transformers", "dagster", "modal", "scikit-learn"} & set(service)
    serve = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["serve"]
    assert {normalised(re.split(r"[<>=]", requirement)[0]) for requirement in serve} <= set(service)


def test_nothing_is_installed_beside_the_locks() -> None:
    for file, least in ((PROJECT_ROOT / "Makefile", 3), (DEPLOY / "Dockerfile", 3), (DEPLOY / "serve/Dockerfile", 1)):
        installs = re.findall(r"(?:pip install|\$\(PIP\)) (.*)", file.read_text())
        assert len(installs) >= least
        for arguments in installs:
            known = ("--require-hashes" in arguments, "--no-build-isolation -e ." in arguments)
            torch_or_tool = "torch==" in arguments or "$(TORCH)" in arguments or "uv==" in arguments
            assert any(known) or torch_or_tool or "--quiet" in arguments, arguments
            assert "--no-deps" in arguments or torch_or_tool or "$(PIP_FLAGS)" in arguments


# --- digests of the images -------------------------------------------------------------------------------------

MANIFEST = b'{"schemaVersion": 2, "manifests": []}'
PINNED = "sha256:" + hashlib.sha256(MANIFEST).hexdigest()


class Registry(BaseHTTPRequestHandler):
    """Gives a token to everybody, and one manifest to whoever has it."""

    def do_GET(self) -> None:
        address = f"http://127.0.0.1:{self.server.server_address[1]}"  # type: ignore[index]
        if self.path == "/token?service=registry&scope=repository%3Alibrary%2Fpostgres%3Apull":
            self.answer(200, b'{"token": "open"}')
        elif self.headers.get("Authorization") != "Bearer open":
            scope = 'service="registry",scope="repository:library/postgres:pull"'
            self.answer(401, b"", {"WWW-Authenticate": f'Bearer realm="{address}/token",{scope}'})
        elif self.path == "/v2/library/postgres/manifests/15" and "image.index" in self.headers["Accept"]:
            self.answer(200, MANIFEST)
        else:
            self.answer(404, b"{}")

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def pin(file: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(DEPLOY / "pin_images.py"), str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_images_are_pinned_to_the_digests_that_a_registry_says(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as registry:
        threading.Thread(target=registry.serve_forever, daemon=True).start()
        image = f"127.0.0.1:{registry.server_address[1]}/library/postgres:15"
        file = tmp_path / "compose.yaml"
        text = "services:\n  postgres:\n    image: {image}\n  code:\n    image: question-pairs-dagster\n"
        file.write_text(text.format(image=image))
        assert pin(file).stdout == f"compose.yaml: {image}@{PINNED}\n"
        assert file.read_text() == text.format(image=f"{image}@{PINNED}")
        # Again: the digest is renewed, not added.
        file.write_text(text.format(image=f"{image}@sha256:{'0' * 64}"))
        assert pin(file).returncode == 0
        assert file.read_text() == text.format(image=f"{image}@{PINNED}")
        # All or none.
        other = text.format(image=image) + f"  other:\n    image: {image}3\n"
        file.write_text(other)
        refused = pin(file)
        assert (refused.returncode, file.read_text()) == (1, other)
        assert re.fullmatch(r"Error: no image was pinned, .*404.*\n", refused.stderr)
        registry.shutdown()


def test_the_files_of_the_project_name_images_that_can_be_pinned() -> None:
    files = ("compose.yaml", "Dockerfile", "serve/Dockerfile")
    named = [line for name in files for line in (DEPLOY / name).read_text().splitlines()]
    images = [found[2] for line in named if (found := re.match(r"(\s*image: |FROM )(\S+)", line))]
    assert [image.partition("@")[0] for image in images] == [
        "question-pairs-dagster",
        "postgres:15-bookworm",
        "question-pairs-service",
        "python:3.11-slim-bookworm",
        "python:3.11-slim-bookworm",
    ]
