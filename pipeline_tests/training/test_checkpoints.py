"""Checks that a checkpoint is complete or absent, and that only a usable one is found again."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.training.checkpoints import CHECKPOINT_MANIFEST, CheckpointStore


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoints", fingerprint="ours", keep=3)


def staged(store: CheckpointStore, step: int) -> Path:
    """A checkpoint as the trainer leaves it."""
    folder = store.staging / f"checkpoint-{step}"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights of step %d" % step)
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "training_args.bin").write_bytes(b"a pickle")
    return folder


def commit(store: CheckpointStore, *steps: int) -> None:
    for step in steps:
        store.commit(staged(store, step), step)


def test_committing_moves_the_checkpoint_under_its_step_with_a_manifest(store: CheckpointStore) -> None:
    path = store.commit(staged(store, 10), 10)
    assert path == store.folder / "10"
    assert (path / "model.safetensors").read_bytes() == b"weights of step 10"
    assert not (store.staging / "checkpoint-10").exists()
    manifest = json.loads((path / CHECKPOINT_MANIFEST).read_text())
    assert (manifest["step"], manifest["fingerprint"]) == (10, "ours")
    assert set(manifest["sha256"]) == {"model.safetensors", "1_Pooling/config.json", "README.md"}


def test_no_pickled_arguments_are_left(store: CheckpointStore) -> None:
    commit(store, 10, 20)
    assert list(store.folder.rglob("training_args.bin")) == []


def test_committing_a_step_again_replaces_it(store: CheckpointStore) -> None:
    commit(store, 10)
    again = staged(store, 10)
    (again / "model.safetensors").write_bytes(b"new")
    store.commit(again, 10)
    assert (store.folder / "10" / "model.safetensors").read_bytes() == b"new"
    assert store.newest() == store.folder / "10"


def test_only_the_newest_are_kept_and_steps_count_as_numbers(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, "ours", keep=2)
    commit(store, 8, 9, 10, 100)
    assert store.steps() == [10, 100]
    assert sorted(path.name for path in tmp_path.iterdir() if path != store.staging) == ["10", "100"]


def test_the_newest_is_found_and_a_fresh_folder_has_none(store: CheckpointStore) -> None:
    assert store.newest() is None
    commit(store, 9, 10)
    assert store.newest() == store.folder / "10"


def test_clearing_the_staging_leaves_committed_checkpoints(store: CheckpointStore) -> None:
    commit(store, 10)
    staged(store, 20)
    assert store.prepare() == store.folder / "10"
    assert not store.staging.exists()


def test_what_is_still_being_staged_is_never_found(store: CheckpointStore) -> None:
    staged(store, 20)
    assert store.newest() is None


def damage(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").write_bytes(b"weights of step 21")


def remove_file(checkpoint: Path) -> None:
    (checkpoint / "1_Pooling" / "config.json").unlink()


def add_file(checkpoint: Path) -> None:
    (checkpoint / "training_args.bin").write_bytes(b"smuggled in")


def remove_manifest(checkpoint: Path) -> None:
    (checkpoint / CHECKPOINT_MANIFEST).unlink()


def cut_manifest(checkpoint: Path) -> None:
    manifest = checkpoint / CHECKPOINT_MANIFEST
    manifest.write_text(manifest.read_text()[:20])


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (damage, "model.safetensors is missing or damaged"),
        (remove_file, "1_Pooling/config.json is missing or damaged"),
        (add_file, "training_args.bin is missing or damaged"),
        (remove_manifest, "no readable checkpoint.json"),
        (cut_manifest, "no readable checkpoint.json"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_passed_over_with_a_warning(
    store: CheckpointStore, caplog: pytest.LogCaptureFixture, harm: object, reason: str
) -> None:
    assert callable(harm)
    commit(store, 10, 20)
    harm(store.folder / "20")
    with caplog.at_level(logging.WARNING):
        assert store.newest() == store.folder / "10"
    [record] = caplog.records
    assert reason in record.getMessage()
    assert str(store.folder / "20") in record.getMessage()


def test_a_half_written_folder_is_passed_over(store: CheckpointStore, caplog: pytest.LogCaptureFixture) -> None:
    (store.folder / "30").mkdir(parents=True)
    (store.folder / "30" / "model.safetensors").write_bytes(b"half")
    assert store.newest() is None
    assert "no readable checkpoint.json" in caplog.text


def test_a_checkpoint_of_another_training_is_passed_over(
    store: CheckpointStore, caplog: pytest.LogCaptureFixture
) -> None:
    commit(store, 10)
    commit(CheckpointStore(store.folder, "theirs", keep=3), 20)
    assert store.newest() == store.folder / "10"
    assert "another recipe, data, base model or token budget" in caplog.text


def test_whole_checkpoints_are_found_without_a_warning(
    store: CheckpointStore, caplog: pytest.LogCaptureFixture
) -> None:
    commit(store, 10, 20)
    assert store.newest() == store.folder / "20"
    assert caplog.records == []


def test_an_unusable_checkpoint_of_a_later_step_does_not_cost_the_new_one(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, "ours", keep=1)
    commit(store, 20)
    damage(store.folder / "20")
    commit(store, 10)
    assert store.newest() == store.folder / "10"


# --- the best one is damaged ---


def with_scores(store: CheckpointStore) -> None:
    for step, score in ((10, 0.5), (20, 0.9), (30, 0.6), (40, 0.7)):
        store.commit(staged(store, step), step, score)


@pytest.mark.parametrize("harm", [damage, remove_file, remove_manifest, cut_manifest])
def test_a_training_goes_back_before_its_best_checkpoint_when_that_is_damaged(
    store: CheckpointStore, caplog: pytest.LogCaptureFixture, harm: Callable[[Path], None]
) -> None:
    """The second best would pass for the best."""
    store = CheckpointStore(store.folder, "ours", keep=4)
    with_scores(store)
    harm(store.folder / "20")
    assert store.prepare() == store.folder / "10"
    assert store.steps() == [10]
    assert f"checkpoint {store.folder / '20'} is damaged" in caplog.text
    # What is taken again is kept again.
    with_scores(store)
    assert store.best() == store.folder / "20"


def test_a_damaged_checkpoint_that_is_not_the_best_costs_nothing(store: CheckpointStore) -> None:
    store = CheckpointStore(store.folder, "ours", keep=4)
    with_scores(store)
    damage(store.folder / "30")
    assert store.prepare() == store.folder / "40"
    assert store.best() == store.folder / "20"


def test_the_best_checkpoint_damaged_at_the_end_names_a_way_out_that_works(store: CheckpointStore) -> None:
    with_scores(store)
    damage(store.folder / "20")
    with pytest.raises(PipelineError, match="re-execute the run: it goes on from before that step"):
        store.best()
    assert store.prepare() is None
