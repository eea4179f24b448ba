"""A damaged run folder doesn't stop the training that would replace it, and a run folder has one writer."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from effort import PROVES, exhaustive
from power_cut import cut_at, operations

from pipeline.compute.local import LocalCompute
from pipeline.core.errors import BusyError
from pipeline.core.files import OWNER_FILE, file_sha256
from pipeline.core.locks import LOCK_FILE, held_alone
from pipeline.core.progress import LogLine, ProgressEvent, TrainingStep
from pipeline.models.base_model import resolve_base_model
from pipeline.models.options import BaseModelChoice
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.sources import load_pairs
from pipeline.training.checkpoints import CheckpointStore
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import RunFolder
from pipeline.workflow import fine_tune

RUN = RunIdentity("run", 1)
RECIPE = Recipe(epochs=1, batch_size=8, save_steps=2, learning_rate=1e-3, device="cpu", save_total_limit=5)


@pytest.fixture(scope="module")
def job(tiny_model: Path) -> TrainingJob:
    pairs = load_pairs(PairSource())
    base = resolve_base_model(BaseModelChoice(model=str(tiny_model)))
    return TrainingJob(pairs.take(np.arange(48)), pairs.take(np.arange(48, 80)), base, RECIPE)


def train(job: TrainingJob, runs: Path) -> tuple[str, list[ProgressEvent]]:
    """Train, or take what is there; the SHA-256 of the weights, and what happened."""
    events: list[ProgressEvent] = []
    result = fine_tune(LocalCompute(runs), job, RUN, events.append)
    LocalCompute(runs).verify(result)
    return file_sha256(Path(result.model.location) / "model.safetensors"), events


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def weights(run: Path) -> None:
    flip(next(run.glob("*-ft/model.safetensors")))


def manifest(run: Path) -> None:
    flip(run / "manifest.json")


def best_checkpoint(run: Path) -> None:
    """And what was made of it."""
    manifest(run)
    stored = next((run / "checkpoints").glob("*/checkpoint.json"))
    fingerprint = json.loads(stored.read_text())["fingerprint"]
    best = CheckpointStore(run / "checkpoints", fingerprint, 5).best()
    assert best is not None
    flip(best / "model.safetensors")


def every_checkpoint_manifest(run: Path) -> None:
    manifest(run)
    for path in (run / "checkpoints").glob("*/checkpoint.json"):
        flip(path)


@pytest.mark.slow
def test_what_is_damaged_is_trained_again_with_the_same_weights(job: TrainingJob, tmp_path: Path) -> None:
    expected, events = train(job, tmp_path)
    steps = sum(isinstance(event, TrainingStep) for event in events)
    (run,) = tmp_path.glob("sentence-transformers-ft-*")
    harms: list[tuple[Callable[[Path], None], bool]] = [
        (weights, False),
        (manifest, False),
        (best_checkpoint, True),
        (every_checkpoint_manifest, True),
    ]
    for harm, trains in harms:
        harm(run)
        again, events = train(job, tmp_path)
        assert again == expected, harm.__name__
        assert any(isinstance(event, LogLine) and event.text.endswith(": training again") for event in events)
        taken = sum(isinstance(event, TrainingStep) for event in events)
        assert 0 < taken <= steps if trains else taken == 0
    assert train(job, tmp_path)[1][-1] == LogLine(f"this training is finished already: {run}")


@exhaustive
@pytest.mark.slow
def test_a_training_that_is_cut_off_at_any_write_ends_with_the_same_weights(job: TrainingJob, tmp_path: Path) -> None:
    expected = ""

    def undisturbed() -> None:
        nonlocal expected
        expected, _ = train(job, tmp_path / "undisturbed")

    # What torch and safetensors write is not counted; the renames and hashes that make it count are.
    count = operations(tmp_path / "undisturbed", undisturbed)
    tried = range(count) if PROVES else random.Random(3).sample(range(count), 1)
    for number in tried:
        runs = tmp_path / f"cut-{number}"
        assert cut_at(number, runs, lambda runs=runs: train(job, runs)), number  # type: ignore[misc]
        assert train(job, runs)[0] == expected, number
        shutil.rmtree(runs)


def test_a_run_folder_that_is_written_to_has_one_writer_and_the_other_gets_a_line(
    job: TrainingJob, tmp_path: Path
) -> None:
    """As when the same run is re-executed twice at once: both find the same folder."""
    folder = RunFolder.claim(tmp_path, RUN, job.fingerprint).path
    with held_alone(folder, "trains in"), pytest.raises(BusyError) as caught:
        train(job, tmp_path)
    assert caught.value.values == {"path": folder}
    # Nothing was begun there.
    assert sorted(path.name for path in folder.iterdir()) == [LOCK_FILE, OWNER_FILE]
