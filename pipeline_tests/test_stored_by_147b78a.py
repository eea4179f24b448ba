"""What the first release stored is still read, listed, compared, promoted over, rolled back to and gone on with.

`stored_by_147b78a.zip` was made once with the code of commit 147b78a, from generated pairs; its README says how.
"""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from dagster_runs import checks, metadata, run
from safetensors.numpy import load_file

from pipeline.compute.local import LocalCompute
from pipeline.compute.modal.backend import BACKEND as MODAL
from pipeline.compute.modal.messages import Outcome
from pipeline.core.errors import PipelineError
from pipeline.core.progress import ProgressEvent, TrainingStep
from pipeline.core.store import Pointer, VersionStore, stored_text
from pipeline.models.base_model import resolve_base_model
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.options import BaseModelChoice
from pipeline.orchestration.asset_values import SIDES, load_value
from pipeline.orchestration.resources import ReportHistory
from pipeline.orchestration.retention import kept_trainings
from pipeline.orchestration.steps import PRODUCTION
from pipeline.orchestration.verification import damage_in
from pipeline.orchestration.work_records import recorded_calls
from pipeline.quality.production_record import ProductionModel, current_production, earlier_production
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.schema import PairTable, Splits
from pipeline.question_pairs.sides import UNNAMED_DIVISION, require_sound_splits
from pipeline.question_pairs.sources import load_pairs
from pipeline.training.fine_tune import fine_tune
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.manifest import read_manifest
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import RunFolder

ARCHIVE = Path(__file__).with_name("stored_by_147b78a.zip")
MADE_AT = "/tmp/stored_by_147b78a"


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """The archive's files, with the places in them rewritten to where they are now."""
    folder = tmp_path / "stored"
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    for path in folder.rglob("*.json"):
        # Checkpoints name no places, and hold hashes of their files.
        if "checkpoints" not in path.parts:
            path.write_text(path.read_text().replace(MADE_AT, str(folder)))
    return folder


@pytest.fixture
def store(stored: Path, monkeypatch: pytest.MonkeyPatch) -> VersionStore:
    monkeypatch.setenv("PIPELINE_HOME", str(stored / "home"))
    return VersionStore(str(stored / "home"))


@pytest.fixture
def expected(stored: Path) -> Any:
    return json.loads((stored / "expected.json").read_text())


def test_every_value_is_read_with_the_version_that_it_had(stored: Path, store: VersionStore) -> None:
    versions = json.loads((stored / "versions.json").read_text())
    read = 0
    for asset, entries in versions.items():
        for version, entry in entries.items():
            # Read as the current value: the version that is recomputed must be the one that is pointed to.
            pointer = Pointer(version=entry["data_version"], file=entry["file"], run_id="any")
            store.point_to(asset, pointer)
            value = load_value(store, asset)
            assert value.data_version == version
            if not isinstance(value, PairTable):
                assert type(value).from_stored(json.loads(stored_text(value))["value"]) == value
            read += 1
    assert read >= 15


def test_all_reports_stand_on_the_leaderboard(store: VersionStore, expected: Any) -> None:
    reports, unreadable = ReportHistory(home=store.home).reports()
    assert unreadable == 0
    versions = {report.read().data_version for report in reports}
    assert versions >= {"5403816f622aa0bb", "00657b0ec6871e81", "eae8daccb53fc6dc"}
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(Path(store.home), None, instance, dg.AssetSelection.assets("model_leaderboard"))
    assert result.success
    rows = load_value(store, "model_leaderboard").rows
    assert [(row.model.version, row.ap.estimate) for row in rows] == [
        (row["model_version"], pytest.approx(row["ap"])) for row in expected["leaderboards"]["B"]["rows"]
    ]


def promote(store: VersionStore, *overrides: str) -> dg.ExecuteInProcessResult:
    settings = tuple(f"production_model.{override}" for override in overrides)
    with dg.DagsterInstance.ephemeral() as instance:
        return run(Path(store.home), None, instance, dg.AssetSelection.assets(PRODUCTION), settings)


def test_a_model_is_rolled_back_to_and_promoted_over(store: VersionStore, expected: Any) -> None:
    before = current_production(store, PRODUCTION)
    assert isinstance(before, ProductionModel)
    assert before.data_version == expected["current"]["production_model"]
    (first,) = earlier_production(store, PRODUCTION, before)
    assert isinstance(first, ProductionModel)

    result = promote(store, f"run_id={first.run_id[:8]}")
    assert metadata(result, PRODUCTION)["decision"] == "rolled back"
    now = current_production(store, PRODUCTION)
    assert isinstance(now, ProductionModel)
    assert (now.run_id, now.is_rollback, now.previous) == (first.run_id, True, before.data_version)

    result = promote(store, "min_ap_gain=0")
    assert metadata(result, PRODUCTION)["decision"] == "promoted"
    assert metadata(result, PRODUCTION)["history"].count("| promoted |") == 3
    assert all(check.passed for check in checks(result).values())


def test_the_files_of_its_models_are_those_of_their_manifests(store: VersionStore, expected: Any) -> None:
    for run_id in expected["made_by_run"].values():
        pointer = Pointer(version=run_id["fine_tuned_model"], file=f"{run_id['fine_tuned_model']}.json", run_id="")
        model = store.read("fine_tuned_model", FineTunedModel, pointer)
        LocalCompute(Path(store.home) / "runs").verify(model)
        # A manifest's own words decide, not a fingerprint that is computed anew from the recipe.
        changed = model.model_copy(update={"recipe": {**model.recipe, "a_knob_that_is_gone": 1}})
        LocalCompute(Path(store.home) / "runs").verify(changed)


def test_all_of_it_is_what_was_written_as_far_as_the_first_release_wrote_that_down(store: VersionStore) -> None:
    runs = Path(store.home) / "runs"
    assert list(damage_in(store, runs)) == []
    weights = next(runs.glob("*/*-ft/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert len(list(damage_in(store, runs))) == 1


def test_its_splits_are_used_with_a_word_until_they_are_made_again(store: VersionStore) -> None:
    """They don't name the division that they are sides of."""
    train, dev, held_out = (load_value(store, side) for side in SIDES)
    assert require_sound_splits(Splits(train, dev, held_out)) == UNNAMED_DIVISION
    with dg.DagsterInstance.ephemeral() as instance:
        small = ("splits_checks.min_train_pairs=1", "splits_checks.min_held_out_pairs=1", "splits.strategy=reference")
        run(Path(store.home), None, instance, dg.AssetSelection.assets(*SIDES), small)
    new = Splits(*(load_value(store, side) for side in SIDES))
    assert require_sound_splits(new) == ""
    for mixed in (Splits(new.train, dev, held_out), Splits(train, new.dev, held_out), Splits(train, dev, new.eval)):
        with pytest.raises(PipelineError, match="so they can't be used together"):
            require_sound_splits(mixed)


@pytest.fixture
def unfinished(stored: Path) -> Any:
    return json.loads((stored / "unfinished_run.json").read_text())


@pytest.mark.slow
def test_an_unfinished_training_goes_on_from_its_checkpoint(stored: Path, unfinished: Any) -> None:
    pairs = load_pairs(PairSource(source="file", path=unfinished["pairs"]))
    train, dev = (pairs.take(np.arange(*unfinished[f"{side}_rows"])) for side in ("train", "dev"))
    base_model = resolve_base_model(BaseModelChoice(model=str(stored / "models" / "very-small-a")))
    job = TrainingJob(train, dev, base_model, Recipe.model_validate(unfinished["recipe"]))
    run_ = RunIdentity(unfinished["owner"], unfinished["unix_time"])

    folder = RunFolder.claim(Path(unfinished["runs_folder"]), run_, job.fingerprint)
    assert folder.path == Path(unfinished["run_folder"]), "the folder of the unfinished run must be found again"
    events: list[ProgressEvent] = []
    resumed = fine_tune(job, folder, events.append)
    steps = [event.step for event in events if isinstance(event, TrainingStep)]
    assert steps[0] > unfinished["newest_checkpoint"]

    anew = RunFolder.claim(stored / "anew", run_, job.fingerprint)
    uninterrupted = fine_tune(job, anew)
    # The first steps were made with another kind of processor, or other threads, which round differently.
    found, expected, before = (
        load_file(Path(model.location) / "model.safetensors")
        for model in (resumed.model, uninterrupted.model, base_model)
    )
    assert found.keys() == expected.keys() == before.keys()
    learned = max(np.abs(expected[name] - before[name]).max() for name in before)
    assert max(np.abs(found[name] - expected[name]).max() for name in before) < learned / 20


def test_what_a_training_on_modal_left_is_found(stored: Path, tmp_path: Path) -> None:
    modal = stored / "modal"
    store = VersionStore(str(tmp_path / "home"))
    folder = Path(store.home) / "fine_tuned_model"
    folder.mkdir(parents=True)
    pointer = Pointer.from_stored_json((modal / "pointer.json").read_text())
    shutil.copy(modal / "fine_tuned_model.json", folder / pointer.file)
    store.point_to("fine_tuned_model", pointer)
    model = store.read("fine_tuned_model", FineTunedModel, pointer)
    # Its Volume is not deleted, and its calls are ended when its run is cancelled.
    assert MODAL.scheme
    volume = model.run_folder.removeprefix("modal-volume://")
    assert list(kept_trainings(store, top=3)) == [volume]
    tags = json.loads((modal / "run_tags.json").read_text())
    ((tag, call_id),) = recorded_calls(MODAL, tags)
    assert tag == "modal/fine_tuned_model.call_id"
    assert call_id == json.loads((modal / "materialization_metadata.json").read_text())["modal_call"]
    outcome = Outcome.from_stored_json((modal / "outcome.json").read_text())
    assert outcome.result
    assert outcome.result.model.version == model.model.version
    assert read_manifest(modal).result.model.version == model.model.version
