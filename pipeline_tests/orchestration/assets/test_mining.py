"""The job `mine`: what it leaves, what its checks say, and when it is started by itself."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from dagster_runs import checks, failures, run_job
from made_reports import a_training, quick_report
from small_data import write_small_pairs

from pipeline.command_line.cli import cli
from pipeline.core.store import VersionStore
from pipeline.duplicates.stored import (
    CLUSTERS_TABLE,
    PAIRS_TABLE,
    REVIEW_TABLE,
    MinedDuplicates,
    QuestionIndex,
    read_question_set,
)
from pipeline.models.base_model import resolve_base_model
from pipeline.models.decision import read_decision
from pipeline.models.options import BaseModelChoice
from pipeline.orchestration.asset_values import load_value, store_value
from pipeline.orchestration.steps import EMBEDDINGS, INDEX, MINED, PRODUCTION, QUESTIONS
from pipeline.quality.promotion import Candidate
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.sources import load_pairs
from pipeline.question_pairs.splits import split_pairs

CHECKS = {
    (MINED, "recall_sample"),
    (MINED, "share_of_duplicates"),
    (INDEX, "matches_model"),
    (INDEX, "recall_sample"),
}


@pytest.fixture
def home(pipeline_home: Path, deciding_model: Path, tiny_model: Path, tmp_path: Path) -> Path:
    """A home folder in which a model is in production, made without a training."""
    store = VersionStore(str(pipeline_home))
    pairs = load_pairs(PairSource(source="file", path=str(write_small_pairs(tmp_path / "small.tsv"))))
    splits = split_pairs(pairs, SplitPlan(strategy="reference", eval_fraction=0.2, dev_fraction=0.2))
    base = resolve_base_model(BaseModelChoice(model=str(tiny_model)))
    for asset, value in (
        ("raw_quora_dataset", pairs),
        ("train_split", splits.train),
        ("dev_split", splits.dev),
        ("eval_split", splits.eval),
        ("base_model", base),
    ):
        store_value(store, asset, value, "made")
    promote(store, deciding_model)
    return pipeline_home


def promote(store: VersionStore, folder: Path) -> None:
    info = resolve_base_model(BaseModelChoice(model=str(folder))).model_copy(update={"kind": "fine_tuned"})
    report = quick_report(info)
    trained = a_training(report.train_version).model_copy(
        update={
            "model": info,
            "run_folder": str(folder.parent),
            "decision": read_decision(folder),
            "origin": report.origin,
        }
    )
    record = Candidate(trained, report, "0123abcd").promoted(None, datetime.now(UTC), is_rollback=False)
    store_value(store, PRODUCTION, record, "0123abcd")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def mine(home: Path, instance: dg.DagsterInstance, raises: bool = True, **config: Any) -> dg.ExecuteInProcessResult:
    return run_job("mine", home, instance, {"mine_questions": {"prior": 0.5}, **config}, raises)


def metadata(instance: dg.DagsterInstance, asset: str) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return {key: value.value for key, value in event.asset_materialization.metadata.items()}


@pytest.mark.slow
def test_the_datasets_questions_are_mined_and_what_is_left_can_be_read(
    home: Path, instance: dg.DagsterInstance
) -> None:
    result = mine(home, instance)
    assert result.success
    store = VersionStore(str(home))
    mined: MinedDuplicates = load_value(store, MINED)
    folder = home / MINED / mined.data_version
    assert pq.read_table(folder / PAIRS_TABLE).num_rows == mined.pairs > 0
    assert pq.read_table(folder / CLUSTERS_TABLE).num_rows > mined.clusters > 0
    review = pq.read_table(folder / REVIEW_TABLE)
    assert set(review["side"].to_pylist()) <= {"train", "dev", "eval"}
    scored_by = set(zip(review["side"].to_pylist(), review["scored_by"].to_pylist(), strict=True))
    # No pair is judged by a model that was trained on it.
    assert ("train", "base") in scored_by
    assert ("train", "fine-tuned") not in scored_by
    assert all(share < 0.5 for share in review["probability_of_label"].to_pylist())
    questions = load_value(store, QUESTIONS)
    index: QuestionIndex = load_value(store, INDEX)
    assert (index.kind, index.recall, index.questions) == ("exact", 1.0, questions.questions)
    assert index.model_version == load_value(store, EMBEDDINGS).model.version == mined.model_version
    assert metadata(instance, MINED)["dagster/row_count"] == mined.pairs
    assert "# Duplicates in" in metadata(instance, MINED)["report"]
    assert "## Among labelled pairs" in metadata(instance, MINED)["report"]
    found = checks(result)
    assert set(found) == CHECKS
    assert all(check.passed for check in found.values())


@pytest.mark.slow
def test_what_was_mined_last_is_searched_where_no_file_is_named(home: Path, instance: dg.DagsterInstance) -> None:
    def search(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["search", *arguments])

    nothing = search("anything")
    assert "no questions are indexed yet: name a file with --in, or launch the job `mine` first" in str(
        nothing.exception
    )
    mine(home, instance)
    store = VersionStore(str(home))
    questions = load_value(store, QUESTIONS)
    text = read_question_set(store, QUESTIONS, questions).texts[3]
    found = search(text, "--top", "2")
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith("1.0000")
    assert f"Searched {questions.questions} questions of {questions.source}" in found.output
    assert "--column names a column of a file" in search(text, "--column", "subject").output
    index = load_value(store, INDEX)
    store_value(store, INDEX, index.model_copy(update={"model_version": "other"}), "another run")
    assert "the question index can't be used: its model version is other, that of the vectors " in str(
        search(text).exception
    )


@pytest.mark.slow
def test_questions_of_your_own_are_mined_and_a_share_that_moved_is_told(
    home: Path, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    own = tmp_path / "own.csv"
    own.write_text("id,subject\n1,How do I reset my password?\n2,How do I reset my password please?\n3,Where is it?\n")
    folder = home / MINED
    folder.mkdir()
    # Of a release that nobody knows: it serves for a warning alone.
    (folder / "current.json").write_text('{"schema": 99}')
    mine(home, instance)
    result = mine(
        home,
        instance,
        read_questions={"path": str(own), "column": "subject"},
        mine_questions={"threshold": 1.0, "max_share_change": 0.0},
    )
    assert load_value(VersionStore(str(home)), QUESTIONS).questions == 3
    moved = checks(result)[MINED, "share_of_duplicates"]
    assert not moved.passed
    assert "of the questions have a duplicate" in str(moved.description)
    assert moved.severity == dg.AssetCheckSeverity.WARN


@pytest.mark.slow
def test_an_index_of_another_model_than_the_vectors_is_noticed(home: Path, instance: dg.DagsterInstance) -> None:
    mine(home, instance)
    store = VersionStore(str(home))
    embeddings = load_value(store, EMBEDDINGS)
    changed = embeddings.model_copy(update={"model": embeddings.model.model_copy(update={"version": "other"})})
    store_value(store, EMBEDDINGS, changed, "another run")
    alone = dg.AssetSelection.checks(*(dg.AssetCheckKey(dg.AssetKey(asset), name) for asset, name in CHECKS))
    result = run_job("mine", home, instance, {}, selection=alone)
    assert not result.asset_materializations_for_node("mine_questions")
    assert {key: found.passed for key, found in checks(result).items()} == {
        key: key != (INDEX, "matches_model") for key in CHECKS
    }
    assert "launch the job mine" in str(checks(result)[INDEX, "matches_model"].description)


def test_without_a_model_in_production_it_is_said_in_one_line(
    pipeline_home: Path, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    own = tmp_path / "own.txt"
    own.write_text("Why?\nHow?\n")
    result = mine(pipeline_home, instance, raises=False, read_questions={"path": str(own)})
    (said,) = failures(result).values()
    assert "nothing is in production" in said
