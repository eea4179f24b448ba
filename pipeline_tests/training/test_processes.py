"""The same recipe in two processes, in one, and in accumulated batches: the same training."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from pipeline.command_line import finetune as finetune_here
from pipeline.compute.local.compute import LocalCompute
from pipeline.core.files import PROJECT_ROOT
from pipeline.orchestration.steps import load_settings

SECONDS = 300


def finetune(home: Path, config: Path, *overrides: str) -> Path:
    """Do what `finetune` does, in this process; returns the run folder."""
    settings = load_settings(config, [f"fine_tuned_model.{override}" for override in overrides])
    finetune_here.run(settings, LocalCompute(home / "runs"))
    return run_folder(home)


def finetune_in_two_processes(home: Path, config: Path) -> Path:
    """Run `python -m pipeline finetune` by torchrun; returns the run folder."""
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0", "--rdzv-backend", "c10d"]
    result = subprocess.run(
        [sys.executable, *launcher, "-m", "pipeline", "finetune", "--config", str(config)],
        cwd=PROJECT_ROOT,
        env={**os.environ, "PIPELINE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("post train eval") == 1
    return run_folder(home)


def run_folder(home: Path) -> Path:
    (manifest,) = home.glob("runs/*/manifest.json")
    return manifest.parent


@pytest.fixture
def config(tmp_path: Path, small_config: Path) -> Path:
    """`small_config` with a tiny model; without dropout, since processes draw it apart."""
    settings = yaml.safe_load(small_config.read_text())
    settings["ops"]["fine_tuned_model"]["config"] |= {
        "dropout": 0.0,
        "group_size": 8,
        "precision": "fp32",
        "learning_rate": 1e-3,
        "keep": "last",
        "evaluations_per_epoch": 2,
    }
    path = tmp_path / "processes.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def assert_same_training(one: Path, other: Path) -> None:
    first, second = (load_file(next(folder.glob("*-ft/model.safetensors"))) for folder in (one, other))
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=2e-4, rtol=2e-3)


@pytest.mark.slow
def test_two_processes_and_accumulated_batches_train_the_same_model(
    pipeline_home: Path, config: Path, tmp_path: Path
) -> None:
    alone = finetune(tmp_path / "alone", config)
    accumulated = finetune(tmp_path / "accumulated", config, "gradient_accumulation=2")
    together = finetune_in_two_processes(tmp_path / "together", config)
    assert_same_training(alone, accumulated)
    assert_same_training(alone, together)
    names = {path.name for path in next(together.glob("checkpoints/[0-9]*")).iterdir()}
    assert {"rng_state_0.pth", "rng_state_1.pth", "checkpoint.json"} <= names
