"""The jobs `teacher` and `silver`, and students that learn from what they leave."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from dagster_runs import failures, run
from sentence_transformers import SentenceTransformer
from small_silver import keys_of

from pipeline.core.store import VersionStore
from pipeline.distillation.folds import fold_of_pairs
from pipeline.distillation.stored import SilverPairs, read_scored, read_vectors
from pipeline.distillation.teacher import Teacher
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.orchestration.asset_values import load_value
from pipeline.orchestration.assets.distilling import silver_job, teacher_job
from pipeline.orchestration.resources import ComputeResource, StoreResource
from pipeline.orchestration.steps import SILVER, TEACHER
from pipeline.question_pairs.questions import question_key
from pipeline.question_pairs.schema import PairTable

SOURCES = dg.AssetSelection.assets("raw_quora_dataset", "train_split", "dev_split", "eval_split", "base_model")
STUDENT = dg.AssetSelection.assets("fine_tuned_model")
MEMBER = {"folds": 2, "batch_size": 16, "max_seq_length": 16, "min_lead": -1.0}
CROSS_ENCODER = {**MEMBER, "architecture": "cross_encoder", "loss": "binary_cross_entropy", "max_seq_length": 32}
LEARNS_FROM_BOTH = (
    "fine_tuned_model.learn_from=both",
    "fine_tuned_model.loss=cosent",
    "fine_tuned_model.loss_weights={distillation_mse: 1.0}",
)

Job = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def disjoint_config(small_config: Path) -> Path:
    """As `small_config`, with splits that have no question in common."""
    path = small_config.with_name("disjoint.yaml")
    path.write_text(small_config.read_text().replace("strategy: reference", "strategy: question_disjoint"))
    return path


@pytest.fixture
def home(pipeline_home: Path, disjoint_config: Path, instance: dg.DagsterInstance) -> Path:
    """A home folder with splits, a base model, and a model that has learned from the labelled pairs."""
    assert run(pipeline_home, disjoint_config, instance, SOURCES | STUDENT).success
    return pipeline_home


def launch(
    home: Path,
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    settings: Mapping[str, Any],
    raises: bool = True,
) -> dg.ExecuteInProcessResult:
    (op,) = (node.name for node in job.nodes)
    return job.execute_in_process(
        run_config={"ops": {op: {"config": dict(settings)}}},
        instance=instance,
        resources={
            "store": StoreResource(home=str(home)).get_resource_definition(),
            "compute": ComputeResource(kind="local", runs_folder=str(home / "runs")).get_resource_definition(),
        },
        raise_on_error=raises,
    )


LEARNS_FROM_VECTORS = ("fine_tuned_model.loss=cosent", "fine_tuned_model.loss_weights={distillation_embeddings: 20.0}")


@pytest.mark.slow
def test_a_student_learns_from_the_vectors_of_a_teacher_that_embeds(
    home: Path, instance: dg.DagsterInstance, disjoint_config: Path
) -> None:
    store = VersionStore(str(home))
    assert launch(home, instance, teacher_job, {**MEMBER, "learning_rate": 1e-2}).success
    assert launch(home, instance, silver_job, {}).success
    vectors = read_vectors(store, SILVER, load_value(store, SILVER))
    held_out = keys_of(load_value(store, "dev_split")) | keys_of(load_value(store, "eval_split"))
    asked = {question_key(text) for text in vectors.texts}
    assert asked <= keys_of(load_value(store, "train_split")) - held_out
    assert vectors.base_model_version == load_value(store, "base_model").version
    # Their angles are those of the member that has not seen the fold.
    teacher: Teacher = load_value(store, TEACHER)
    train: PairTable = load_value(store, "train_split")
    fold = fold_of_pairs(train, teacher.folds, teacher.fold_seed)
    for member in teacher.members:
        texts = train.pairs["question1"][fold == member.fold].unique().tolist()
        given = vectors.of(texts).astype(np.float32)
        errors = {
            each.fold: np.abs(given @ given.T - embedded @ embedded.T).max()
            for each in teacher.members
            for embedded in [SentenceTransformer(each.model.model.location).encode(texts)]
        }
        assert errors.pop(member.fold) < 0.01
        assert min(errors.values()) > 0.02

    before: FineTunedModel = load_value(store, "fine_tuned_model")
    assert run(home, disjoint_config, instance, STUDENT, LEARNS_FROM_VECTORS).success
    after: FineTunedModel = load_value(store, "fine_tuned_model")
    assert (after.vectors_version, after.scored_version) == (vectors.data_version, None)
    assert before.vectors_version is None
    assert after.model.version != before.model.version
    assert after.train_pairs == before.train_pairs
    # A teacher is held against students that had none.
    launch(home, instance, teacher_job, MEMBER)
    assert load_value(store, TEACHER).student.version == before.model.version

    assert launch(home, instance, teacher_job, CROSS_ENCODER).success
    assert launch(home, instance, silver_job, {}).success
    assert load_value(store, SILVER).vectors_version is None
    refused = run(home, disjoint_config, instance, STUDENT, LEARNS_FROM_VECTORS, raise_on_error=False)
    assert "silver_pairs have no vectors" in failures(refused)["fine_tuned_model"]


@pytest.mark.slow
@pytest.mark.parametrize("member", [MEMBER, CROSS_ENCODER], ids=["bi-encoder", "cross-encoder"])
def test_a_student_learns_from_the_scores_of_a_teacher_that_has_seen_none_of_its_questions(
    home: Path, instance: dg.DagsterInstance, disjoint_config: Path, member: dict[str, Any]
) -> None:
    assert launch(home, instance, teacher_job, member).success
    store = VersionStore(str(home))
    teacher: Teacher = load_value(store, TEACHER)
    train: PairTable = load_value(store, "train_split")
    fold = fold_of_pairs(train, teacher.folds, teacher.fold_seed)
    for each in teacher.members:
        rest = train.take(np.flatnonzero(fold != each.fold))
        assert each.model.train_version == rest.data_version
        assert keys_of(rest).isdisjoint(keys_of(train.take(np.flatnonzero(fold == each.fold))))
    assert teacher.student.version == load_value(store, "fine_tuned_model").model.version

    assert launch(home, instance, silver_job, {"sources": "both"}).success
    value: SilverPairs = load_value(store, SILVER)
    scored = read_scored(store, SILVER, value)
    assert value.teacher_version == teacher.data_version
    assert value.silver > 0
    held_out = keys_of(load_value(store, "dev_split")) | keys_of(load_value(store, "eval_split"))
    texts = [*scored.pairs["question1"], *scored.pairs["question2"]]
    assert held_out.isdisjoint(question_key(text) for text in texts)
    # What a member of a fold says of one of its pairs is what was stored.
    row = int(np.flatnonzero(scored.is_gold)[0])
    assert 0 <= scored.scores[row] <= 1
    assert len(np.unique(scored.scores)) > len(scored) / 2

    before: FineTunedModel = load_value(store, "fine_tuned_model")
    assert run(home, disjoint_config, instance, STUDENT, LEARNS_FROM_BOTH).success
    after: FineTunedModel = load_value(store, "fine_tuned_model")
    assert after.scored_version == scored.data_version
    assert after.train_pairs == len(train) + value.silver
    assert before.scored_version is None
    assert after.model.version != before.model.version


@pytest.mark.slow
def test_a_teacher_that_is_not_ahead_is_used_only_when_told_so(home: Path, instance: dg.DagsterInstance) -> None:
    result = launch(home, instance, teacher_job, {**MEMBER, "min_lead": 1.0})
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("ahead_of_student", False)
    refused = launch(home, instance, silver_job, {}, raises=False)
    assert "allow_any_teacher: true" in failures(refused)["score_silver_pairs"]
    assert not VersionStore(str(home)).has(SILVER)
    assert launch(home, instance, silver_job, {"allow_any_teacher": True}).success


@pytest.mark.slow
def test_a_teacher_can_start_from_another_base_model_than_the_student(
    home: Path, instance: dg.DagsterInstance, deciding_model: Path
) -> None:
    launch(home, instance, teacher_job, {**MEMBER, "base_model": str(deciding_model)})
    store = VersionStore(str(home))
    teacher: Teacher = load_value(store, TEACHER)
    assert {each.model.base_model.location for each in teacher.members} == {str(deciding_model)}
    assert load_value(store, "fine_tuned_model").base_model.location != str(deciding_model)
    refused = launch(home, instance, teacher_job, {**MEMBER, "base_model": "no-such-model"}, raises=False)
    assert "no base model 'no-such-model'" in failures(refused)["train_teacher"]


@pytest.mark.slow
def test_nothing_is_asked_of_a_teacher_that_was_never_made(
    home: Path, instance: dg.DagsterInstance, disjoint_config: Path
) -> None:
    refused = run(home, disjoint_config, instance, STUDENT, LEARNS_FROM_BOTH, raise_on_error=False)
    assert "launch the jobs `teacher` and `silver`" in failures(refused)["fine_tuned_model"]
    refused = launch(home, instance, silver_job, {}, raises=False)
    assert TEACHER in failures(refused)["score_silver_pairs"]


@pytest.mark.slow
def test_a_teacher_needs_questions_that_it_has_not_seen(
    pipeline_home: Path, small_config: Path, instance: dg.DagsterInstance
) -> None:
    assert run(pipeline_home, small_config, instance, SOURCES | STUDENT).success
    refused = launch(pipeline_home, instance, teacher_job, MEMBER, raises=False)
    assert "question_disjoint or question_hash" in failures(refused)["train_teacher"]


@pytest.mark.slow
def test_scored_pairs_of_other_splits_are_refused(
    home: Path, instance: dg.DagsterInstance, disjoint_config: Path
) -> None:
    launch(home, instance, teacher_job, MEMBER)
    launch(home, instance, silver_job, {})
    assert run(home, disjoint_config, instance, SOURCES, ("splits.seed=7",)).success
    refused = run(home, disjoint_config, instance, STUDENT, LEARNS_FROM_BOTH, raise_on_error=False)
    assert "launch the jobs `teacher` and `silver` again" in failures(refused)["fine_tuned_model"]
