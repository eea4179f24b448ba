"""An export that a store keeps: below a folder or on object storage, read back or named as damaged."""

from pathlib import Path
from uuid import uuid4

import pytest
from deciding_model import made_decision
from exports import info_of

from pipeline.core.errors import DamagedError, NotFoundError, SettingError
from pipeline.core.store import VersionStore
from pipeline.duplicates.chosen_model import EXPORTED_ASSET, ChosenExport, find_model
from pipeline.duplicates.classifier import DuplicateClassifier
from pipeline.exporting.exported import ExportedModel, export_folder, store_files
from pipeline.exporting.onnx_model import OnnxEncoder
from pipeline.exporting.parity import Parity
from pipeline.exporting.record import read_record
from pipeline.orchestration.asset_values import store_value
from pipeline.orchestration.steps import EXPORTED
from pipeline.orchestration.verification import damage_in
from pipeline.vectors.cache import VectorCache

PARITY = Parity(questions=8, min_cosine=1, mean_cosine=1, pairs=0, ap_of_model=None, ap_of_export=None)


def kept(store: VersionStore, folder: Path, tiny: Path) -> ExportedModel:
    record = read_record(folder)
    value = ExportedModel(
        record=record,
        model=info_of(tiny),
        parity=PARITY,
        eval_version="v2",
        folder=f"{EXPORTED}/{record.identity}",
    )
    store_files(store, value.folder, folder, record)
    store_value(store, EXPORTED, value, "run")
    return value


def test_the_newest_export_of_a_home_is_a_choice(exported: Path, tiny: Path, pipeline_home: Path) -> None:
    assert EXPORTED == EXPORTED_ASSET
    store = VersionStore(str(pipeline_home))
    with pytest.raises(NotFoundError):
        find_model("exported", store)
    value = kept(store, exported, tiny)
    chosen = find_model("exported", store)
    assert isinstance(chosen, ChosenExport)
    assert chosen.folder == pipeline_home / EXPORTED / value.data_version
    assert chosen.said.startswith("the newest export: model, version ")
    assert list(damage_in(store, pipeline_home / "runs")) == []
    (chosen.folder / "model.onnx").write_bytes(b"")
    with pytest.raises(DamagedError) as caught:
        find_model("exported", store)
    assert caught.value.values == {"path": chosen.folder / "model.onnx"}
    (said,) = damage_in(store, pipeline_home / "runs")
    assert said.endswith("model.onnx is not what was written")


def test_of_object_storage_a_verified_copy_is_kept_here(exported: Path, tiny: Path, tmp_path: Path) -> None:
    store = VersionStore(f"memory://{uuid4().hex}")
    value = kept(store, exported, tiny)
    folder = export_folder(store, value, tmp_path / "cache")
    assert folder == tmp_path / "cache" / value.data_version
    assert OnnxEncoder(folder).decision == OnnxEncoder(exported).decision
    # What was damaged here is brought again; what was damaged there is named.
    (folder / "model.onnx").write_bytes(b"")
    assert export_folder(store, value, tmp_path / "cache") == folder
    assert OnnxEncoder(folder).embed(["why?"]).shape == (1, 16)
    (store.root / value.folder / "model.onnx").write_bytes(b"")
    assert export_folder(store, value, tmp_path / "cache") == folder
    with pytest.raises(DamagedError, match=r"model\.onnx"):
        export_folder(store, value, tmp_path / "other")
    (store.root / value.folder / "model.onnx").unlink()
    with pytest.raises(DamagedError) as caught:
        export_folder(store, value, tmp_path / "other")
    assert caught.value.values == {"path": store.root / value.folder / "model.onnx"}
    assert list((tmp_path / "other").iterdir()) == []


def test_a_classifier_of_an_export_decides_as_that_of_its_model(exported: Path) -> None:
    classifier = DuplicateClassifier.load(exported)
    assert classifier.decision == made_decision(read_record(exported).model_version)
    pairs = [("Why is it?", "why is it?"), ("How do I learn guitar?", "What is the best way?")]
    assert classifier.cosine(pairs)[0] == pytest.approx(1, abs=1e-5)
    with pytest.raises(SettingError) as caught:
        DuplicateClassifier.load(exported, device="cuda")
    assert caught.value.values == {"device": "cuda"}


def test_vectors_of_int8_are_kept_apart(exported: Path, exported_int8: Path, tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)
    whole, small = OnnxEncoder(exported), OnnxEncoder(exported_int8)
    for encoder in (whole, small):
        cache.vectors(["why?", "how?"], encoder)
    version = whole.model_version
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([whole.cache_name, small.cache_name])
    home = VersionStore(str(tmp_path))
    assert find_model(str(exported), home).info.version == version
    # An index of the model's own vectors isn't one of these.
    assert find_model(str(exported_int8), home).info.version == f"{version}-int8"
