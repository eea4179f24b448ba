"""What commit bcc17f1 stored is still read, checked, compared, promoted over, rolled back to and resumed.

`stored_by_bcc17f1.zip` was made once with the code of that commit, from generated pairs; its README says how. Its files
are sealed with hashes and name each other by absolute paths, so it is unpacked where it was made.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster_runs import checks, metadata, run
from filelock import FileLock

from pipeline.command_line.cli import cli
from pipeline.compute.choice import backend
from pipeline.compute.local import LocalCompute
from pipeline.core.errors import PipelineError
from pipeline.core.files import PROJECT_ROOT
from pipeline.core.store import Pointer, VersionStore, stored_text
from pipeline.duplicates.chosen_model import find_model
from pipeline.exporting.exported import ExportedModel, export_folder
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.orchestration.asset_values import load_pointed, load_value
from pipeline.orchestration.resources import ReportHistory
from pipeline.orchestration.retention import Item, items
from pipeline.orchestration.steps import EXPORTED, PRODUCTION, REMOVED_ASSETS
from pipeline.orchestration.verification import damage_in
from pipeline.quality.options import RetentionRules
from pipeline.quality.production_record import ProductionModel, current_production, earlier_production
from pipeline.question_pairs.schema import PairTable

ARCHIVE = Path(__file__).with_name("stored_by_bcc17f1.zip")
MADE_AT = Path("/tmp/stored_by_bcc17f1")
SECONDS = 480

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the archive names its files by paths below /tmp")


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The archive's files, which one test at a time may have."""
    with FileLock(Path(tempfile.gettempdir()) / "stored_by_bcc17f1.lock"):
        shutil.rmtree(MADE_AT, ignore_errors=True)
        with zipfile.ZipFile(ARCHIVE) as archive:
            archive.extractall(MADE_AT)
        monkeypatch.setenv("PIPELINE_HOME", str(MADE_AT / "home"))
        yield MADE_AT
        shutil.rmtree(MADE_AT)


@pytest.fixture
def store(stored: Path) -> VersionStore:
    return VersionStore(str(stored / "home"))


def test_every_value_is_read_with_the_version_that_it_had(stored: Path, store: VersionStore) -> None:
    versions = json.loads((stored / "versions.json").read_text())
    kinds = set()
    for asset in versions.keys() - REMOVED_ASSETS:
        for file, entry in versions[asset].items():
            value = load_pointed(store, asset, Pointer(version=entry["version"], file=file, run_id=""))
            assert value.data_version == entry["version"]
            kinds.add(entry["type"])
            if not isinstance(value, PairTable):
                assert type(value).from_stored(json.loads(stored_text(value))["value"]) == value
    assert len(kinds) >= 11


@pytest.mark.parametrize("asset", REMOVED_ASSETS)
def test_a_value_of_a_removed_asset_is_refused_in_one_line(store: VersionStore, asset: str) -> None:
    with pytest.raises(PipelineError):
        load_value(store, asset)


def test_verifying_finds_nothing_until_a_byte_changes(store: VersionStore) -> None:
    runs = Path(store.home) / "runs"
    before = set(damage_in(store, runs))
    # The archive has no pages and no pictures.
    assert {line for line in before if not re.search(r"/(report\.html|pictures/.*\.(png|svg)) is gone$", line)} == set()
    weights = next(runs.glob("*/*-ft/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert len(set(damage_in(store, runs)) - before) == 1


def test_all_reports_are_on_the_leaderboard(store: VersionStore) -> None:
    before = load_value(store, "model_leaderboard")
    assert ReportHistory(home=store.home).reports()[1] == 0
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(Path(store.home), None, instance, dg.AssetSelection.assets("model_leaderboard")).success
    rows = load_value(store, "model_leaderboard").rows
    assert [(row.model.version, row.ap.estimate) for row in rows] == [
        (row.model.version, row.ap.estimate) for row in before.rows
    ]


def promote(store: VersionStore, *overrides: str) -> dg.ExecuteInProcessResult:
    settings = tuple(f"production_model.{override}" for override in overrides)
    with dg.DagsterInstance.ephemeral() as instance:
        return run(Path(store.home), None, instance, dg.AssetSelection.assets(PRODUCTION), settings)


def test_a_model_is_rolled_back_to_and_a_weaker_one_is_compared_and_refused(store: VersionStore) -> None:
    average = current_production(store, PRODUCTION)
    assert isinstance(average, ProductionModel)
    assert average.model.recipe["soup_size"] == 2
    (first,) = earlier_production(store, PRODUCTION, average)
    assert isinstance(first, ProductionModel)

    # The newest model learned from a teacher that no release has any more.
    result = promote(store, "min_ap_gain=0")
    assert not result.asset_materializations_for_node(PRODUCTION)
    assert not checks(result)[PRODUCTION, "not_worse_than_current"].passed

    result = promote(store, f"run_id={first.run_id[:8]}")
    assert metadata(result, PRODUCTION)["decision"] == "rolled back"
    now = current_production(store, PRODUCTION)
    assert isinstance(now, ProductionModel)
    assert (now.run_id, now.is_rollback, now.previous) == (first.run_id, True, average.data_version)


def test_the_files_of_its_models_are_those_of_their_manifests(store: VersionStore) -> None:
    files = [path for path in store.folder("fine_tuned_model").glob("*.json") if path.name != "current.json"]
    assert len(files) == 3
    for path in files:
        pointer = Pointer(version=path.stem, file=path.name, run_id="")
        LocalCompute(Path(store.home) / "runs").verify(store.read("fine_tuned_model", FineTunedModel, pointer))


def test_its_model_and_its_export_decide_alike(store: VersionStore) -> None:
    exported: ExportedModel = load_value(store, EXPORTED)
    assert export_folder(store, exported).is_dir()
    assert exported.model == find_model("production", store).info
    questions = ("which book explains tea to beginners?", "where should one start when reading about tea?")
    answers = [
        CliRunner().invoke(cli, ["compare", *questions, "--model", model], catch_exceptions=False)
        for model in ("production", "exported")
    ]
    assert [answer.exit_code for answer in answers] == [0, 0]
    first, second = (answer.stdout.splitlines()[0] for answer in answers)
    assert first == second


def test_the_index_is_searched_though_its_vectors_are_gone(store: VersionStore) -> None:
    """Its vectors are of the first model, and the average is in production: the line says what to do."""
    found = CliRunner().invoke(cli, ["search", "which book explains tea?"])
    assert isinstance(found.exception, PipelineError)
    assert "launch the job mine" in str(found.exception)
    (first,) = earlier_production(store, PRODUCTION, load_value(store, PRODUCTION))
    assert isinstance(first, ProductionModel)
    promote(store, f"run_id={first.run_id[:8]}")
    found = CliRunner().invoke(cli, ["search", "which book explains tea?", "--top", "2"], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    assert "tea" in found.stdout


def test_pruning_keeps_what_is_in_use_and_deletes_what_was_removed(store: VersionStore) -> None:
    def found() -> list[Item]:
        return list(items(store, [backend("local")], lambda: runs, RetentionRules(keep=0, top=0)))

    runs, record = Path(store.home) / "runs", current_production(store, PRODUCTION)
    assert isinstance(record, ProductionModel)
    (first,) = earlier_production(store, PRODUCTION, record)
    assert isinstance(first, ProductionModel)
    newest: FineTunedModel = load_value(store, "fine_tuned_model")
    for item in found():
        if item.delete:
            item.delete()
    assert {item.what for item in found() if item.delete} <= {"value"}
    # The members of the teacher are gone, and the teacher.
    assert {path.name for path in runs.iterdir()} == {
        Path(model.run_folder).name for model in (record.model, first.model, newest)
    }
    assert not set(REMOVED_ASSETS) & {path.name for path in Path(store.home).iterdir()}
    for name in ("base_model", "eval_split", "mined_duplicates", "model_leaderboard", EXPORTED, PRODUCTION):
        assert load_value(store, name)


@pytest.mark.slow
def test_an_interrupted_run_is_resumed_with_the_settings_that_it_had(stored: Path) -> None:
    """By the names that they had, those of settings included that were removed since."""
    home = stored / "interrupted" / "home"
    others = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER_", "PIPELINE_"))}
    resumed = subprocess.run(
        [sys.executable, "-m", "pipeline", "materialize", "--resume"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        env={**others, "PIPELINE_HOME": str(home), "DAGSTER_HOME": str(stored / "interrupted" / "dagster")},
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming run 531dfbb3" in resumed.stderr
    model: Any = load_value(VersionStore(str(home)), "fine_tuned_model")
    assert model.recipe["epochs"] == 60
    assert "cosine" in model.recipe.values()
    assert 0.05 in model.recipe.values()
