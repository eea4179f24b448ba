"""Steps start from a server that has imported the libraries, and each run keeps to its own environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from pipeline.core.files import PROJECT_ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="steps are forked on Linux only")]

RUNS = """
import json, os, shutil, sys
from pathlib import Path

from pipeline.command_line import materialize
from pipeline.orchestration import execution
from pipeline.orchestration.steps import load_settings

original = execution.start_method

def noted(with_compute):
    method = original(with_compute)
    print("started by", *method)
    return method

execution.start_method = noted
for environment, select in zip(json.loads(sys.argv[2]), ("+key:fine_tuned_model", "key:fine_tuned_model")):
    os.environ.update(environment)
    if select.startswith("key"):
        # What the first run made, so that the second one has a single step to spawn.
        shutil.copytree(first, environment["PIPELINE_HOME"], ignore=shutil.ignore_patterns("runs"))
    first = environment["PIPELINE_HOME"]
    materialize.run(load_settings(Path(sys.argv[1])), select)
"""


def test_two_runs_of_one_process_use_their_own_folders_and_compute(
    pipeline_home: Path, small_config: Path, tmp_path: Path
) -> None:
    environments = []
    for name, compute in (("first", "local"), ("second", "other_process.backend")):
        dagster_home = tmp_path / name / "dagster"
        dagster_home.mkdir(parents=True)
        environments.append(
            {
                "PIPELINE_HOME": str(tmp_path / name / "home"),
                "DAGSTER_HOME": str(dagster_home),
                "PIPELINE_COMPUTE": compute,
            }
        )
    done = subprocess.run(
        [sys.executable, "-c", RUNS, str(small_config), json.dumps(environments)],
        cwd=PROJECT_ROOT,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT / "pipeline_tests")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("started")] == [
        "started by forkserver",
        "started by spawn",
    ]
    for name, is_elsewhere in (("first", False), ("second", True)):
        (folder,) = (tmp_path / name / "home" / "runs").glob("sentence-transformers-ft-*")
        assert (folder / "manifest.json").is_file()
        # Where the other process keeps what it does.
        assert (folder / ".job").is_dir() == is_elsewhere
        with dg.DagsterInstance.from_config(str(tmp_path / name / "dagster")) as instance:
            assert instance.get_runs_count() == 1
    assert not pipeline_home.exists()


def test_the_server_leaves_cuda_to_the_steps() -> None:
    """A process that is forked after CUDA was initialised can't use it."""
    code = """
import torch

def touched(*arguments, **keywords):
    raise AssertionError("the server asks CUDA")

for name in ("is_available", "device_count", "current_device", "get_device_name", "init", "_lazy_init"):
    assert hasattr(torch.cuda, name)
    setattr(torch.cuda, name, touched)
import pipeline.orchestration.step_server, pipeline.orchestration.step_server_with_compute
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["step_server", "step_server_with_compute"])
def test_the_server_has_one_python_thread(module: str) -> None:
    """Threads aren't there in a forked process, and what they hold stays held."""
    code = f"import threading, pipeline.orchestration.{module}; print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]


def test_a_run_that_computes_nothing_does_not_wait_for_torch(pipeline_home: Path) -> None:
    code = """
from pipeline.definitions import defs
from pipeline.orchestration.execution import needs_compute
import dagster as dg

job = defs.resolve_implicit_global_asset_job_def()
for asset in ("base_model", "baseline_eval_report"):
    print(needs_compute(job.get_subset(asset_selection={dg.AssetKey(asset)})))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
