"""Checks the manifest of a run folder wherever the folder lies, and what is refused."""

import shutil
from pathlib import Path

import pytest
from made_reports import finished_training

from pipeline.core.checksums import checked_json, read_checked
from pipeline.core.errors import DamagedError, MismatchError, NotFoundError, PipelineError
from pipeline.training.manifest import MANIFEST_NAME, read_manifest, verify_files, verify_model


def test_a_finished_folder_is_whole_also_where_it_was_copied_to(tmp_path: Path) -> None:
    model = finished_training(tmp_path / "run")
    shutil.move(tmp_path / "run", tmp_path / "elsewhere")
    manifest = read_manifest(tmp_path / "elsewhere")
    assert manifest.result == model.at(str(tmp_path / "elsewhere"))
    assert len(manifest.sha256) == 2
    verify_files(tmp_path / "elsewhere", manifest)


def test_an_unfinished_folder_is_refused(tmp_path: Path) -> None:
    finished_training(tmp_path / "run")
    (tmp_path / "run" / MANIFEST_NAME).unlink()
    with pytest.raises(NotFoundError) as caught:
        read_manifest(tmp_path / "run")
    assert caught.value.values == {"path": tmp_path / "run" / MANIFEST_NAME}


@pytest.mark.parametrize("text", ["", "{", '{"fingerprint": "x"}', '{"surprise": 1}', "\udcff"])
def test_a_manifest_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(PipelineError, match="can't read") as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["flip", "add", "remove"])
def test_a_changed_an_added_and_a_missing_file_are_named(tmp_path: Path, change: str) -> None:
    folder = Path(finished_training(tmp_path / "run").model.location)
    weights = folder / "model.safetensors"
    if change == "flip":
        weights.write_bytes(bytes([weights.read_bytes()[0] ^ 1]) + weights.read_bytes()[1:])
    elif change == "add":
        weights = folder / "added.json"
        weights.write_text("{}")
    else:
        weights.unlink()
    with pytest.raises(PipelineError, match=f"{weights.name} is not the file that the manifest names"):
        verify_files(tmp_path / "run", read_manifest(tmp_path / "run"))


def test_a_manifest_that_points_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    finished_training(tmp_path / "run")
    path = tmp_path / "run" / MANIFEST_NAME
    manifest = read_checked(path.read_bytes())
    manifest["result"]["model"]["name"] = "../elsewhere"
    path.write_bytes(checked_json(manifest))
    with pytest.raises(DamagedError):
        verify_files(tmp_path / "run", read_manifest(tmp_path / "run"))


def test_a_folder_is_held_against_the_version_that_is_asked_for(tmp_path: Path) -> None:
    model = finished_training(tmp_path / "run")
    verify_model(tmp_path / "run", model.model.version)
    with pytest.raises(MismatchError) as caught:
        verify_model(tmp_path / "run", "m9")
    assert caught.value.values["version"] == "m9"
    (Path(model.model.location) / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(PipelineError, match=r"model\.safetensors is not the file that the manifest names"):
        verify_model(tmp_path / "run", model.model.version)
