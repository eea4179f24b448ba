"""Teachers and what they score, made in processes of their own that are killed at any moment."""

import json
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

from pipeline.core.progress import ProgressEvent, to_json_line

KILLS = tries(3, 10)
MEMBER: dict[str, Any] = {
    "folds": 2,
    "members": 2,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "checkpoint_steps": 3,
    "max_seq_length": 32,
    "min_lead": -1.0,
    "device": "cpu",
}
TEACHERS: dict[str, dict[str, Any]] = {
    "bi_encoder": {**MEMBER, "loss": "cosent"},
    "cross_encoder": {**MEMBER, "architecture": "cross_encoder", "loss": "binary_cross_entropy", "swap_pairs": True},
}

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["pipeline.training.fine_tune", "pipeline.models.base_model", "sklearn.metrics"])


def make(options: dict[str, Any], model: str, folder: str) -> None:
    """In a process of its own: make a student, a teacher and silver pairs, or go on with them; note each event."""
    import torch

    from pipeline.compute.driver import train
    from pipeline.compute.local import LocalCompute
    from pipeline.distillation.options import SilverOptions
    from pipeline.distillation.scores import PairScorer
    from pipeline.distillation.silver import make_silver
    from pipeline.distillation.teacher_options import TeacherOptions
    from pipeline.distillation.teaching import teach
    from pipeline.models.base_model import resolve_base_model
    from pipeline.models.options import BaseModelChoice
    from pipeline.question_pairs.options import SplitPlan
    from pipeline.question_pairs.splits import split_pairs
    from pipeline.training.job import RunIdentity, TrainingJob
    from pipeline.training.recipe import Recipe

    torch.set_num_threads(1)
    place = Path(folder)
    splits = split_pairs(sample_pairs().take(np.arange(240)), SplitPlan(eval_fraction=0.2, dev_fraction=0.2))
    base = resolve_base_model(BaseModelChoice(model=model))
    compute, run = LocalCompute(place / "runs"), RunIdentity("run", 1700000000)
    with (place / "events.jsonl").open("a", encoding="utf-8", buffering=1) as file:

        def note(event: ProgressEvent) -> None:
            print(to_json_line(event), file=file)

        job = TrainingJob(splits.train, splits.dev, base, Recipe(batch_size=16, max_seq_length=32, device="cpu"))
        student = train(compute, job, run, note)
        scorer = PairScorer(compute, place / "vectors", note)
        teacher = teach(compute, splits, base, student, TeacherOptions(**options), scorer, run, note)
        silver, files = make_silver(splits, teacher, base, SilverOptions(sources="both"), scorer, note)
    (place / "done.json").write_text(
        json.dumps([teacher.data_version, silver.data_version, {name: len(content) for name, content in files.items()}])
    )


def start(options: dict[str, Any], model: Path, folder: Path) -> ForkServerProcess:
    folder.mkdir(exist_ok=True)
    process = _processes.Process(target=make, args=(options, str(model), str(folder)))
    process.start()
    return process


def finish(options: dict[str, Any], model: Path, folder: Path) -> Any:
    process = start(options, model, folder)
    process.join(180)
    assert process.exitcode == 0
    return json.loads((folder / "done.json").read_text())


def events(folder: Path) -> int:
    path = folder / "events.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


@exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("architecture", TEACHERS)
def test_killed_at_random_moments_and_resumed_teacher_and_scores_are_the_same(
    architecture: str, tmp_path: Path, tiny_model: Path
) -> None:
    options = TEACHERS[architecture]
    expected = finish(options, tiny_model, tmp_path / "undisturbed")
    whole = events(tmp_path / "undisturbed")
    chance, killed = random.Random(9), 0
    for kill in range(KILLS):
        folder = tmp_path / f"kill-{kill}"
        process = start(options, tiny_model, folder)
        after = chance.randrange(whole)
        while process.is_alive() and events(folder) < after:
            time.sleep(0.005)
        if process.exitcode is None:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
            process.join()
        assert finish(options, tiny_model, folder) == expected, f"kill {kill}, after {after} of {whole} events"
        # What was finished before was taken up, not made again beside it.
        assert len(list((folder / "runs").iterdir())) == 1 + options["folds"] * options["members"]
    assert killed > KILLS / 2
