"""The asset checks in real Dagster runs: what they find, what they stop, and what they show."""

from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg
import pytest
from dagster_runs import EVERYTHING, checks, failures, metadata, run
from made_reports import before_and_after
from tiny_models import POSITIONS, WIDTH, make_model, query_prompt

from pipeline.compute.local import LocalCompute
from pipeline.core.store import VersionStore
from pipeline.core.values import Interval
from pipeline.evaluation.report import SEEN, EvaluationReport, Slice
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.orchestration.checks import post_train_eval_report_checks
from pipeline.orchestration.resources import StoreResource, VersionedIOManager
from pipeline.reporting import result_files

DATASET = dg.AssetSelection.groups("dataset")
REPORT = "post_train_eval_report"
BEFORE_TRAINING = DATASET | dg.AssetSelection.assets("base_model")


def figures(found: dg.AssetCheckEvaluation) -> tuple[object, object]:
    """(value, threshold) of a check."""
    return tuple(found.metadata[key].value if key in found.metadata else None for key in ("value", "threshold"))  # type: ignore[return-value]


def test_every_check_shows_its_value_and_its_threshold(pipeline_home: Path, small_config: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        found = checks(run(pipeline_home, small_config, instance, DATASET))
    assert len(found) == 13
    assert all(check.passed for check in found.values())
    assert figures(found["raw_quora_dataset", "rejected_rows"]) == (0.0, 0.01)
    assert figures(found["train_split", "enough_pairs"]) == (153, 100)
    assert figures(found["dev_split", "enough_pairs"]) == (39, 20)
    assert found["raw_quora_dataset", "length_drift"].description == (
        "skipped: there is no earlier materialisation of the same kind of data"
    )
    # The published split, which the small config has, leaves questions on both sides.
    assert "skipped" in str(found["eval_split", "no_question_on_two_sides"].description)


def test_a_question_disjoint_split_has_no_question_on_two_sides(pipeline_home: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        found = checks(run(pipeline_home, None, instance, DATASET))
    assert figures(found["eval_split", "no_question_on_two_sides"]) == (0, 0)
    assert figures(found["eval_split", "no_pair_on_two_sides"]) == (0, 0)


def test_without_a_dev_split_its_checks_are_skipped_and_say_so(pipeline_home: Path, small_config: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        found = checks(run(pipeline_home, small_config, instance, DATASET, ("splits.dev_fraction=0",)))
    for name in ("enough_pairs", "both_classes"):
        assert found["dev_split", name].passed
        assert found["dev_split", name].description == "skipped: the dev split is empty (dev_fraction: 0)"
        assert "value" not in found["dev_split", name].metadata


@pytest.mark.parametrize(
    ("override", "failing", "not_run"),
    [
        ("splits_checks.min_held_out_pairs=1000", "splits_checks", "baseline_eval_report"),
        ("raw_quora_dataset_checks.max_rejected_share=0", "raw_quora_dataset_checks", "splits"),
    ],
)
def test_a_blocking_check_that_fails_stops_what_follows(
    pipeline_home: Path, small_config: Path, small_pairs: Path, override: str, failing: str, not_run: str
) -> None:
    with small_pairs.open("a") as file:
        file.write("9999\t1\t2\ta\tb\tmaybe\n")
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(
            pipeline_home,
            small_config,
            instance,
            DATASET | dg.AssetSelection.assets("base_model", "baseline_eval_report"),
            ("raw_quora_dataset.max_rejected_share=0.5", override),
            raise_on_error=False,
        )
    assert not result.success
    assert list(failures(result)) == [failing]
    assert {event.step_key for event in result.all_events if event.is_step_success}.isdisjoint({not_run})
    assert any(not check.passed and check.blocking for check in checks(result).values())


def test_drift_is_measured_against_the_last_materialisation_of_the_same_kind(
    pipeline_home: Path, small_config: Path, small_pairs: Path
) -> None:
    alone = dg.AssetSelection.assets("raw_quora_dataset")
    with dg.DagsterInstance.ephemeral() as instance:
        run(pipeline_home, small_config, instance, alone)
        # Generated pairs in between are another kind: nothing is compared with them.
        generated = checks(run(pipeline_home, None, instance, alone))
        assert "skipped" in str(generated["raw_quora_dataset", "positive_rate_drift"].description)
        rows = small_pairs.read_text().splitlines()
        few = [row for row in rows[1:] if row.endswith("\t1")]
        small_pairs.write_text("\n".join([*rows, *few]) + "\n")
        result = run(pipeline_home, small_config, instance, alone)
    found = checks(result)["raw_quora_dataset", "positive_rate_drift"]
    assert result.success
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    value, threshold = figures(found)
    assert isinstance(value, float)
    assert value > 0.1
    assert threshold == 0.05


def test_a_row_without_a_label_stops_the_run(
    pipeline_home: Path, small_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a fault in the reader: the value that a later step reads lacks a label."""
    read = VersionedIOManager.load_input

    def with_a_hole(self: VersionedIOManager, context: dg.InputContext) -> object:
        value = read(self, context)
        value.pairs["is_duplicate"] = value.pairs["is_duplicate"].astype(object)  # type: ignore[union-attr]
        value.pairs.loc[3, "is_duplicate"] = None  # type: ignore[union-attr]
        return value

    monkeypatch.setattr(VersionedIOManager, "load_input", with_a_hole)
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(
            pipeline_home,
            small_config,
            instance,
            dg.AssetSelection.assets("raw_quora_dataset"),
            raise_on_error=False,
        )
    assert not result.success
    assert figures(checks(result)["raw_quora_dataset", "schema_and_labels"]) == (1, 0)


# --- the report against the one before ---

A_REPORT = before_and_after()[1]


def measured(home: Path, instance: dg.DagsterInstance, ap: float) -> tuple[str, dg.AssetCheckEvaluation]:
    """A run that makes a report with this figure on unseen questions: its id, and what the check of it finds."""
    part = Slice(
        name=SEEN, value="none", pairs=9, positive_rate=0.5, ap=Interval(estimate=ap, low=ap - 0.1, high=ap + 0.1)
    )
    # A report's version goes by its figures, not by its slices.
    operating = {**A_REPORT.operating, "cosine": A_REPORT.cosine.model_copy(update={"ap": ap})}
    report = A_REPORT.model_copy(update={"slices": [part], "operating": operating})

    @dg.asset(name=REPORT)
    def made() -> dg.MaterializeResult[EvaluationReport]:
        version, synthetic = dg.DataVersion(report.data_version), {"synthetic": report.origin.synthetic}
        return dg.MaterializeResult(value=report, data_version=version, metadata=synthetic)

    result = dg.materialize(
        [made, post_train_eval_report_checks],
        instance=instance,
        resources={"io_manager": VersionedIOManager(home=str(home)), "store": StoreResource(home=str(home))},
    )
    return result.run_id, checks(result)[REPORT, "unseen_ap"]


def cut(path: Path) -> None:
    path.write_text(path.read_text()[:-100])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder, version, run_id: cut(folder / version / "report.json"), "has changed since it was written"),
        (lambda folder, version, run_id: (folder / version / "report.json").unlink(), "No such file"),
        (
            lambda folder, version, run_id: (folder / version / "report.json").write_text(
                '{"type": "EvaluationReport", "value": {"schema": 99}}'
            ),
            "has changed since it was written",
        ),
        (lambda folder, version, run_id: cut(folder / "runs" / f"{run_id}.json"), "can't read"),
        (
            lambda folder, version, run_id: (folder / "runs" / f"{run_id}.json").unlink(),
            "made no post_train_eval_report",
        ),
    ],
)
def test_an_unreadable_earlier_report_leaves_the_check_out(
    pipeline_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path, str, str], object],
    reason: str,
) -> None:
    # Drawing takes seconds, and has tests of its own.
    monkeypatch.setattr(result_files, "pictures", lambda report: [])
    store = VersionStore(str(pipeline_home))
    with dg.DagsterInstance.ephemeral() as instance:
        measured(pipeline_home, instance, ap=0.8)
        second, found = measured(pipeline_home, instance, ap=0.7)
        assert not found.passed
        assert figures(found)[0] == pytest.approx(0.1)
        damage(pipeline_home / REPORT, store.of_run(REPORT, second).version, second)
        _, found = measured(pipeline_home, instance, ap=0.6)
    assert found.passed
    assert (found.description or "").startswith("skipped: the last report can't be read: ")
    assert reason in (found.description or "")
    assert figures(found) == (None, 0.01)


def test_one_dagster_home_with_two_homes_of_values_fails_no_run(
    pipeline_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a move or a restore: Dagster knows an earlier report that the home doesn't have."""
    monkeypatch.setattr(result_files, "pictures", lambda report: [])
    with dg.DagsterInstance.ephemeral() as instance:
        measured(pipeline_home, instance, ap=0.8)
        _, found = measured(tmp_path / "another", instance, ap=0.7)
    assert found.passed
    assert (found.description or "").startswith("skipped: the last report can't be read: run ")


class CorruptingCompute(LocalCompute):
    """Its disk flips a bit of the weights after the training has finished, when the model's card is put there."""

    def add_files(self, model: FineTunedModel, files: Mapping[str, bytes], replace: bool = True) -> None:
        super().add_files(model, files, replace)
        weights = Path(model.model.location) / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)


@pytest.mark.slow
def test_a_corrupted_model_is_neither_measured_nor_promoted(pipeline_home: Path, small_config: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(
            pipeline_home,
            small_config,
            instance,
            EVERYTHING,
            ("fine_tuned_model.epochs=1",),
            raise_on_error=False,
            resources={"compute": CorruptingCompute(pipeline_home / "runs")},
        )
    found = checks(result)
    assert not result.success
    assert list(failures(result)) == ["fine_tuned_model_checks"]
    assert not found["fine_tuned_model", "files_match_manifest"].passed
    assert "model.safetensors is not the file that the manifest names" in str(
        found["fine_tuned_model", "files_match_manifest"].description
    )
    assert not found["fine_tuned_model", "sound_embeddings"].passed
    assert not (pipeline_home / "post_train_eval_report").exists()
    assert not (pipeline_home / "production_model").exists()


@pytest.mark.slow
def test_a_model_with_a_prompt_and_without_unit_length_passes_and_its_metadata_says_so(
    pipeline_home: Path, small_config: Path, tmp_path: Path
) -> None:
    base = make_model(tmp_path / "base", "roberta", limit=None, **query_prompt())
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(
            pipeline_home,
            small_config,
            instance,
            BEFORE_TRAINING | dg.AssetSelection.assets("fine_tuned_model"),
            (f"base_model.model={base}", "fine_tuned_model.epochs=1"),
        )
    assert result.success
    sound = checks(result)["fine_tuned_model", "sound_embeddings"]
    assert sound.passed
    assert "aren't of length 1 either" in str(sound.description)
    for asset, limit in (("base_model", POSITIONS - 1), ("fine_tuned_model", 16)):
        shown = metadata(result, asset)
        assert (shown["prompt"], shown["unit_length"]) == ("'What is the query: '", False)
        assert (shown["dimensions"], shown["max_seq_length"]) == (WIDTH, limit)
        assert "stands before each question" in shown["remarks"]


@pytest.mark.slow
def test_a_trained_model_passes_and_its_budget_only_warns(pipeline_home: Path, small_config: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(
            pipeline_home,
            small_config,
            instance,
            BEFORE_TRAINING | dg.AssetSelection.assets("fine_tuned_model"),
            ("fine_tuned_model.epochs=1", "fine_tuned_model_checks.max_training_hours=0.0001"),
        )
    found = checks(result)
    assert result.success
    assert not found["fine_tuned_model", "training_time"].passed
    assert found["fine_tuned_model", "training_time"].severity == dg.AssetCheckSeverity.WARN
    assert found["fine_tuned_model", "training_cost"].description == "skipped: the machine that trained doesn't bill"
    norm_error, bound = figures(found["fine_tuned_model", "sound_embeddings"])
    assert isinstance(norm_error, float)
    assert norm_error < 1e-5
    assert bound == 1e-3
