"""Real services on free ports of this machine. They are forked from a process that has the imports, so each starts
within a second."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.core.files import PROJECT_ROOT

STARTUP_SECONDS = 120
ENDING_SECONDS = 60

# Exit statuses are told through a file, as a service is no child of the tests.
_LAUNCHER = """
import json, os, sys, threading
for module in sys.argv[1:]:
    __import__(module)
import pipeline.command_line.cli as commands
import pipeline.command_line.serve, pipeline.serving.server, pipeline.serving.service, pipeline.serving.snapshot
import fastapi, pandas, pyarrow, uvicorn


def reap(child, status_file):
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with open(status_file + ".part", "w") as file:
        file.write(str(status))
    os.rename(status_file + ".part", status_file)


print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if not child:
        os.setsid()
        output = os.open(order["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1), os.dup2(output, 2)
        os.environ.update(order["environment"])
        sys.argv = ["pipeline", *order["arguments"]]
        try:
            commands.main()
        except SystemExit as ended:
            os._exit(int(ended.code or 0))
        os._exit(0)
    threading.Thread(target=reap, args=(child, order["status"]), daemon=True).start()
    print(child, flush=True)
"""

WITHOUT_TORCH = ("only_locked", "onnxruntime", "tokenizers")
WITH_TORCH = ("torch", "sentence_transformers", "pipeline.models.loading", "pipeline.models.encoding")


@dataclass
class Answer:
    """What a service answered.

    Attributes:
        body: its JSON, or its text where it is none.
    """

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class Served:
    """A service that runs.

    Attributes:
        log: the file of what it prints.
    """

    pid: int
    address: str
    log: Path
    status_file: Path
    token: str | None = None

    def ask(self, path: str, body: Any = None, **headers: str) -> Answer:
        """Ask it, and read the answer."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(f"{self.address}{path}", data, sent)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return _answer(response.status, response.read(), response.headers)
        except urllib.error.HTTPError as error:
            return _answer(error.code, error.read(), error.headers)

    def get(self, path: str, body: Any = None) -> Any:
        """The body of an answer that has to be 200."""
        answer = self.ask(path, body)
        assert answer.status == 200, answer
        return answer.body

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, seconds: float = ENDING_SECONDS) -> int:
        """Its exit status."""
        deadline = time.monotonic() + seconds
        while not self.status_file.exists():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)
        return int(self.status_file.read_text())


def _answer(status: int, content: bytes, headers: Any) -> Answer:
    text = content.decode()
    is_json = headers.get("content-type", "").startswith("application/json")
    return Answer(status, json.loads(text) if is_json else text, dict(headers))


@dataclass
class Launcher:
    """Starts services."""

    process: "subprocess.Popen[str]"
    folder: Path
    count: int = field(default=0)

    def begin(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Served:
        """Start `serve` on a free port, without waiting for it."""
        self.count += 1
        log, status = self.folder / f"{self.count}.log", self.folder / f"{self.count}.status"
        order = {
            "arguments": ["serve", "--port", "0", *arguments],
            "environment": dict(environment),
            "log": str(log),
            "status": str(status),
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return Served(int(self.process.stdout.readline()), "", log, status, environment.get("PIPELINE_SERVE_TOKEN"))

    @contextmanager
    def serving(self, *arguments: str, **environment: str) -> Iterator[Served]:
        """A service that answers; it is ended with the block, unless it has ended."""
        served = self.begin(arguments, environment)
        try:
            deadline = time.monotonic() + STARTUP_SECONDS
            while not (address := _address_in(served.log)):
                assert not served.status_file.exists(), served.log.read_text()
                assert time.monotonic() < deadline, served.log.read_text()
                time.sleep(0.01)
            served.address = address
            yield served
        finally:
            if not served.status_file.exists():
                served.signal(signal.SIGTERM)
                served.wait()


def _address_in(log: Path) -> str | None:
    with suppress(FileNotFoundError):
        for line in log.read_text().splitlines():
            if line.startswith("Serving") and line.endswith(")"):
                return line.split()[1]
    return None


@contextmanager
def launcher(folder: Path, modules: Sequence[str] = ()) -> Iterator[Launcher]:
    """A launcher whose services have these modules imported, before all others."""
    with subprocess.Popen(
        [sys.executable, "-c", _LAUNCHER, *modules],
        cwd=PROJECT_ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent),
            "OMP_NUM_THREADS": "1",
            "PIPELINE_HOME": str(folder / "home"),
            "PIPELINE_SERVE_TOKEN": "",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Launcher(process, folder)
        assert process.stdin is not None
        process.stdin.close()
