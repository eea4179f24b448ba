"""A small Modal app that the server's own tests deploy and run."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

SOURCE = '''
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import modal

if "BREAK_IMPORT" in os.environ:
    import no_such_module

app = modal.App("sample")
volume = modal.Volume.from_name("sample-data", create_if_missing=True, version=2)
image = modal.Image.debian_slim(python_version="3.11").uv_pip_install("numpy==2.1.0").env({"COLOUR": "deep blue"})
DATA = Path("/sample-data")
options = {"image": image, "volumes": {"/sample-data": volume}}


@app.function(**options, secrets=[modal.Secret.from_dict({"PASSWORD": "xyzzy"})])
def describe(number: int) -> dict:
    print(f"describing {number}", flush=True)
    print("a warning", file=sys.stderr, flush=True)
    return {
        "double": 2 * number,
        "colour": os.environ["COLOUR"],
        "password": os.environ["PASSWORD"],
        "foreign": os.environ.get("FOREIGN"),
        "pid": os.getpid(),
    }


@app.function(retries=modal.Retries(max_retries=2, initial_delay=0.0), **options)
def fail(message: str) -> None:
    raise ValueError(message)


@app.function(gpu=["H100", "A100"], timeout=60, single_use_containers=True, retries=2, max_containers=1, **options)
def count_to(last: int, seconds: float) -> list[int]:
    """Count on from where an earlier container came, and write down each number."""
    written = DATA / "count.txt"
    numbers = [int(line) for line in written.read_text().split()] if written.exists() else []
    started_with = len(numbers)
    while len(numbers) < last:
        numbers.append(len(numbers) + 1)
        print(f"counted {numbers[-1]}", flush=True)
        written.write_text("\\n".join(map(str, numbers)))
        volume.commit()
        time.sleep(seconds)
    return [started_with, *numbers]


@app.function(timeout=1, **options)
def sleep_too_long() -> None:
    time.sleep(30)


@app.function(**options)
def sleep(seconds: float, deaf: bool = False) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            time.sleep(0.1)
        except BaseException:
            if not deaf:
                raise
    return "slept"


@app.function(**options)
def edit_volume() -> list[str]:
    """Change everything that can be changed in a folder, and show it."""
    (DATA / "new" / "deep").mkdir(parents=True)
    (DATA / "new" / "deep" / "file.txt").write_text("new")
    (DATA / "replaced.txt").write_text("after")
    (DATA / "removed.txt").unlink()
    shutil.rmtree(DATA / "removed")
    (DATA / "old-name").rename(DATA / "new-name")
    volume.commit()
    return sorted(str(path.relative_to(DATA)) for path in DATA.rglob("*"))


@app.function(**options)
def watch_volume(seconds: float) -> tuple[str, str, str]:
    """Read a file, read it again after others had time to change it, and after a reload."""
    at_start = (DATA / "watched.txt").read_text()
    (DATA / "ready.txt").write_text("ready")
    volume.commit()
    time.sleep(seconds)
    before_reload = (DATA / "watched.txt").read_text()
    volume.reload()
    return at_start, before_reload, (DATA / "watched.txt").read_text()


@app.function(**options)
def leave_note(text: str) -> None:
    """Write a file and leave the commit to the container's end."""
    (DATA / "note.txt").write_text(text)


@app.function(volumes={"/sample-data": volume.read_only()}, image=image)
def write_to_read_only() -> None:
    (DATA / "forbidden.txt").write_text("x")


@app.local_entrypoint()
def main(number: int = 21):
    print("result:", describe.remote(number)["double"])
'''


def write_sample_app(folder: Path) -> Path:
    """Write the app's file."""
    path = folder / "sample.py"
    path.write_text(SOURCE)
    return path


def deploy_sample_app(folder: Path) -> ModuleType:
    """Deploy the app from this process."""
    module = import_sample_app(write_sample_app(folder))
    module.app.deploy()
    return module


def import_sample_app(path: Path) -> ModuleType:
    """Import the app's file as the module `sample`."""
    specification = importlib.util.spec_from_file_location("sample", path)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules["sample"] = module
    specification.loader.exec_module(module)
    return module


def modal_cli(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the real CLI in a folder, with this process's environment."""
    command = [sys.executable, "-m", "modal", *arguments]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
