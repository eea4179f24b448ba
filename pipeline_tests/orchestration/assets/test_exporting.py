"""The job `export`: what it takes up, what its check refuses, and what stays then."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from dagster_runs import checks, failures, run_job
from deciding_model import made_decision
from made_reports import a_training, made, quick_report

from pipeline.core.store import VersionStore
from pipeline.duplicates.chosen_model import find_model
from pipeline.exporting import export as exporting
from pipeline.exporting.exported import ExportedModel, export_folder
from pipeline.exporting.onnx_export import export_graph
from pipeline.exporting.onnx_model import OnnxEncoder
from pipeline.models.base_model import resolve_base_model
from pipeline.models.decision import write_decision
from pipeline.models.options import BaseModelChoice
from pipeline.orchestration.asset_values import load_value, store_value
from pipeline.orchestration.steps import EXPORTED, PRODUCTION
from pipeline.quality.promotion import Candidate
from pipeline.training.manifest import write_manifest


@pytest.fixture(scope="module", autouse=True)
def one_graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The graph of the tiny model, which takes seconds, is made once."""
    make, kept = export_graph, tmp_path_factory.mktemp("graph") / "model.onnx"
    said: list[Any] = []

    def once(model: Any, label: str, path: Path) -> tuple[tuple[str, ...], int]:
        if not said:
            said.append(make(model, label, kept))
        shutil.copy(kept, path)
        inputs, opset = said[0]
        return inputs, opset

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "export_graph", once)
        yield


@pytest.fixture
def home(pipeline_home: Path, deciding_model: Path) -> Path:
    """A home folder in which a model is in production, made without a training, with the splits of its report."""
    store, splits = VersionStore(str(pipeline_home)), made(0.1, fraction=0.05)[1]
    run_folder = pipeline_home / "runs" / "sentence-transformers-ft-1"
    folder = Path(shutil.copytree(deciding_model, run_folder / "some-model-ft"))
    info = resolve_base_model(BaseModelChoice(model=str(folder))).model_copy(
        update={"kind": "fine_tuned", "name": folder.name}
    )
    decision = made_decision(info.version).model_copy(update={"dev_version": splits.dev.data_version})
    write_decision(folder, decision)
    report = quick_report(info)
    trained = a_training(report.train_version).model_copy(
        update={"model": info, "run_folder": str(run_folder), "decision": decision, "origin": report.origin}
    )
    write_manifest(run_folder, "fingerprint", trained)
    record = Candidate(trained, report, "0123abcd").promoted(None, datetime.now(UTC), is_rollback=False)
    store_value(store, PRODUCTION, record, "0123abcd")
    store_value(store, "dev_split", splits.dev, "made")
    store_value(store, "eval_split", splits.eval, "made")
    assert report.eval_version == splits.eval.data_version
    return pipeline_home


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made_one:
        yield made_one


def export(home: Path, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    return run_job("export", home, instance, {"export_production_model": config}, raise_on_error=False)


def check_alone(home: Path, instance: dg.DagsterInstance, **config: Any) -> dg.AssetCheckEvaluation:
    key = dg.AssetCheckKey(dg.AssetKey(EXPORTED), "parity")
    selection = dg.AssetSelection.checks(key)
    result = run_job(
        "export", home, instance, {"export_production_model": config}, raise_on_error=False, selection=selection
    )
    assert not result.asset_materializations_for_node("export_production_model")
    return checks(result)[EXPORTED, "parity"]


def exported(home: Path) -> ExportedModel:
    value: ExportedModel = load_value(VersionStore(str(home)), EXPORTED)
    return value


@pytest.fixture
def turned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports whose embeddings are others than the model's, as a fault of an exporter would make them."""
    right = OnnxEncoder.embed
    monkeypatch.setattr(OnnxEncoder, "embed", lambda *given: np.roll(right(*given), 1, axis=1))


def test_the_job_exports_what_is_in_production(home: Path, instance: dg.DagsterInstance) -> None:
    result = export(home, instance)
    assert result.success, failures(result)
    store, value = VersionStore(str(home)), exported(home)
    in_production = find_model("production", store)
    assert value.model == in_production.info
    assert value.parity.min_cosine > 0.9999
    assert value.parity.ap_loss == pytest.approx(0, abs=1e-4)
    encoder = OnnxEncoder(export_folder(store, value))
    assert encoder.decision == in_production.decision
    assert checks(result)[EXPORTED, "parity"].passed
    event = instance.get_latest_materialization_event(dg.AssetKey(EXPORTED))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = {key: entry.value for key, entry in event.asset_materialization.metadata.items()}
    assert metadata["precision"] == "fp32"
    assert metadata["model_version"] == in_production.info.version
    assert metadata["trained_by"] == "0123abcd"


@pytest.mark.usefixtures("turned")
def test_an_export_that_isnt_the_model_is_refused_and_the_one_before_stays(
    home: Path, instance: dg.DagsterInstance
) -> None:
    before = home / EXPORTED / "current.json"
    before.parent.mkdir()
    before.write_text("{}")
    result = export(home, instance)
    assert not result.success
    found = checks(result)[EXPORTED, "parity"]
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert found.blocking
    assert "the lowest cosine to the model's own embedding is" in str(found.description)
    said = failures(result)["export_production_model"]
    assert said.startswith("the fp32 export of some-model-ft is refused: ")
    assert "\n" not in said
    assert before.read_text() == "{}"
    assert instance.get_latest_materialization_event(dg.AssetKey(EXPORTED)) is None
    assert [path.name for path in before.parent.iterdir()] == ["current.json"]


def test_int8_is_held_by_the_average_precision_that_it_loses(home: Path, instance: dg.DagsterInstance) -> None:
    # A model with random weights loses more than a trained one.
    assert export(home, instance, precision="int8", max_ap_loss=0.1).success
    first = exported(home)
    store = VersionStore(str(home))
    decision = OnnxEncoder(export_folder(store, first)).decision
    assert decision is not None
    assert decision.threshold != find_model("production", store).require_decision().threshold
    assert first.record.precision == "int8"
    loss = first.parity.ap_loss
    assert loss is not None
    again = check_alone(home, instance, max_ap_loss=0.1)
    assert again.metadata["value"].value == pytest.approx(loss, abs=1e-4)


@pytest.mark.usefixtures("turned")
def test_the_check_alone_finds_an_export_that_isnt_the_model_any_more(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = OnnxEncoder.embed
    with monkeypatch.context() as patch:
        patch.setattr(OnnxEncoder, "embed", lambda *given: np.roll(turned(*given), -1, axis=1))
        assert export(home, instance).success
    assert not check_alone(home, instance).passed


def test_without_the_splits_it_is_said_in_one_line(home: Path, instance: dg.DagsterInstance) -> None:
    for path in (home / "eval_split").glob("*.parquet"):
        path.unlink()
    (said,) = failures(export(home, instance)).values()
    assert said.startswith("the eval_split that the model in production was measured on (version ")
    assert "is no longer stored" in said


def test_without_a_model_in_production_it_is_said_in_one_line(
    pipeline_home: Path, instance: dg.DagsterInstance
) -> None:
    (said,) = failures(export(pipeline_home, instance)).values()
    assert said == "nothing is in production yet: materialise production_model first"
