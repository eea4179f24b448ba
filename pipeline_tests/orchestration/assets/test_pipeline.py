"""The assets in real Dagster runs in this process, on real files, with real training."""

import csv
import shutil
from pathlib import Path

import dagster as dg
import pytest
from dagster_runs import EVERYTHING, failures, metadata, run
from tiny_models import make_model, tiny_tokenizer

from pipeline.core.store import VersionStore
from pipeline.evaluation.report import COMPARED, EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.orchestration.asset_values import load_value
from pipeline.question_pairs.schema import PairTable
from pipeline.reporting.leaderboard import Leaderboard

DATASET = dg.AssetSelection.groups("dataset")


@pytest.mark.slow
def test_materialising_everything_leaves_reports_and_a_model(pipeline_home: Path, small_config: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(pipeline_home, small_config, instance)
        report, training = metadata(result, "post_train_eval_report"), metadata(result, "fine_tuned_model")

        store = VersionStore(str(pipeline_home))
        baseline, post = load_value(store, "baseline_eval_report"), load_value(store, "post_train_eval_report")
        fine_tuned = load_value(store, "fine_tuned_model")
        assert isinstance(baseline, EvaluationReport)
        assert isinstance(post, EvaluationReport)
        assert isinstance(fine_tuned, FineTunedModel)

        # What a reader looks for first stands first in the UI.
        gains = [f"cosine_{metric}_gain" for metric in COMPARED]
        figures = [f"cosine_{metric}" for metric in COMPARED]
        first = ["verdict", "report", *gains, "mining_ap_gain", "recall_at_10_gain"]
        assert list(report)[: len(first)] == first
        assert set(figures) < set(list(report)[: len(first) + len(figures) + 2])
        assert "average precision" in report["verdict"]
        assert report["cosine_ap"] == round(post.cosine.ap, 4)
        assert report["cosine_ap_gain"] == pytest.approx(post.cosine.ap - baseline.cosine.ap, abs=5.1e-5)
        assert (report["pairs"], report["threshold_kind"], report["synthetic"]) == (48, "dev", False)
        assert len(training["dev_evaluations"].records) == 2
        assert training["device"].startswith(("cpu", "cuda", "mps"))
        assert "| average precision" not in training["model_card"]

        folder = Path(fine_tuned.run_folder)
        for stage, expected in (("pre", baseline), ("post", post)):
            with (folder / f"binary_classification_evaluation_{stage}_train_results.csv").open(newline="") as file:
                (row,) = csv.DictReader(file)
            assert float(row["cossim_ap"]) == expected.oracle["cosine"].ap
            assert (row["epoch"], row["steps"]) == ("-1", "-1")
        assert (folder / "manifest.json").is_file()
        assert f"{post.cosine.ap:.4f}" in (Path(fine_tuned.model.location) / "README.md").read_text()


@pytest.mark.slow
def test_the_leaderboard_measures_listed_base_models_once_and_leaves_other_splits_out(
    pipeline_home: Path, small_config: Path, tiny_model: Path
) -> None:
    bundled = ("base_model.model=bundled",)
    listed = (*bundled, f"model_leaderboard.base_models=[{tiny_model}]")
    # Everything but the training: of a model that doesn't exist there is no report to wait for.
    untrained = EVERYTHING - dg.AssetSelection.assets("fine_tuned_model", "post_train_eval_report", "production_model")
    store = VersionStore(str(pipeline_home))
    with dg.DagsterInstance.ephemeral() as instance:
        run(pipeline_home, small_config, instance, untrained, listed)
        board = load_value(store, "model_leaderboard")
        assert isinstance(board, Leaderboard)
        assert {row.model.name for row in board.rows} == {"sentence-transformers/all-MiniLM-L6-v2", "tiny"}
        (stored,) = (pipeline_home / "model_leaderboard" / "reports").glob("*/report.json")
        before = stored.stat().st_mtime_ns

        result = run(pipeline_home, small_config, instance, dg.AssetSelection.assets("model_leaderboard"), listed)
        assert metadata(result, "model_leaderboard")["models"] == 2
        assert stored.stat().st_mtime_ns == before

        other = run(pipeline_home, small_config, instance, untrained, (*bundled, "splits.seed=7"))
        seen = metadata(other, "model_leaderboard")
        assert (seen["models"], seen["reports_left_out"]) == (1, 2)
    assert (
        store.folder("model_leaderboard") / store.resolve("model_leaderboard").version / "leaderboard.csv"
    ).is_file()


def test_one_asset_alone_reads_what_an_earlier_run_left(pipeline_home: Path, small_config: Path) -> None:
    with dg.DagsterInstance.ephemeral() as first:
        run(pipeline_home, small_config, first, selection=dg.AssetSelection.assets("raw_quora_dataset"))
    with dg.DagsterInstance.ephemeral() as second:
        run(pipeline_home, small_config, second, selection=DATASET - dg.AssetSelection.assets("raw_quora_dataset"))
    split = load_value(VersionStore(str(pipeline_home)), "eval_split")
    assert isinstance(split, PairTable)
    assert len(split) == 48


def test_the_same_rows_have_the_same_data_version_in_every_run(pipeline_home: Path, small_config: Path) -> None:
    versions = []
    for _ in range(2):
        with dg.DagsterInstance.ephemeral() as instance:
            result = run(pipeline_home, small_config, instance, selection=DATASET)
            (event,) = [m for m in result.asset_materializations_for_node("splits") if m.label == "eval_split"]
            versions.append((event.tags or {})["dagster/data_version"])
    assert versions[0] == versions[1]


def test_a_run_reads_its_own_rows_even_when_a_neighbour_wrote_last(pipeline_home: Path, small_config: Path) -> None:
    """Between two steps of a run, another run makes other rows current."""
    with dg.DagsterInstance.ephemeral() as instance:
        mine = run(pipeline_home, small_config, instance, selection=DATASET)
        run(pipeline_home, small_config, instance, selection=DATASET, overrides=("splits.seed=7",))
    store = VersionStore(str(pipeline_home))
    own, current = load_value(store, "eval_split", [mine.run_id]), load_value(store, "eval_split")
    assert own.data_version != current.data_version


def test_what_was_never_materialised_is_named(pipeline_home: Path, small_config: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(
            pipeline_home,
            small_config,
            instance,
            selection=dg.AssetSelection.assets("baseline_eval_report"),
            raise_on_error=False,
        )
        (failure,) = [event for event in result.all_events if event.is_step_failure]
    text = str(failure.step_failure_data.error)
    assert f"there is no base_model in {pipeline_home} yet: make it first" in text


def test_a_failure_is_one_line_and_leaves_nothing_behind(
    pipeline_home: Path, small_config: Path, tmp_path: Path
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(
            pipeline_home,
            small_config,
            instance,
            selection=dg.AssetSelection.assets("raw_quora_dataset"),
            overrides=(f"raw_quora_dataset.path={tmp_path / 'nowhere.tsv'}",),
            raise_on_error=False,
        )
        (failure,) = [event for event in result.all_events if event.is_step_failure]
    data = failure.step_failure_data.user_failure_data
    assert data is not None
    assert data.description is not None
    assert "nowhere.tsv" in data.description
    assert "\n" not in data.description
    assert not (pipeline_home / "raw_quora_dataset").exists()


def test_a_base_model_that_can_t_be_used_fails_in_one_line_and_leaves_what_was_there(
    pipeline_home: Path, small_config: Path, tmp_path: Path
) -> None:
    alone, folder = dg.AssetSelection.assets("base_model"), make_model(tmp_path / "base")
    with dg.DagsterInstance.ephemeral() as instance:
        run(pipeline_home, small_config, instance, alone, (f"base_model.model={folder}",))
        before = load_value(VersionStore(str(pipeline_home)), "base_model")
        tiny_tokenizer(pad_token=None).save_pretrained(folder)
        result = run(
            pipeline_home, small_config, instance, alone, (f"base_model.model={folder}",), raise_on_error=False
        )
    (said,) = failures(result).values()
    assert said.startswith(f"the tokenizer of {folder} has no token to pad with")
    assert said.splitlines() == [said]
    assert load_value(VersionStore(str(pipeline_home)), "base_model") == before


def test_a_stored_table_that_was_changed_is_refused(pipeline_home: Path, small_config: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run(pipeline_home, small_config, instance, selection=DATASET)
        store = VersionStore(str(pipeline_home))
        train, dev = (store.folder(name) / store.resolve(name).file for name in ("train_split", "dev_split"))
        shutil.copy(str(dev), str(train))
        result = run(
            pipeline_home,
            small_config,
            instance,
            selection=dg.AssetSelection.groups("model"),
            raise_on_error=False,
        )
        (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "has changed since it was written" in str(failure.step_failure_data.error)
