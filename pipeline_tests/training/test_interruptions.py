"""Trainings in processes of their own, killed at any moment: the next one ends with the very same weights."""

import hashlib
import multiprocessing
import os
import random
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import exhaustive, tries
from small_data import sample_pairs

from pipeline.core.progress import TrainingStep, from_json_line, to_json_line

KILLS = tries(4, 40)
RECIPE: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "save_steps": 3,
    "evaluations_per_epoch": 2,
    "average_decay": 0.9,
    "device": "cpu",
    "allow_slow": True,
}
RECIPES: dict[str, dict[str, Any]] = {
    "one": {**RECIPE, "loss_weights": {"multiple_negatives_ranking": 0.1}},
    "soup": {**RECIPE, "epochs": 1, "soup_size": 2},
    "teacher": {**RECIPE, "loss_weights": {"distillation_embeddings": 1.0}, "teacher_model": "bundled"},
}
STEPS = 24

# A fork of a server that has imported all of it already: a training starts in milliseconds.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["pipeline.training.fine_tune", "pipeline.models.base_model", "sklearn.metrics"])


def train(recipe: dict[str, Any], model: str, runs: str, events: str) -> None:
    """In a process of its own: train, or go on training, and note each event."""
    import torch

    from pipeline.models.base_model import resolve_base_model
    from pipeline.models.options import BaseModelChoice
    from pipeline.training.fine_tune import fine_tune
    from pipeline.training.job import RunIdentity, TrainingJob
    from pipeline.training.recipe import Recipe
    from pipeline.training.run_folder import RunFolder

    torch.set_num_threads(1)
    pairs = sample_pairs()
    train_split, dev_split = pairs.take(np.arange(96)), pairs.take(np.arange(96, 144))
    base = resolve_base_model(BaseModelChoice(model=model))
    knobs = Recipe.model_validate(recipe)
    teacher = resolve_base_model(knobs.teacher) if knobs.teacher else None
    job = TrainingJob(train_split, dev_split, base, knobs, teacher)
    run_folder = RunFolder.claim(Path(runs), RunIdentity("run", 1700000000), job.fingerprint)
    with Path(events).open("a", encoding="utf-8", buffering=1) as file:
        fine_tune(job, run_folder, lambda event: print(to_json_line(event), file=file))


def start(recipe: dict[str, Any], model: Path, runs: Path) -> ForkServerProcess:
    process = _processes.Process(target=train, args=(recipe, str(model), str(runs), str(runs / "events.jsonl")))
    runs.mkdir(exist_ok=True)
    process.start()
    return process


def finish(recipe: dict[str, Any], model: Path, runs: Path) -> str:
    """Train to the end; returns the SHA-256 of the weights."""
    wait_for(start(recipe, model, runs))
    return weights_of(runs)


def wait_for(process: ForkServerProcess) -> None:
    process.join(120)
    assert process.exitcode == 0


def weights_of(runs: Path) -> str:
    (weights,) = runs.glob("*/*-ft/model.safetensors")
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def steps(runs: Path) -> list[int]:
    text = (runs / "events.jsonl").read_text() if (runs / "events.jsonl").exists() else ""
    # Of a line that is being written, a part may be there.
    *lines, _ = text.split("\n")
    return [event.step for line in lines if isinstance(event := from_json_line(line), TrainingStep)]


@exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("training", RECIPES)
def test_killed_at_random_moments_and_resumed_the_weights_are_the_same(
    training: str, tmp_path: Path, tiny_model: Path
) -> None:
    recipe, model = RECIPES[training], tiny_model
    # The first start also pays for the server.
    finish(recipe, model, tmp_path / "warm-up")
    undisturbed = tmp_path / "undisturbed"
    process = start(recipe, model, undisturbed)
    while process.is_alive() and not steps(undisturbed):
        time.sleep(0.01)
    began = time.monotonic()
    wait_for(process)
    # Of the steps, and of what is evaluated and saved between them.
    duration = time.monotonic() - began
    expected = weights_of(undisturbed)
    assert steps(undisturbed) == list(range(1, STEPS + 1))

    chance = random.Random(20)
    # Equally far apart, from a random one on: two that come late on a busy machine still fall on different checkpoints.
    first = chance.random()
    resumed_at = []
    for kill in range(KILLS):
        runs = tmp_path / f"kill-{kill}"
        process = start(recipe, model, runs)
        # By steps, not by time alone: how long a training takes depends on what else the machine does.
        after, pause = int((kill + first) * STEPS / KILLS), chance.uniform(0, 2 / STEPS) * duration
        while process.is_alive() and len(steps(runs)) < after:
            time.sleep(0.01)
        process.join(pause)
        if process.exitcode is None:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        before = len(steps(runs))
        assert finish(recipe, model, runs) == expected, f"kill {kill}, after {before} steps"
        later = steps(runs)[before:]
        resumed_at.append(later[0] if later else STEPS + 1)
        assert later == list(range(resumed_at[-1], STEPS + 1))
    # They went on from different checkpoints, or began anew.
    assert len(set(resumed_at)) > 2, resumed_at
