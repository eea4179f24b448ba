"""The asset checks, which show the findings of the rules. A blocking check that fails stops what follows."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from pipeline.compute.base import Compute
from pipeline.core.errors import PipelineError
from pipeline.core.store import VersionStore
from pipeline.core.values import StoredValue
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import PROBE_QUESTIONS
from pipeline.orchestration.assets.common import finding_result
from pipeline.orchestration.failures import in_dagster
from pipeline.orchestration.step_config import StepConfig
from pipeline.quality import rules
from pipeline.quality.options import DatasetLimits, ModelLimits, ReportLimits, SplitLimits
from pipeline.quality.rules import Finding, skipped
from pipeline.question_pairs.schema import PairTable, Splits

SIDES = ("train_split", "dev_split", "eval_split")
_HISTORY = 50
"""Newest materialisations that are searched for that of the run and the one before it."""


class DatasetChecksConfig(DatasetLimits, StepConfig):
    """Bounds of the checks on the dataset."""


class SplitChecksConfig(SplitLimits, StepConfig):
    """Bounds of the checks on the splits."""


class ModelChecksConfig(ModelLimits, StepConfig):
    """Bounds of the checks on the fine-tuned model."""


class ReportChecksConfig(ReportLimits, StepConfig):
    """Bounds of the checks on the report of the fine-tuned model."""


def _blocking(asset: str, name: str, description: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(name, asset=asset, blocking=True, description=description)


def _warning(asset: str, name: str, description: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(name, asset=asset, description=f"{description} A warning: nothing stops.")


def _results(
    context: dg.AssetCheckExecutionContext,
    specs: list[dg.AssetCheckSpec],
    findings: Mapping[tuple[str, str], Finding],
) -> Iterator[dg.AssetCheckResult]:
    """The results of the checks that this step is asked for."""
    for spec in specs:
        if spec.key in context.selected_asset_check_keys:
            asset = spec.asset_key.to_user_string()
            yield finding_result(findings[asset, spec.name], asset, spec.name, is_warning=not spec.blocking)


class _Materialisations:
    """What Dagster recorded when the value that a step reads was made, and what the one before it was."""

    def __init__(self, context: dg.AssetCheckExecutionContext, asset: str, value: PairTable | StoredValue) -> None:
        records = context.instance.fetch_materializations(dg.AssetKey(asset), limit=_HISTORY).records
        events = [record.asset_materialization for record in records]
        versions = [(event.tags or {}).get("dagster/data_version") if event else None for event in events]
        at = versions.index(value.data_version) if value.data_version in versions else None
        self.metadata: dict[str, Any] = {}
        self.earlier: dict[str, Any] = {}
        self.earlier_run: str | None = None
        if at is not None:
            self.metadata = _values(events[at])
            for record, event in list(zip(records, events, strict=True))[at + 1 :]:
                if _values(event).get("synthetic") == self.metadata.get("synthetic"):
                    self.earlier, self.earlier_run = _values(event), record.run_id
                    break


def _values(event: dg.AssetMaterialization | None) -> dict[str, Any]:
    return {key: value.value for key, value in event.metadata.items()} if event else {}


_NO_RECORD = "this Dagster instance has no record of how {} was made: rematerialise it"
_NOTHING_EARLIER = "there is no earlier materialisation of the same kind of data"

# --- the dataset -----------------------------------------------------------------------------------------------

_DATASET_CHECKS = [
    _blocking("raw_quora_dataset", "schema_and_labels", "Every pair has all columns, and a label true or false."),
    _blocking("raw_quora_dataset", "rejected_rows", "Not too many rows of the source were rejected."),
    _warning("raw_quora_dataset", "positive_rate_drift", "The share of duplicates is about the same as last time."),
    _warning("raw_quora_dataset", "length_drift", "Questions are about as long as last time."),
]


@dg.multi_asset_check(specs=_DATASET_CHECKS, can_subset=True)
def raw_quora_dataset_checks(
    context: dg.AssetCheckExecutionContext, config: DatasetChecksConfig, raw_quora_dataset: PairTable
) -> Iterator[dg.AssetCheckResult]:
    """Check the pairs before anything is made from them."""
    made = _Materialisations(context, "raw_quora_dataset", raw_quora_dataset)
    now, before = made.metadata, made.earlier
    findings = {
        "schema_and_labels": rules.schema_and_labels(raw_quora_dataset),
        "rejected_rows": rules.rejected_share(now["pairs_read"], now["pairs_rejected"], config)
        if {"pairs_read", "pairs_rejected"} <= now.keys()
        else skipped(_NO_RECORD.format("raw_quora_dataset"), config.max_rejected_share),
        "positive_rate_drift": rules.positive_rate_drift(now["positive_rate"], before["positive_rate"], config)
        if "positive_rate" in now.keys() & before.keys()
        else skipped(_NOTHING_EARLIER, config.max_positive_rate_drift),
        "length_drift": rules.length_drift(now["mean_question_length"], before["mean_question_length"], config)
        if "mean_question_length" in now.keys() & before.keys()
        else skipped(_NOTHING_EARLIER, config.max_length_drift),
    }
    yield from _results(
        context, _DATASET_CHECKS, {("raw_quora_dataset", name): finding for name, finding in findings.items()}
    )


# --- the splits ------------------------------------------------------------------------------------------------

_SPLIT_CHECKS = [
    *(_blocking(side, "enough_pairs", "The side is large enough to train or to measure on.") for side in SIDES),
    *(_blocking(side, "both_classes", "The side has duplicates and other pairs.") for side in SIDES),
    _blocking("eval_split", "one_division", "All sides come from one dataset and one division of it."),
    _blocking("eval_split", "no_pair_on_two_sides", "No pair is on two sides."),
    _blocking("eval_split", "no_question_on_two_sides", "No question is on two sides."),
]


@dg.multi_asset_check(specs=_SPLIT_CHECKS, can_subset=True)
def splits_checks(
    context: dg.AssetCheckExecutionContext,
    config: SplitChecksConfig,
    train_split: PairTable,
    dev_split: PairTable,
    eval_split: PairTable,
) -> Iterator[dg.AssetCheckResult]:
    """Check the three splits before anything is trained or measured on them."""
    splits, sides = Splits(train_split, dev_split, eval_split), {name: name.removesuffix("_split") for name in SIDES}
    division = eval_split.origin.division
    strategy = (
        division.strategy if division else _Materialisations(context, "eval_split", eval_split).metadata.get("strategy")
    )
    unknown = skipped(_NO_RECORD.format("eval_split"), 0)
    findings = {
        **{(name, "enough_pairs"): rules.enough_pairs(side, splits, config) for name, side in sides.items()},
        **{(name, "both_classes"): rules.both_classes(side, splits) for name, side in sides.items()},
        ("eval_split", "one_division"): rules.sides_of_one_making(splits),
        ("eval_split", "no_pair_on_two_sides"): rules.pairs_on_two_sides(splits, strategy) if strategy else unknown,
        ("eval_split", "no_question_on_two_sides"): rules.questions_on_two_sides(splits, strategy)
        if strategy
        else unknown,
    }
    yield from _results(context, _SPLIT_CHECKS, findings)


# --- the model -------------------------------------------------------------------------------------------------

_MODEL_CHECKS = [
    _blocking(
        "fine_tuned_model", "files_match_manifest", "Every file of the model is the one that its manifest names."
    ),
    _blocking(
        "fine_tuned_model",
        "sound_embeddings",
        "The model loads and gives finite embeddings, of length 1 where the base model's are.",
    ),
    _warning("fine_tuned_model", "training_time", "The training took no longer than planned."),
    _warning("fine_tuned_model", "training_cost", "The training cost no more than planned."),
]


@dg.multi_asset_check(specs=_MODEL_CHECKS, can_subset=True)
def fine_tuned_model_checks(
    context: dg.AssetCheckExecutionContext,
    config: ModelChecksConfig,
    compute: dg.ResourceParam[Compute],
    fine_tuned_model: FineTunedModel,
) -> Iterator[dg.AssetCheckResult]:
    """Verify the model's files, load the model and embed a few questions."""
    files = _files(compute, fine_tuned_model)
    findings = {
        "files_match_manifest": files,
        "sound_embeddings": _embeddings(compute, fine_tuned_model, config)
        if files.passed
        else Finding(False, None, config.max_norm_error, "not measured, since the files are not those of the manifest"),
        "training_time": rules.training_time(fine_tuned_model.seconds, config),
        "training_cost": rules.training_cost(fine_tuned_model.cost, config),
    }
    yield from _results(
        context, _MODEL_CHECKS, {("fine_tuned_model", name): finding for name, finding in findings.items()}
    )


def _files(compute: Compute, model: FineTunedModel) -> Finding:
    try:
        compute.verify(model)
    except PipelineError as error:
        return Finding(False, 1, 0, in_dagster(error))
    return Finding(True, 0, 0, "every file has the SHA-256 that the manifest says")


def _embeddings(compute: Compute, model: FineTunedModel, config: ModelChecksConfig) -> Finding:
    try:
        embeddings = compute.embed(model.model, PROBE_QUESTIONS)
        return rules.sound_embeddings(embeddings, config, model.base_model.properties)
    except PipelineError as error:
        return Finding(False, None, config.max_norm_error, in_dagster(error))


# --- the report ------------------------------------------------------------------------------------------------

_REPORT = "post_train_eval_report"
_REPORT_CHECKS = [
    _warning(_REPORT, "unseen_ap", "Average precision on unseen questions has not fallen."),
    _warning(_REPORT, "mining_not_worse", "Duplicate mining is not surely worse than the baseline's."),
    _warning(_REPORT, "retrieval_not_worse", "Retrieval is not surely worse than the baseline's."),
]


@dg.multi_asset_check(specs=_REPORT_CHECKS, can_subset=True)
def post_train_eval_report_checks(
    context: dg.AssetCheckExecutionContext,
    config: ReportChecksConfig,
    store: dg.ResourceParam[VersionStore],
    post_train_eval_report: EvaluationReport,
) -> Iterator[dg.AssetCheckResult]:
    """Compare the report with the one before it, and its mining and retrieval with the baseline's.

    What decides on promotion is checked by `production_model`.
    """
    findings = {
        "unseen_ap": _unseen_ap(context, store, post_train_eval_report, config),
        "mining_not_worse": rules.mining_not_worse(post_train_eval_report, config),
        "retrieval_not_worse": rules.retrieval_not_worse(post_train_eval_report, config),
    }
    yield from _results(context, _REPORT_CHECKS, {(_REPORT, name): finding for name, finding in findings.items()})


def _unseen_ap(
    context: dg.AssetCheckExecutionContext, store: VersionStore, report: EvaluationReport, config: ReportChecksConfig
) -> Finding:
    made, before = _Materialisations(context, _REPORT, report), None
    if made.earlier_run:
        try:
            before = store.read(_REPORT, EvaluationReport, store.of_run(_REPORT, made.earlier_run))
        except PipelineError as error:
            # A warning about an earlier value: it stops nothing.
            return skipped(f"the last report can't be read: {error.message}", config.max_unseen_ap_drop)
    return rules.unseen_ap(report, before, config)


CHECKS = [raw_quora_dataset_checks, splits_checks, fine_tuned_model_checks, post_train_eval_report_checks]
