"""Checks a run folder's names and its seal."""

from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.references import DataOrigin, DevEvaluation, FineTunedModel, ModelReference
from pipeline.models.embedding_models import model_folder_version
from pipeline.training.run_folder import RunFolder

FINGERPRINT = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.claim(tmp_path / "runs", 1702914571, "some run")


def finish(folder: RunFolder) -> FineTunedModel:
    """Leave a small model folder and its seal."""
    model = folder.model("BAAI/bge-small-en-v1.5")
    (model / "1_Pooling").mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"weights")
    (model / "1_Pooling" / "config.json").write_text("{}")
    (model / "README.md").write_text("# First card\n")
    result = FineTunedModel(
        model=ModelReference(
            kind="fine_tuned", name=model.name, location=str(model), version=model_folder_version(model)
        ),
        base_model=ModelReference(kind="hub", name="BAAI/bge-small-en-v1.5", location="x", revision="r", version="r"),
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
    folder.seal(result, FINGERPRINT)
    return result


def test_the_names_are_the_reference_systems(folder: RunFolder, tmp_path: Path) -> None:
    assert folder.path == tmp_path / "runs" / "sentence-transformers-ft-1702914571"
    assert folder.path.is_dir()
    assert folder.model("BAAI/bge-small-en-v1.5") == folder.path / "BAAI--bge-small-en-v1.5-ft"
    assert folder.checkpoints == folder.path / "checkpoints"


def test_a_retry_finds_its_folder_and_another_run_gets_the_next_one(folder: RunFolder, tmp_path: Path) -> None:
    assert RunFolder.claim(tmp_path / "runs", 1702914571, "some run") == folder
    other = RunFolder.claim(tmp_path / "runs", 1702914571, "other run")
    assert other.path.name == "sentence-transformers-ft-1702914572"
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [folder.path.name, other.path.name]


def test_a_relative_parent_gives_an_absolute_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunFolder.claim(Path("runs"), 1, "x").path == tmp_path / "runs" / "sentence-transformers-ft-1"


def test_without_a_manifest_nothing_is_finished(folder: RunFolder) -> None:
    assert folder.sealed_result(FINGERPRINT) is None
    finish(folder)
    folder.manifest.unlink()
    assert folder.sealed_result(FINGERPRINT) is None


def test_a_sealed_result_is_read_back_as_it_was(folder: RunFolder) -> None:
    result = finish(folder)
    assert folder.sealed_result(FINGERPRINT) == result


@pytest.mark.parametrize("name", ["model.safetensors", "1_Pooling/config.json"])
def test_a_tampered_file_is_named(folder: RunFolder, name: str) -> None:
    path = Path(finish(folder).model.location) / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(PipelineError) as caught:
        folder.sealed_result(FINGERPRINT)
    assert str(path) in str(caught.value)


def test_a_missing_and_an_added_file_are_named(folder: RunFolder) -> None:
    model = Path(finish(folder).model.location)
    (model / "added.json").write_text("{}")
    with pytest.raises(PipelineError, match=r"added\.json is not the file that was sealed"):
        folder.sealed_result(FINGERPRINT)
    (model / "added.json").unlink()
    (model / "model.safetensors").unlink()
    with pytest.raises(PipelineError, match=r"model\.safetensors is not the file that was sealed"):
        folder.sealed_result(FINGERPRINT)


def test_a_folder_of_another_training_is_refused(folder: RunFolder) -> None:
    finish(folder)
    with pytest.raises(PipelineError, match="another recipe, data or base model"):
        folder.sealed_result("fedcba9876543210")


def test_completing_the_card_does_not_break_the_seal(folder: RunFolder) -> None:
    result = finish(folder)
    (Path(result.model.location) / "README.md").write_text("# The card with results\n")
    assert folder.sealed_result(FINGERPRINT) == result
