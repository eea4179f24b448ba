"""A teacher and the pairs that it has scored, for students that learn from more than labels.

Assets that Dagster knows but can't materialise by themselves, and a job for each: so neither *Materialize all* nor
`--select '*'` nor a retraining trains a teacher. `fine_tuned_model` names them as its inputs, and reads them only where
its recipe asks for scored pairs.
"""

from typing import TYPE_CHECKING, Any

import dagster as dg

from pipeline.compute.base import Compute
from pipeline.core.errors import PipelineError
from pipeline.core.store import VersionStore
from pipeline.distillation.options import SilverOptions
from pipeline.distillation.teacher_options import TeacherOptions
from pipeline.orchestration.asset_values import load_value, stored_models
from pipeline.orchestration.assets.common import OWNERS, finding_result, progress_into
from pipeline.orchestration.assets.job_values import keep_value, report_check
from pipeline.orchestration.executor import COMPUTE_POOL
from pipeline.orchestration.failures import one_line_failures
from pipeline.orchestration.root_run import run_identity
from pipeline.orchestration.step_config import StepConfig, run_config
from pipeline.orchestration.steps import DISTILLATION_SETTINGS, SILVER, TEACHER
from pipeline.orchestration.work_records import StepRecords
from pipeline.quality.findings import Finding
from pipeline.question_pairs.schema import Splits

if TYPE_CHECKING:
    from pipeline.distillation.teacher import Teacher
    from pipeline.models.fine_tuned import FineTunedModel
    from pipeline.models.info import ModelInfo

GROUP = "distillation"
_SIDES = ["train_split", "dev_split", "eval_split"]


def _spec(name: str, deps: list[str], kinds: set[str], description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        name, deps=deps, group_name=GROUP, kinds=kinds, owners=OWNERS, code_version="1", description=description
    )


SPECS = [
    _spec(
        TEACHER,
        [*_SIDES, "base_model"],
        {"pytorch"},
        "Models that were each trained without one fold of the training pairs, and by how much they are ahead of the "
        "fine-tuned model on questions that neither has seen. *Materialize all* leaves it out. **Next:** launch the "
        "job `teacher`, after `fine_tuned_model`.",
    ),
    _spec(
        SILVER,
        [TEACHER, *_SIDES, "base_model"],
        {"parquet"},
        "Labelled and mined pairs of training questions, scored by the teacher's models that have seen neither "
        "question, and their vectors of the questions. *Materialize all* leaves it out. **Next:** launch the job "
        "`silver`, then train a student.",
    ),
]
AHEAD = dg.AssetCheckSpec(
    "ahead_of_student",
    asset=TEACHER,
    description="On the dev split, whose questions no model has seen, the teacher is far enough ahead of the student. "
    "Where it isn't, the job `silver` refuses to use it.",
)


class TeacherConfig(TeacherOptions, StepConfig):
    """How a teacher is trained, and how far ahead of the student it must be."""


class SilverConfig(SilverOptions, StepConfig):
    """Which pairs of training questions the teacher scores, and how many are kept."""


@dg.op(out=dg.Out(dg.Nothing), pool=COMPUTE_POOL)
def train_teacher(
    context: dg.OpExecutionContext,
    config: TeacherConfig,
    store: dg.ResourceParam[VersionStore],
    compute: dg.ResourceParam[Compute],
) -> None:
    """Train the members of a teacher fold by fold, and hold it against the fine-tuned model."""
    from pipeline.distillation.scores import PairScorer
    from pipeline.distillation.teaching import teach
    from pipeline.settings import environment
    from pipeline.workflow import find_base_model

    records, progress = StepRecords(context, compute.kind, dg.AssetKey(TEACHER)), progress_into(context)
    with one_line_failures():
        choice = config.base_model_choice
        base: ModelInfo = find_base_model(choice, compute, store) if choice else load_value(store, "base_model")
        splits, run = _splits(store), run_identity(context)
        student = _student(store, splits)
        scorer = PairScorer(compute, environment.vectors_folder(), progress)
        teacher = teach(compute, splits, base, student, config, scorer, run, progress, records)
    keep_value(context, store, TEACHER, teacher, {**_teacher_metadata(teacher), **records.metadata})
    report_check(context, TEACHER, AHEAD.name, _finding(teacher))


@dg.op(out=dg.Out(dg.Nothing), pool=COMPUTE_POOL)
def score_silver_pairs(
    context: dg.OpExecutionContext,
    config: SilverConfig,
    store: dg.ResourceParam[VersionStore],
    compute: dg.ResourceParam[Compute],
) -> None:
    """Find pairs of training questions, and have the teacher score them and the labelled ones out of fold."""
    from pipeline.distillation.scores import PairScorer
    from pipeline.distillation.silver import make_silver
    from pipeline.settings import environment

    progress = progress_into(context)
    with one_line_failures():
        teacher: Teacher = load_value(store, TEACHER)
        base: ModelInfo = load_value(store, "base_model")
        scorer = PairScorer(compute, environment.vectors_folder(), progress)
        value, files = make_silver(_splits(store), teacher, base, config, scorer, progress)
    metadata = {
        "dagster/row_count": value.gold + value.silver,
        **value.model_dump(include={"gold", "silver", "candidates", "distance", "teacher_version", "train_version"}),
        **{f"found_by_{source}": number for source, number in value.found_by.items()},
        "source": value.origin.source,
        "synthetic": value.origin.synthetic,
    }
    keep_value(context, store, SILVER, value, metadata, files)


def _splits(store: VersionStore) -> Splits:
    return Splits(*(load_value(store, side) for side in _SIDES))


def _student(store: VersionStore, splits: Splits) -> "FineTunedModel":
    """The best stored model, by its dev split, of those that were trained on the labelled pairs of these splits alone.

    Raises:
        PipelineError: when there is none.
    """
    found = [
        model
        for model in stored_models(store)
        if (model.train_version, model.dev_version) == (splits.train.data_version, splits.dev.data_version)
        and model.scored_version is None
        and model.vectors_version is None
        and model.dev_evaluations
    ]
    if not found:
        raise PipelineError(
            "a teacher is held against a fine-tuned model of the same splits that learned from labelled pairs alone, "
            "and none is stored",
            make_again="model",
        )
    return max(found, key=lambda model: max(each.average_precision for each in model.dev_evaluations))


def _teacher_metadata(teacher: "Teacher") -> dict[str, Any]:
    return {
        "verdict": teacher.said,
        "architecture": teacher.architecture,
        "base_model": teacher.members[0].model.base_model.name,
        "folds": teacher.folds,
        "members": len(teacher.members),
        "dev_average_precision": teacher.dev_ap.estimate,
        "dev_interval": str(teacher.dev_ap),
        "eval_average_precision": teacher.eval_ap.estimate,
        "eval_interval": str(teacher.eval_ap),
        "fold_average_precision": teacher.fold_ap,
        "out_of_fold_average_precision": teacher.out_of_fold_ap,
        "student_dev_average_precision": teacher.student.dev_ap,
        "student_eval_average_precision": teacher.student.eval_ap,
        "lead": teacher.lead.estimate,
        "lead_interval": teacher.lead.signed,
        "training_seconds": teacher.seconds,
        "recipe": dg.MetadataValue.json(teacher.recipe),
        "trainings": dg.MetadataValue.table(
            records=[
                dg.TableRecord(
                    {
                        "fold": member.fold + 1,
                        "seed": member.model.recipe["seed"],
                        "dev_average_precision": round(member.dev_ap, 4),
                        "seconds": round(member.model.seconds, 1),
                        "run_folder": member.model.run_folder,
                    }
                )
                for member in teacher.members
            ],
            schema=dg.TableSchema(
                [
                    dg.TableColumn("fold", "int"),
                    dg.TableColumn("seed", "int"),
                    dg.TableColumn("dev_average_precision", "float"),
                    dg.TableColumn("seconds", "float"),
                    dg.TableColumn("run_folder", "string"),
                ]
            ),
        ),
        "source": teacher.origin.source,
        "synthetic": teacher.origin.synthetic,
    }


def _finding(teacher: "Teacher") -> Finding:
    return Finding(teacher.is_ahead, teacher.lead.estimate, teacher.min_lead, teacher.said)


@dg.job(
    name="teacher",
    tags={"purpose": "teacher", "owner": OWNERS[0]},
    config=run_config({"train_teacher": DISTILLATION_SETTINGS["train_teacher"]()}),
)
def teacher_job() -> None:
    """Train a teacher, and hold it against the fine-tuned model of the same splits."""
    train_teacher()


@dg.job(
    name="silver",
    tags={"purpose": "silver", "owner": OWNERS[0]},
    config=run_config({"score_silver_pairs": DISTILLATION_SETTINGS["score_silver_pairs"]()}),
)
def silver_job() -> None:
    """Score labelled and mined pairs of training questions with the teacher, out of fold."""
    score_silver_pairs()


@dg.multi_asset_check(name="teacher_checks", specs=[AHEAD])
def teacher_checks(
    context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[VersionStore]
) -> dg.AssetCheckResult:
    """Look again at how far the current teacher is ahead."""
    with one_line_failures():
        teacher: Teacher = load_value(store, TEACHER)
    return finding_result(_finding(teacher), TEACHER, AHEAD.name, is_warning=True)
