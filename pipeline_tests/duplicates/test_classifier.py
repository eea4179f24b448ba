"""A model is found by what people call it, and decides as its decision says."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from made_reports import a_training, before_and_after, finished_training
from sentence_transformers import SentenceTransformer

from pipeline.core.errors import (
    DamagedError,
    MismatchError,
    ModelError,
    NotFoundError,
    PipelineError,
    SettingError,
)
from pipeline.core.store import VersionStore
from pipeline.duplicates.chosen_model import PRODUCTION_ASSET, TRAINED_ASSET, find_model
from pipeline.duplicates.classifier import DuplicateClassifier
from pipeline.models.decision import CALIBRATION_FILE_NAME, DECISION_FILE_NAME, read_decision
from pipeline.orchestration.asset_values import store_value
from pipeline.orchestration.steps import PRODUCTION
from pipeline.quality.promotion import Candidate

PAIRS = [
    ("How do I learn Python?", "What is the best way to learn Python?"),
    ("How do I learn Python?", "How do I cook rice?"),
    ("Why?", "Why?"),
    ("", "🙂 שלום"),
]
STORE = VersionStore("/nowhere")


def test_it_gives_what_the_library_and_the_formula_give(deciding_model: Path) -> None:
    classifier = DuplicateClassifier.load(deciding_model, device="cpu")
    model = SentenceTransformer(str(deciding_model), device="cpu")
    first, second = (model.encode([pair[at] for pair in PAIRS]) for at in (0, 1))
    cosine = np.einsum("ij,ij->i", first, second)
    np.testing.assert_allclose(classifier.cosine(PAIRS), cosine, atol=1e-5)
    decision = read_decision(deciding_model)
    assert decision is not None
    fitted = decision.calibration
    expected = 1 / (1 + np.exp(-(fitted.slope * cosine + fitted.intercept)))
    np.testing.assert_allclose(classifier.probability(PAIRS), expected, atol=1e-3)
    assert classifier.is_duplicate(PAIRS).tolist() == (cosine >= decision.threshold).tolist()
    assert (classifier.probability(PAIRS, prior=0.001) < classifier.probability(PAIRS)).all()
    assert classifier.threshold(prior=0.01) > classifier.threshold(prior=0.5)
    assert (classifier.cosine([]).shape, classifier.is_duplicate([]).shape) == ((0,), (0,))


@pytest.mark.parametrize("prior", [0, 1, -0.5, float("nan")])
def test_a_prior_that_is_no_share_is_refused(deciding_model: Path, prior: float) -> None:
    with pytest.raises(SettingError) as caught:
        DuplicateClassifier.load(deciding_model).probability(PAIRS, prior=prior)
    assert str(caught.value.values["prior"]) == str(prior)


def test_a_base_model_says_that_it_carries_no_decision(tiny_model: Path) -> None:
    classifier = DuplicateClassifier.load(tiny_model, device="cpu")
    assert classifier.cosine(PAIRS).shape == (4,)
    with pytest.raises(ModelError) as caught:
        classifier.probability(PAIRS)
    assert caught.value.values == {"model": tiny_model.name}


def test_a_decision_of_other_weights_is_refused(deciding_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(deciding_model, folder)
    path = folder / DECISION_FILE_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_version": "other"}))
    with pytest.raises(MismatchError) as caught:
        find_model(str(folder), STORE)
    assert (caught.value.values["path"], caught.value.values["version"]) == (path, "other")


def test_the_model_in_production_and_that_of_a_run_are_found_and_named(pipeline_home: Path) -> None:
    store = VersionStore(str(pipeline_home))
    with pytest.raises(NotFoundError) as caught:
        find_model("production", store)
    assert caught.value.values == {"home": str(pipeline_home)}
    trained = finished_training(pipeline_home / "runs" / "one")
    report = before_and_after()[1].model_copy(update={"model": trained.model})
    store_value(store, TRAINED_ASSET, trained, "0123abcd-0000")
    record = Candidate(trained, report, "0123abcd-0000").promoted(None, datetime.now(UTC), is_rollback=False)
    store_value(store, PRODUCTION_ASSET, record, "0123abcd-0000")
    found = find_model("production", store)
    assert found.info == trained.model
    assert "in production since" in found.said
    assert found.said.endswith(f"trained by run 0123abcd: {trained.model.name}, version {trained.model.version}")
    # Of an earlier release, whose report chose thresholds: they stand for its decision.
    assert found.require_decision().threshold == report.cosine.f1_threshold
    assert find_model("0123abcd", store).info == trained.model
    assert find_model(trained.run_folder, store).info == trained.model
    with pytest.raises(NotFoundError):
        find_model("deadbeef", store)


def test_the_names_of_assets_are_those_of_the_pipeline() -> None:
    assert PRODUCTION_ASSET == PRODUCTION


def test_a_record_that_can_t_be_read_is_named(pipeline_home: Path) -> None:
    folder = pipeline_home / PRODUCTION_ASSET
    folder.mkdir(parents=True)
    (folder / "current.json").write_text("{}")
    with pytest.raises(DamagedError) as caught:
        find_model("production", VersionStore(str(pipeline_home)))
    assert caught.value.values == {"asset": PRODUCTION_ASSET}


def test_a_changed_file_of_a_run_folder_is_noticed(tmp_path: Path) -> None:
    trained = finished_training(tmp_path / "run")
    (Path(trained.model.location) / "model.safetensors").write_bytes(b"other")
    with pytest.raises(PipelineError, match="is not the file that the manifest names"):
        find_model(trained.run_folder, STORE)


def test_the_probability_that_an_earlier_release_wrote_is_still_read(tmp_path: Path) -> None:
    trained = finished_training(tmp_path / "run")
    path = Path(trained.run_folder) / CALIBRATION_FILE_NAME
    written = {"model": trained.model.version, "slope": 12.0, "intercept": -9.0, "fitted_on": 40, "brier": 0.1}
    path.write_text(json.dumps(written))
    assert find_model(trained.run_folder, STORE).require_decision().threshold == pytest.approx(0.75)
    path.write_text(json.dumps({**written, "model": "another"}))
    assert find_model(trained.run_folder, STORE).decision is None
    for damaged in ("", "[]", '{"slope": "x"}'):
        path.write_text(damaged)
        with pytest.raises(DamagedError) as caught:
            find_model(trained.run_folder, STORE)
        assert caught.value.values == {"path": path}


@pytest.mark.parametrize("choice", ["nowhere", "/not/there", "a/b/c", ""])
def test_a_model_that_there_isn_t_is_refused_with_what_there_may_be(choice: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_model(choice, STORE)
    assert caught.value.values == {"model": choice}


def test_the_bundled_model_is_found_without_a_decision() -> None:
    found = find_model("bundled", STORE)
    assert (found.decision, found.info.kind) == (None, "bundled")
    assert a_training("t1").decision is None
