"""Whatever is written is cut off at every single operation on the disk: readers find the old or the new whole, and the
next run ends in the right result.

`make test` tries some of the operations, `make prove` all of them.
"""

import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from dagster_runs import run
from effort import PROVES, exhaustive
from made_reports import (
    FINE_TUNED,
    MODEL,
    a_training,
    before_and_after,
    by_their_reports,
    finished_training,
    made,
    summarised,
    train_version,
)
from power_cut import cut_at, operations
from small_data import sample_pairs

from pipeline.core.files import add_to_folder
from pipeline.core.store import VersionStore
from pipeline.core.values import Interval
from pipeline.models.base_model import model_folder_version
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.orchestration.asset_values import SIDES, load_value, store_together, store_value
from pipeline.orchestration.steps import PRODUCTION
from pipeline.quality.options import PromotionRules
from pipeline.quality.production_record import ProductionModel, current_production, earlier_production
from pipeline.quality.promotion import Candidate, promote
from pipeline.question_pairs.options import SplitPlan
from pipeline.question_pairs.schema import PairTable, Splits
from pipeline.question_pairs.sides import require_sound_splits
from pipeline.question_pairs.splits import split_pairs
from pipeline.reporting import result_files
from pipeline.reporting.ranking import build_leaderboard
from pipeline.training.checkpoints import CheckpointStore
from pipeline.training.job import RunIdentity
from pipeline.training.run_folder import RunFolder

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BASELINE, REPORT = before_and_after()


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    # Drawing takes seconds, and has tests of its own.
    monkeypatch.setattr(result_files, "pictures", lambda report: [])


def cut_everywhere(
    home: Path, write: Callable[[Path], object], look: Callable[[Path, bool], object], some: int = 6
) -> None:
    """Cut off `write` at each operation, in a copy of `home` each time, and look at what is there; then write again.

    Args:
        look: is given the home, and whether the writing has been done again in the meantime, without a cut.
        some: so many operations are tried by `make test`, the last one among them.
    """
    whole = home.parent / "whole"
    shutil.copytree(home, whole)
    count = operations(whole, lambda: write(whole))
    look(whole, True)
    most = count if PROVES else some
    tried = sorted({*random.Random(count).sample(range(count), min(most, count)), count - 1})
    for number in tried:
        cut = home.parent / f"cut-{number}"
        shutil.copytree(home, cut)
        assert cut_at(number, cut, lambda folder=cut: write(folder)), number  # type: ignore[misc]
        look(cut, False)
        write(cut)
        look(cut, True)
        shutil.rmtree(cut)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


# --- the three splits ---


def sides_of(splits: Splits) -> dict[str, PairTable]:
    return dict(zip(SIDES, (splits.train, splits.dev, splits.eval), strict=True))


SAMPLE = sample_pairs().take(np.arange(400))
OLD, NEW = (sides_of(split_pairs(SAMPLE, SplitPlan(strategy="reference", seed=seed))) for seed in (1, 2))


SPLITS = dg.AssetSelection.assets(*SIDES)


def found_sides(home: Path) -> dict[str, PairTable]:
    return {side: load_value(VersionStore(str(home)), side, ["new"]) for side in SIDES}


def versions(sides: dict[str, PairTable]) -> list[str]:
    return [table.data_version for table in sides.values()]


def look_at_splits(home: Path, again: bool) -> None:
    found = found_sides(home)
    require_sound_splits(Splits(found["train_split"], found["dev_split"], found["eval_split"]))
    assert versions(found) in ([versions(NEW)] if again else [versions(OLD), versions(NEW)])


@exhaustive
@pytest.mark.parametrize("before", ["together", "one by one"])
def test_splits_are_the_old_or_the_new_ones_but_never_some_of_each(home: Path, before: str) -> None:
    store = VersionStore(str(home))
    if before == "together":
        store_together(store, OLD, "old")
    else:
        # As the first release left them.
        for side, table in OLD.items():
            store_value(store, side, table, "old")
        shutil.rmtree(home / "together")
    cut_everywhere(home, lambda folder: store_together(VersionStore(str(folder)), NEW, "new"), look_at_splits)


@exhaustive
@pytest.mark.slow
def test_a_run_of_splits_that_is_cut_off_leaves_nothing_mixed_to_the_next_one(home: Path, tmp_path: Path) -> None:
    """The whole way, through Dagster and its I/O manager."""
    pairs = tmp_path / "pairs.tsv"
    SAMPLE.pairs.astype({"is_duplicate": int}).to_csv(pairs, sep="\t", index=False)
    source = ("raw_quora_dataset.source=file", f"raw_quora_dataset.path={pairs}", "splits.strategy=reference")

    def materialise(folder: Path, seed: int = 2) -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            run(folder, None, instance, SPLITS, (*source, f"splits.seed={seed}"))

    with dg.DagsterInstance.ephemeral() as instance:
        run(home, None, instance, dg.AssetSelection.assets("raw_quora_dataset"), source)
    materialise(home, 1)

    def look(folder: Path, again: bool) -> None:
        splits = Splits(*(load_value(VersionStore(str(folder)), side) for side in SIDES))
        require_sound_splits(splits)

    cut_everywhere(home, materialise, look, some=3)


# --- values of one file, and of a folder ---


def stored(asset: str, value: Any, old: Any) -> tuple[Callable[[Path], object], Callable[[Path, bool], object]]:
    """How a value is written over an older one, and what must be found."""

    def look(home: Path, again: bool) -> None:
        found = load_value(VersionStore(str(home)), asset)
        assert found in ([value] if again else [old, value])
        if found == value and again:
            assert load_value(VersionStore(str(home)), asset, ["new"]) == value

    return lambda home: store_value(VersionStore(str(home)), asset, value, "new"), look


@exhaustive
@pytest.mark.parametrize("same_version", [False, True])
def test_a_report_is_the_old_or_the_new_one(home: Path, same_version: bool) -> None:
    # Speed is no part of a report's version: both have the same name, and differ in their bytes.
    new = REPORT.model_copy(update={"seconds": 99.0} if same_version else {"train_version": "other"})
    store_value(VersionStore(str(home)), "post_train_eval_report", REPORT, "old")
    cut_everywhere(home, *stored("post_train_eval_report", new, REPORT))
    # What the old run made is still what it was.
    assert load_value(VersionStore(str(home)), "post_train_eval_report", ["old"]) == REPORT


@exhaustive
def test_a_leaderboard_is_the_old_or_the_new_one(home: Path) -> None:
    splits = made(0.1)[1]
    old, new = build_leaderboard(summarised(BASELINE), splits), build_leaderboard(summarised(BASELINE, REPORT), splits)
    store_value(VersionStore(str(home)), "model_leaderboard", old, "old")
    cut_everywhere(home, *stored("model_leaderboard", new, old))


@exhaustive
def test_a_reference_to_a_model_is_the_old_or_the_new_one(home: Path) -> None:
    store_value(VersionStore(str(home)), "base_model", MODEL, "old")
    cut_everywhere(home, *stored("base_model", MODEL.model_copy(update={"location": "/elsewhere"}), MODEL))


# --- promotion ---


def candidate(ap: float, version: str) -> Candidate:
    model = a_training(train_version()).model_copy(
        update={"model": FINE_TUNED.model_copy(update={"version": version}), "origin": REPORT.origin}
    )
    operating = {**REPORT.operating, "cosine": REPORT.cosine.model_copy(update={"ap": ap})}
    gains = {**REPORT.gains, "ap": Interval(estimate=0.1, low=0.05, high=0.15)}
    report = REPORT.model_copy(update={"model": model.model, "operating": operating, "gains": gains})
    return Candidate(model, report, version)


def promoted(home: Path, what: Candidate, now: datetime = NOW) -> str:
    return promote(
        VersionStore(str(home)), PRODUCTION, what, PromotionRules(), by_their_reports(what), what.run_id, now
    ).outcome


@exhaustive
def test_what_is_in_production_is_the_old_or_the_new_record_and_the_history_is_whole(home: Path) -> None:
    good, better = candidate(0.8, "good"), candidate(0.9, "better")
    assert promoted(home, good) == "promoted"

    def look(folder: Path, again: bool) -> None:
        store = VersionStore(str(folder))
        current = current_production(store, PRODUCTION)
        assert isinstance(current, ProductionModel)
        assert current.run_id in (["better"] if again else ["good", "better"])
        history = [record.run_id for record in earlier_production(store, PRODUCTION, current)]  # type: ignore[union-attr]
        assert history == (["good"] if current.run_id == "better" else [])

    cut_everywhere(home, lambda folder: promoted(folder, better), look)


def test_a_clock_that_was_set_back_changes_nothing_about_who_follows_whom(home: Path) -> None:
    store = VersionStore(str(home))
    for days, (ap, name) in enumerate([(0.7, "first"), (0.8, "second"), (0.9, "third")]):
        assert promoted(home, candidate(ap, name), NOW - timedelta(days=400 * days)) == "promoted"
    current = current_production(store, PRODUCTION)
    assert isinstance(current, ProductionModel)
    history = [record.run_id for record in earlier_production(store, PRODUCTION, current)]  # type: ignore[union-attr]
    assert [current.run_id, *history] == ["third", "second", "first"]
    # A folder's number counts up, whatever the clock says.
    folders = [RunFolder.claim(home / "runs", RunIdentity(f"run-{n}", 1700000000 - n), "f").path for n in (0, 1, 2)]
    assert len(set(folders)) == 3


# --- checkpoints and run folders ---


def stage(folder: Path, step: int, score: float) -> None:
    store = CheckpointStore(folder / "checkpoints", "ours", keep=1)
    staged = store.staging / f"checkpoint-{step}"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    (staged / "model.safetensors").write_bytes(b"weights of step %d" % step)
    store.commit(staged, step, score)


@exhaustive
def test_a_checkpoint_is_whole_or_not_there_and_the_best_one_is_kept(home: Path) -> None:
    for step, score in ((10, 0.5), (20, 0.9), (30, 0.6)):
        stage(home, step, score)

    def look(folder: Path, again: bool) -> None:
        store = CheckpointStore(folder / "checkpoints", "ours", keep=1)
        newest, best = store.prepare(), store.best()
        assert newest is not None
        assert newest.name in (["40"] if again else ["30", "40"])
        assert best is not None
        assert best.name == "20"
        assert not list(store.folder.glob(".*"))

    cut_everywhere(home, lambda folder: stage(folder, 40, 0.7), look)


RUN = RunIdentity("run", 1)


def finish(home: Path, training: FineTunedModel) -> None:
    """As a training does that has its weights: claim, put the model there, finish, add the results."""
    folder = RunFolder.claim(home / "runs", RUN, "fingerprint")
    if folder.finished_result("fingerprint") is None:
        model = folder.model("some-model")
        staged = model.with_name(f".{model.name}.staged")
        for leftover in (staged, model):
            shutil.rmtree(leftover, ignore_errors=True)
        staged.mkdir()
        (staged / "model.safetensors").write_bytes(b"weights")
        staged.rename(model)
        reference = FINE_TUNED.model_copy(
            update={"name": model.name, "location": str(model), "version": model_folder_version(model)}
        )
        folder.finish(training.model_copy(update={"model": reference, "run_folder": str(folder.path)}), "fingerprint")
    result = folder.finished_result("fingerprint")
    assert result
    add_to_folder(folder.path, result_files.result_files(result, BASELINE, REPORT))


@exhaustive
def test_a_run_folder_is_finished_or_not_and_has_one_owner(home: Path) -> None:
    training = a_training(train_version())

    def look(folder: Path, again: bool) -> None:
        runs = sorted(path.name for path in (folder / "runs").glob("sentence*"))
        assert runs in ([["sentence-transformers-ft-1"]] if again else [[], ["sentence-transformers-ft-1"]])
        if runs:
            found = RunFolder(folder / "runs" / runs[0]).finished_result("fingerprint")
            assert found is not None if again else True

    cut_everywhere(home, lambda folder: finish(folder, training), look)


@exhaustive
def test_a_training_that_was_finished_before_is_whole_or_unfinished_when_its_results_are_cut_off(home: Path) -> None:
    training = finished_training(home / "run")

    def look(folder: Path, again: bool) -> None:
        found = RunFolder(folder / "run").finished_result("fingerprint")
        assert found is not None
        assert found.model.version == training.model.version

    files = result_files.result_files(training, BASELINE, REPORT)
    cut_everywhere(home, lambda folder: add_to_folder(folder / "run", files), look)
