"""What stays of old trainings and values, and what goes: by rule, on real folders."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_reports import before_and_after, finished_training

from pipeline.compute.choice import backend
from pipeline.core.errors import PipelineError
from pipeline.core.files import PROJECT_ROOT
from pipeline.core.store import VersionStore
from pipeline.definitions import defs
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.orchestration.asset_values import load_value, store_value
from pipeline.orchestration.retention import Item, items
from pipeline.quality.options import RetentionRules
from pipeline.quality.production_record import ProductionModel

FIRST = 1_700_000_000
DAY = 24 * 3600


@pytest.fixture
def store(pipeline_home: Path) -> VersionStore:
    return VersionStore(str(pipeline_home))


def trained(store: VersionStore, number: int, days_ago: float = 30) -> FineTunedModel:
    """A finished training with checkpoints, and its value, written so many days ago."""
    folder = Path(store.home) / "runs" / f"sentence-transformers-ft-{FIRST + number}"
    folder.mkdir(parents=True)
    model = finished_training(folder, weights=f"weights {number}".encode())
    (folder / "checkpoints" / "10").mkdir(parents=True)
    (folder / "checkpoints" / "10" / "model.safetensors").write_bytes(b"x" * 1000)
    store_value(store, "fine_tuned_model", model, f"run-{number}")
    age(folder, days_ago)
    age(Path(store.home) / "fine_tuned_model" / f"{model.data_version}.json", days_ago)
    return model


def age(path: Path, days: float) -> None:
    """As if written so many days ago."""
    then = time.time() - days * DAY
    for each in (path, *path.rglob("*")):
        os.utime(each, (then, then))


def promoted(store: VersionStore, model: FineTunedModel, number: int, previous: str | None = None) -> ProductionModel:
    _, report = before_and_after()
    record = ProductionModel(
        model=model,
        report=report.model_copy(update={"training": model}),
        run_id=f"run-{number}",
        promoted_at=f"2026-01-0{number + 1}",
        is_rollback=False,
        previous=previous,
    )
    store_value(store, "production_model", record, f"run-{number}")
    return record


def looked_at(store: VersionStore, keep: int = 0, top: int = 0, runs: Path | None = None) -> dict[str, Item]:
    rules = RetentionRules(keep=keep, top=top)
    found = items(store, [backend("local")], lambda: runs or Path(store.home) / "runs", rules)
    return {f"{item.what} {item.name.removeprefix('sentence-transformers-ft-')}": item for item in found}


def names(items: dict[str, Item], stays: bool) -> set[str]:
    return {name for name, item in items.items() if item.stays == stays and not name.startswith("value")}


def test_production_its_history_the_current_and_the_newest_stay(store: VersionStore) -> None:
    models = [trained(store, number) for number in range(6)]
    first = promoted(store, models[0], 0)
    promoted(store, models[2], 2, previous=first.data_version)
    found = looked_at(store, keep=1)
    assert names(found, stays=True) == {f"training {FIRST + number}" for number in (0, 2, 5)}
    reasons = {number: found[f"training {FIRST + number}"].reason for number in range(6)}
    assert reasons[0] == "it was in production"
    assert reasons[2] == "it is in production"
    assert reasons[5] == "the current fine_tuned_model points to it"
    assert reasons[1].startswith("not in production or its history")
    # The checkpoints of what stays come off; those of what goes go with it.
    assert {name for name in names(found, stays=False) if name.startswith("checkpoints")} == {
        f"checkpoints {FIRST + number}" for number in (0, 2, 5)
    }


def test_nothing_is_deleted_by_looking_and_what_stays_can_still_be_read(store: VersionStore) -> None:
    models = [trained(store, number) for number in range(4)]
    promoted(store, models[1], 1)
    before = sorted(Path(store.home).rglob("*"))
    found = looked_at(store)
    assert sorted(Path(store.home).rglob("*")) == before
    for item in found.values():
        if item.delete:
            item.delete()
    left = {path.name for path in (Path(store.home) / "runs").iterdir()}
    assert left == {f"sentence-transformers-ft-{FIRST + number}" for number in (1, 3)}
    assert not list((Path(store.home) / "runs").rglob("checkpoints"))
    assert load_value(store, "fine_tuned_model").data_version == models[3].data_version
    assert load_value(store, "production_model").model.data_version == models[1].data_version
    # A value and the pointers to it go together.
    pointers = {json.loads(path.read_text())["file"] for path in Path(store.home).glob("*/runs/*.json")}
    values = {path.name for path in Path(store.home).glob("*/*.json") if path.name != "current.json"}
    assert pointers == values
    # Whoever prunes again finds nothing more.
    assert not [item for item in looked_at(store).values() if item.delete]


def test_a_training_that_goes_on_stays_and_an_old_one_that_was_given_up_goes(store: VersionStore) -> None:
    for number, days_ago in ((1, 1.0), (2, 30.0)):
        folder = Path(store.home) / "runs" / f"sentence-transformers-ft-{FIRST + number}" / "checkpoints" / "5"
        folder.mkdir(parents=True)
        age(folder.parents[1], days_ago)
    found = looked_at(store)
    assert found[f"training {FIRST + 1}"].reason == "its training is not finished"
    assert not found[f"training {FIRST + 2}"].stays
    assert f"checkpoints {FIRST + 1}" not in found


def test_pairs_that_a_model_in_production_was_made_from_stay(store: VersionStore) -> None:
    named = trained(store, 1).model_copy(update={"train_version": "0123456789abcdef"})
    promoted(store, named, 1)
    trained(store, 2)
    folder = Path(store.home) / "train_split"
    (folder / "runs").mkdir(parents=True)
    for version in ("0123456789abcdef", "1123456789abcdef", "2123456789abcdef"):
        (folder / f"{version}.parquet").write_bytes(b"pairs")
        pointer = json.dumps({"version": version, "file": f"{version}.parquet", "run_id": f"run-{version}"})
        (folder / "runs" / f"run-{version}.json").write_text(pointer)
        (folder / "current.json").write_text(pointer)
    age(folder, 30)
    found = looked_at(store)
    assert "was made with it" in found["value train_split/0123456789abcdef.parquet"].reason
    assert found["value train_split/2123456789abcdef.parquet"].reason == "it is current"
    assert not found["value train_split/1123456789abcdef.parquet"].stays


def test_a_record_that_cannot_be_read_keeps_everything(store: VersionStore) -> None:
    models = [trained(store, number) for number in range(3)]
    promoted(store, models[0], 0)
    (Path(store.home) / "production_model" / "current.json").write_text("{")
    with pytest.raises(PipelineError, match="production_model"):
        looked_at(store)


def test_a_folder_that_is_shared_loses_only_what_this_home_names(store: VersionStore, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    trained(store, 1)
    trained(store, 2)
    (Path(store.home) / "runs").rename(shared)
    other = shared / f"sentence-transformers-ft-{FIRST}"
    other.mkdir()
    (other / "manifest.json").write_text("{}")
    age(other, 30)
    found = looked_at(store, runs=shared)
    assert "another project's" in found[f"training {FIRST}"].reason
    assert not found[f"training {FIRST + 1}"].stays


def test_links_and_other_folders_are_left_alone(store: VersionStore, tmp_path: Path) -> None:
    runs = Path(store.home) / "runs"
    (runs / "mine").mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    (runs / f"sentence-transformers-ft-{FIRST}").symlink_to(tmp_path / "precious")
    assert looked_at(store) == {}


def test_what_killed_processes_left_goes_after_a_day(store: VersionStore) -> None:
    trained(store, 1)
    home = Path(store.home)
    for name in ("fine_tuned_model/.x.json.0a.tmp", "runs/.claim-0a/.owner", f"runs/.pruned-{FIRST}/model"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("x")
    assert {name for name in looked_at(store) if name.startswith("leftover")} == {f"leftover runs/.pruned-{FIRST}"}
    age(home, 2)
    assert len([name for name in looked_at(store) if name.startswith("leftover")]) == 3


def test_the_command_says_and_deletes_only_when_told(store: VersionStore) -> None:
    for number in range(3):
        trained(store, number)
    folder = Path(store.home) / "runs" / f"sentence-transformers-ft-{FIRST}"
    said = prune("--keep", "1")
    assert said.returncode == 0, said.stderr
    assert f"deletes  training {folder.name}" in said.stdout
    assert "nothing was deleted: --delete deletes" in said.stdout.splitlines()[-1]
    assert folder.is_dir()
    assert "deleted " in prune("--keep", "1", "--delete").stdout.splitlines()[-1]
    assert not folder.exists()


def prune(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pipeline", "prune", *arguments]
    return subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)


def test_the_job_says_and_deletes_only_when_told(store: VersionStore) -> None:
    for number in range(3):
        trained(store, number)
    folder = Path(store.home) / "runs" / f"sentence-transformers-ft-{FIRST}"
    job = defs.resolve_job_def("prune")
    assert job.execute_in_process(run_config={"ops": {"prune_home": {"config": {"keep": 1}}}}).success
    assert folder.is_dir()
    config = {"keep": 1, "dry_run": False}
    assert job.execute_in_process(run_config={"ops": {"prune_home": {"config": config}}}).success
    assert not folder.exists()
