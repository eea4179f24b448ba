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
from pipeline.compute.local import LocalCompute
from pipeline.core.files import PROJECT_ROOT
from pipeline.orchestration.steps import load_settings

SECONDS = 300
LAUNCHER = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0", "--rdzv-backend", "c10d")


def finetune(home: Path, config: Path, *overrides: str) -> Path:
    """Do what `finetune` does, in this process; returns the run folder."""
    settings = load_settings(config, [f"fine_tuned_model.{override}" for override in overrides])
    finetune_here.run(settings, LocalCompute(home / "runs"))
    return run_folder(home)


def finetune_in_two_processes(home: Path, config: Path) -> Path:
    """Run `python -m pipeline finetune` by torchrun; returns the run folder."""
    output = run_python(*LAUNCHER, "-m", "pipeline", "finetune", "--config", str(config), PIPELINE_HOME=str(home))
    assert output.count("post train eval") == 1
    return run_folder(home)


def run_python(*arguments: str, **environment: str) -> str:
    """Run Python in a process of its own; returns what it says."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT_ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


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
        "load_best_model_at_end": False,
        "evaluations_per_epoch": 2,
    }
    path = tmp_path / "processes.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def assert_same_training(one: Path, other: Path) -> None:
    first, second = (load_file(next(folder.glob("*-ft/model.safetensors"))) for folder in (one, other))
    for name in first:
        if name.endswith("attention.self.key.bias"):
            # Attention doesn't depend on it: its gradient is rounding alone, which Adam makes as large as any.
            continue
        torch.testing.assert_close(first[name], second[name], atol=2e-4, rtol=2e-3)


@pytest.mark.slow
def test_two_processes_and_accumulated_batches_train_the_same_model(
    pipeline_home: Path, config: Path, tmp_path: Path
) -> None:
    alone = finetune(tmp_path / "alone", config)
    accumulated = finetune(tmp_path / "accumulated", config, "gradient_accumulation_steps=2")
    together = finetune_in_two_processes(tmp_path / "together", config)
    assert_same_training(alone, accumulated)
    assert_same_training(alone, together)
    names = {path.name for path in next(together.glob("checkpoints/[0-9]*")).iterdir()}
    assert {"rng_state_0.pth", "rng_state_1.pth", "checkpoint.json"} <= names


@pytest.mark.slow
def test_so_are_several_trainings_whose_weights_are_averaged(pipeline_home: Path, config: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load(config.read_text())
    settings["ops"]["fine_tuned_model"]["config"] |= {"soup_size": 2, "evaluations_per_epoch": 1}
    config.write_text(yaml.safe_dump(settings))
    alone = finetune(tmp_path / "alone", config)
    together = finetune_in_two_processes(tmp_path / "together", config)
    assert_same_training(alone, together)
    assert not list(together.glob("soup/*"))


@pytest.mark.slow
def test_so_nearly_are_trainings_by_a_teachers_vectors(pipeline_home: Path, config: Path, tmp_path: Path) -> None:
    """Nearly: the loss is the mean over the distinct questions of each process, which are not equally many."""
    settings = yaml.safe_load(config.read_text())
    knobs = settings["ops"]["fine_tuned_model"]["config"]
    knobs |= {"loss_weights": {"distillation_embeddings": 5.0}, "teacher_model": "bundled", "evaluations_per_epoch": 1}
    config.write_text(yaml.safe_dump(settings))
    alone = finetune(tmp_path / "alone", config)
    together = finetune_in_two_processes(tmp_path / "together", config)
    untaught = finetune(tmp_path / "untaught", config, "loss_weights={}", "teacher_model=")
    assert mean_difference(alone, together) < 0.1 * mean_difference(alone, untaught)


def mean_difference(one: Path, other: Path) -> float:
    """Of all weights."""
    first, second = (load_file(next(folder.glob("*-ft/model.safetensors"))) for folder in (one, other))
    return float(torch.cat([(first[name] - second[name]).abs().flatten() for name in first]).mean())
