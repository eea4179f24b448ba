"""The workflow on any compute: evaluate the base model, fine-tune it, evaluate it; step by step or as a whole."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.compute.base import Compute, MeasuringJob
from pipeline.compute.driver import Caller, measure, train
from pipeline.core.code_version import code_version, import_closure
from pipeline.core.errors import PipelineError
from pipeline.core.files import content_version, json_text, write_text
from pipeline.core.progress import LogLine, OnProgress, StepStarted
from pipeline.core.store import VersionStore
from pipeline.evaluation.measurement import EvaluationOptions
from pipeline.evaluation.report import EvaluationReport, require_comparable
from pipeline.evaluation.report_builder import build_report, require_trained_on, threshold_kind
from pipeline.models.base_model import resolve_base_model
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo, ModelProperties
from pipeline.models.options import BaseModelChoice
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.schema import Splits
from pipeline.question_pairs.sides import require_one_making, require_sound_splits
from pipeline.question_pairs.sources import load_pairs
from pipeline.question_pairs.splits import split_pairs
from pipeline.reporting.result_files import card_files, result_files
from pipeline.training import distributed
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Orders, Recipe, TrainingOrder

if TYPE_CHECKING:
    from upath import UPath

_INSPECTIONS = "model_properties"
"""Folder of the store with the results of inspections."""


@dataclass(frozen=True)
class Plan:
    """The settings of a whole run."""

    pairs: PairSource
    splits: SplitPlan
    base_model: BaseModelChoice
    baseline: EvaluationOptions
    training: TrainingOrder
    post_train: EvaluationOptions


@dataclass(frozen=True)
class Results:
    """The results of a whole run."""

    model: FineTunedModel
    baseline: EvaluationReport
    post_train: EvaluationReport


def find_base_model(choice: BaseModelChoice, compute: Compute, store: VersionStore | None = None) -> ModelInfo:
    """Resolve a base model, and inspect it on the compute.

    Args:
        store: stores the results of inspections, so that each version of a model is inspected once; None stores none.

    Raises:
        PipelineError: when there is no such model, or it can't be used.
    """
    model = resolve_base_model(choice)
    path = store.folder(_INSPECTIONS) / f"{model.version}-{_inspection_version()}.json" if store else None
    properties = _known_properties(path) if path else None
    if properties is None:
        properties = compute.inspect(model)
        if path:
            # If it can't be stored, the model is inspected again next time.
            with suppress(OSError):
                write_text(path, json_text(properties.model_dump(mode="json")))
    return model.model_copy(update={"properties": properties})


def find_teacher(recipe: Recipe, compute: Compute, store: VersionStore | None = None) -> ModelInfo | None:
    """Find the teacher that a recipe names, as a base model is found; None where it names none.

    Raises:
        PipelineError: when there is no such model, or it can't be used.
    """
    if recipe.teacher is None:
        return None
    try:
        return find_base_model(recipe.teacher, compute, store)
    except PipelineError as error:
        raise type(error)(f"teacher_model: {error.message}", None, **error.values) from error


def _inspection_version() -> str:
    """Version of everything that may change what an inspection finds: its code and the libraries."""
    libraries = [f"{name} {metadata.version(name)}" for name in ("sentence-transformers", "transformers", "torch")]
    return content_version([code_version(import_closure("pipeline.models.inspection")), libraries])


def _known_properties(path: "UPath | Path") -> ModelProperties | None:
    """The result of an earlier inspection; None where there is none, or it can't be read."""
    try:
        return ModelProperties.from_stored_json(path.read_bytes())
    except (OSError, ValidationError, PipelineError):
        return None


def measure_base_model(
    compute: Compute,
    model: ModelInfo,
    splits: Splits,
    options: EvaluationOptions,
    on_progress: OnProgress,
    caller: Caller | None = None,
) -> EvaluationReport:
    """Evaluate a base model.

    Raises:
        PipelineError: when it fails, or the splits don't belong together.
    """
    _log(require_sound_splits(splits), on_progress)
    measured = measure(compute, MeasuringJob(model, splits.eval, splits.dev, options), on_progress, caller)
    return build_report("pre_train", model, measured, splits)


def fine_tune(
    compute: Compute,
    job: TrainingJob,
    run: RunIdentity,
    on_progress: OnProgress,
    caller: Caller | None = None,
    orders: Orders | None = None,
) -> FineTunedModel:
    """Fine-tune, and write a model card without results next to the weights, unless there is a card already.

    Raises:
        PipelineError: when it fails, or the two splits don't belong together.
    """
    _log(require_one_making({"the train split": job.train, "the dev split": job.dev}), on_progress)
    job.base_model.require_length(job.recipe.max_seq_length)
    model = train(compute, job, run, on_progress, caller, orders)
    distributed.from_main(lambda: compute.add_files(model, card_files(model), replace=False))
    return model


def measure_fine_tuned(
    compute: Compute,
    model: FineTunedModel,
    baseline: EvaluationReport,
    splits: Splits,
    options: EvaluationOptions,
    on_progress: OnProgress,
    caller: Caller | None = None,
) -> EvaluationReport:
    """Evaluate a fine-tuned model, compare it with its baseline, and write the results next to the model.

    Raises:
        PipelineError: when it fails, the splits don't belong together, the baseline isn't comparable, or the model was
            trained on another training split.
    """
    # Check these before paying for the evaluation.
    require_trained_on(splits, model)
    require_comparable(baseline, splits.eval.data_version, threshold_kind(splits.dev))
    _log(require_sound_splits(splits), on_progress)
    job = MeasuringJob(model.model, splits.eval, splits.dev, options)
    measured = measure(compute, job, on_progress, caller)
    report = build_report("post_train", model.model, measured, splits, baseline, model)
    compute.add_files(model, result_files(model, baseline, report))
    return report


def _log(remark: str, on_progress: OnProgress) -> None:
    if remark:
        on_progress(LogLine(remark))


def evaluate_train_evaluate(
    plan: Plan,
    compute: Compute,
    run: RunIdentity,
    on_progress: OnProgress,
    caller: Caller | None = None,
    on_baseline: Callable[[EvaluationReport], None] = lambda report: None,
    store: VersionStore | None = None,
) -> Results:
    """Do a whole run without Dagster. With several processes, the first one evaluates and writes.

    Args:
        on_baseline: called with the baseline report as soon as it is built.
        store: see `find_base_model`.

    Raises:
        PipelineError: when a step fails.
    """
    on_progress(StepStarted("reading the question pairs"))
    splits = split_pairs(load_pairs(plan.pairs), plan.splits)
    base_model = distributed.from_main(lambda: find_base_model(plan.base_model, compute, store))
    base_model.require_length(plan.training.max_seq_length)
    # Before anything is evaluated: this refuses a teacher that can't be used.
    teacher = distributed.from_main(lambda: find_teacher(plan.training.recipe, compute, store))
    job = TrainingJob(splits.train, splits.dev, base_model, plan.training.recipe, teacher)
    for remark in base_model.properties.remarks if base_model.properties else ():
        on_progress(LogLine(f"{base_model.name}: {remark}"))
    baseline = distributed.from_main(
        lambda: measure_base_model(compute, base_model, splits, plan.baseline, on_progress, caller)
    )
    on_baseline(baseline)
    model = fine_tune(compute, job, run, on_progress, caller, plan.training.orders)
    post_train = distributed.from_main(
        lambda: measure_fine_tuned(compute, model, baseline, splits, plan.post_train, on_progress, caller)
    )
    return Results(model, baseline, post_train)
