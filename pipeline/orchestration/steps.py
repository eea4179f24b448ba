"""The names of assets and steps, and the settings of each step. No Dagster here: commands without it read them too."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.duplicates.options import IndexOptions, MiningJobOptions, QuestionSource
from pipeline.evaluation.measurement import EvaluationOptions
from pipeline.exporting.options import ExportJobOptions
from pipeline.models.options import BaseModelChoice
from pipeline.quality.options import DatasetLimits, ModelLimits, PromotionRules, ReportLimits, SplitLimits
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.reporting.options import LeaderboardOptions, Publication
from pipeline.settings.run_config import RunSettings, StepSettings, read_settings
from pipeline.training.recipe import TrainingOrder

if TYPE_CHECKING:
    from pipeline.workflow import Plan

PRODUCTION = "production_model"
"""The asset whose values are the records of the model in production."""

LEADERBOARD = "model_leaderboard"
"""The asset that compares models."""

QUESTIONS, EMBEDDINGS, MINED, INDEX = "questions", "question_embeddings", "mined_duplicates", "question_index"
"""What the job `mine` makes."""

EXPORTED = "exported_model"
"""What the job `export` makes."""

PUBLISHED = "published_model"
"""What the job `publish` makes."""

ON_REQUEST = frozenset({QUESTIONS, EMBEDDINGS, MINED, INDEX, EXPORTED, PUBLISHED})
"""What a run of the whole pipeline leaves out; see `assets/on_request.py`."""

REMOVED_ASSETS = ("teacher_model", "silver_pairs")
"""Assets of earlier releases. What a home has of them may be deleted; nothing reads it."""

CHECKS_SUFFIX = "_checks"
"""The end of the name of a step that only checks what another step makes."""

STEP_SETTINGS: StepSettings = {
    "raw_quora_dataset": PairSource,
    "raw_quora_dataset_checks": DatasetLimits,
    "splits": SplitPlan,
    "splits_checks": SplitLimits,
    "base_model": BaseModelChoice,
    "baseline_eval_report": EvaluationOptions,
    "fine_tuned_model": TrainingOrder,
    "fine_tuned_model_checks": ModelLimits,
    "post_train_eval_report": EvaluationOptions,
    "post_train_eval_report_checks": ReportLimits,
    "model_leaderboard": LeaderboardOptions,
    "production_model": PromotionRules,
}
"""The steps that have settings, and the class of each."""

ON_REQUEST_SETTINGS: StepSettings = {
    "read_questions": QuestionSource,
    "mine_questions": MiningJobOptions,
    "build_question_index": IndexOptions,
    "export_production_model": ExportJobOptions,
    "publish_production_model": Publication,
}
"""The settings of the steps that are run on request; config files don't have them."""

_SPLITS = {"train_split", "dev_split", "eval_split"}


def steps_of(assets: Collection[str]) -> list[str]:
    """The steps that a run of these assets has, their checks included."""
    makers = {"splits" if asset in _SPLITS else asset for asset in assets}
    return [step for step in STEP_SETTINGS if step.removesuffix(CHECKS_SUFFIX) in makers]


def load_settings(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    values: Mapping[str, Mapping[str, Any]] | None = None,
) -> RunSettings:
    """The settings of all steps: of a config file, with overrides such as `fine_tuned_model.epochs=3`, then `values`.

    Raises:
        PipelineError: when the file is missing or no run config, or a setting is refused.
    """
    return read_settings(STEP_SETTINGS, path, overrides, values)


def plan_of(settings: RunSettings) -> "Plan":
    """The settings of a run without Dagster."""
    # Imports torch, which the definitions must not.
    from pipeline.workflow import Plan

    return Plan(
        pairs=settings.of("raw_quora_dataset", PairSource),
        splits=settings.of("splits", SplitPlan),
        base_model=settings.of("base_model", BaseModelChoice),
        baseline=settings.of("baseline_eval_report", EvaluationOptions),
        training=settings.of("fine_tuned_model", TrainingOrder),
        post_train=settings.of("post_train_eval_report", EvaluationOptions),
    )
