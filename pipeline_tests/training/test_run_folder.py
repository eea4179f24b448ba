"""Checks a run folder's names, whose it is, and when it is finished."""

from pathlib import Path

import pytest

from pipeline.core.errors import MismatchError, PipelineError
from pipeline.core.files import OWNER_FILE, claim_folder
from pipeline.models.base_model import model_folder_version
from pipeline.models.fine_tuned import DevEvaluation, FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import DataOrigin
from pipeline.training.job import RunIdentity
from pipeline.training.run_folder import RunFolder

FINGERPRINT = "0123456789abcdef"
ANOTHER = "fedcba9876543210"
RUN = RunIdentity("some run", 1702914571)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.claim(tmp_path / "runs", RUN, FINGERPRINT)


def finish(folder: RunFolder) -> FineTunedModel:
    """Leave a small model folder and its manifest."""
    model = folder.model("BAAI/bge-small-en-v1.5")
    (model / "1_Pooling").mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"weights")
    (model / "1_Pooling" / "config.json").write_text("{}")
    (model / "README.md").write_text("# First card\n")
    result = FineTunedModel(
        model=ModelInfo(kind="fine_tuned", name=model.name, location=str(model), version=model_folder_version(model)),
        base_model=ModelInfo(kind="hub", name="BAAI/bge-small-en-v1.5", location="x", revision="r", version="r"),
        run_folder=str(folder.path),
        recipe={"epochs": 1, "max_seq_length": None},
        train_version="t",
        dev_version="d",
        origin=DataOrigin(source="made up", synthetic=True),
        train_pairs=48,
        pair_visits=48,
        steps=6,
        kept_step=6,
        seconds=1.5,
        device="cpu (1 threads)",
        precision="fp32",
        layout="packed",
        token_budget=1024,
        truncated_questions=0,
        dev_evaluations=[DevEvaluation(epoch=1, step=6, average_precision=0.5)],
        losses=[(3, 0.25), (6, 0.125)],
    )
    folder.finish(result, FINGERPRINT)
    return result


def test_the_names_are_the_reference_systems(folder: RunFolder, tmp_path: Path) -> None:
    assert folder.path == tmp_path / "runs" / "sentence-transformers-ft-1702914571"
    assert folder.path.is_dir()
    assert folder.model("BAAI/bge-small-en-v1.5") == folder.path / "BAAI--bge-small-en-v1.5-ft"
    assert folder.checkpoints == folder.path / "checkpoints"


def test_a_retry_finds_its_folder_and_another_run_gets_the_next_one(folder: RunFolder, tmp_path: Path) -> None:
    assert RunFolder.claim(tmp_path / "runs", RUN, FINGERPRINT) == folder
    other = RunFolder.claim(tmp_path / "runs", RunIdentity("other run", 1702914571), FINGERPRINT)
    assert other.path.name == "sentence-transformers-ft-1702914572"
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [folder.path.name, other.path.name]


def test_two_trainings_of_one_run_have_a_folder_each_and_a_retry_finds_its_own(
    folder: RunFolder, tmp_path: Path
) -> None:
    second = RunFolder.claim(tmp_path / "runs", RUN, ANOTHER)
    other_run = RunFolder.claim(tmp_path / "runs", RunIdentity("other run", 1702914571), ANOTHER)
    names = [f"sentence-transformers-ft-170291457{number}" for number in (1, 2, 3)]
    assert [found.path.name for found in (folder, second, other_run)] == names
    finish(folder)
    # Whichever comes first, whatever is finished by then.
    for run, fingerprint, mine in (
        (RUN, ANOTHER, second),
        (RUN, FINGERPRINT, folder),
        (RunIdentity("other run", 1702914571), ANOTHER, other_run),
    ):
        assert RunFolder.claim(tmp_path / "runs", run, fingerprint) == mine
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == names
    assert folder.finished_result(FINGERPRINT) is not None
    assert second.finished_result(ANOTHER) is None


def test_a_folder_of_the_first_release_is_taken_over_by_its_run(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    # The first release knew one training a run, and named the run alone.
    theirs = claim_folder(runs, "sentence-transformers-ft", 1702914571, "some run")
    (theirs / "checkpoints" / "20").mkdir(parents=True)
    (theirs / "checkpoints" / "20" / "model.safetensors").write_bytes(b"weights")
    stranger = RunFolder.claim(runs, RunIdentity("other run", 1702914571), FINGERPRINT)
    assert stranger.path.name == "sentence-transformers-ft-1702914572"
    taken = RunFolder.claim(runs, RUN, FINGERPRINT)
    assert taken.path == theirs
    assert (taken.checkpoints / "20" / "model.safetensors").read_bytes() == b"weights"
    assert (theirs / OWNER_FILE).read_text() == f"some run/{FINGERPRINT}"
    # Once only: it belongs to that training now.
    assert RunFolder.claim(runs, RUN, ANOTHER).path.name == "sentence-transformers-ft-1702914573"
    assert RunFolder.claim(runs, RUN, FINGERPRINT) == taken


def test_a_run_whose_name_begins_like_another_s_takes_nothing_over(folder: RunFolder, tmp_path: Path) -> None:
    for owner in ("some", "some run/", "some run/0123", ""):
        assert RunFolder.claim(tmp_path / "runs", RunIdentity(owner, 1702914571), ANOTHER) != folder
    assert (folder.path / OWNER_FILE).read_text() == f"some run/{FINGERPRINT}"


def test_a_relative_parent_gives_an_absolute_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        RunFolder.claim(Path("runs"), RunIdentity("x", 1), FINGERPRINT).path
        == tmp_path / "runs" / "sentence-transformers-ft-1"
    )


def test_without_a_manifest_nothing_is_finished(folder: RunFolder) -> None:
    assert folder.finished_result(FINGERPRINT) is None
    finish(folder)
    folder.manifest.unlink()
    assert folder.finished_result(FINGERPRINT) is None


def test_a_finished_result_is_read_back_as_it_was(folder: RunFolder) -> None:
    result = finish(folder)
    assert folder.finished_result(FINGERPRINT) == result


@pytest.mark.parametrize("name", ["model.safetensors", "1_Pooling/config.json"])
def test_a_tampered_file_is_named(folder: RunFolder, name: str) -> None:
    path = Path(finish(folder).model.location) / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(PipelineError) as caught:
        folder.finished_result(FINGERPRINT)
    assert str(path) in str(caught.value)


def test_a_missing_and_an_added_file_are_named(folder: RunFolder) -> None:
    model = Path(finish(folder).model.location)
    (model / "added.json").write_text("{}")
    with pytest.raises(PipelineError, match=r"added\.json is not the file that the manifest names"):
        folder.finished_result(FINGERPRINT)
    (model / "added.json").unlink()
    (model / "model.safetensors").unlink()
    with pytest.raises(PipelineError, match=r"model\.safetensors is not the file that the manifest names"):
        folder.finished_result(FINGERPRINT)


def test_a_folder_of_another_training_is_refused(folder: RunFolder) -> None:
    finish(folder)
    with pytest.raises(MismatchError) as caught:
        folder.finished_result(ANOTHER)
    assert caught.value.values["fingerprint"] == ANOTHER


def test_completing_the_card_changes_nothing_that_was_finished(folder: RunFolder) -> None:
    result = finish(folder)
    (Path(result.model.location) / "README.md").write_text("# The card with results\n")
    assert folder.finished_result(FINGERPRINT) == result
