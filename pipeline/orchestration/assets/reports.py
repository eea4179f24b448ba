"""The reports: how good the model is before and after."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from pipeline.compute.base import Compute
from pipeline.core.store import VersionStore
from pipeline.evaluation.measurement import EvaluationOptions
from pipeline.evaluation.report import EvaluationReport, compare
from pipeline.evaluation.results_csv import results_file_name
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.models.options import BaseModelChoice
from pipeline.orchestration.assets.common import OWNERS, progress_into, readable
from pipeline.orchestration.execution import COMPUTE_POOL
from pipeline.orchestration.failures import one_line_failures
from pipeline.orchestration.resources import ReportHistory
from pipeline.orchestration.step_config import StepConfig
from pipeline.orchestration.work_records import StepRecords
from pipeline.question_pairs.schema import PairTable, Splits
from pipeline.reporting.leaderboard import Leaderboard, shown_names
from pipeline.reporting.options import LeaderboardOptions

GROUP = "reports"
_REPORT: Any = {
    "group_name": GROUP,
    "kinds": {"csv", "scikitlearn"},
    "owners": OWNERS,
    "code_version": "1",
    "pool": COMPUTE_POOL,
    "automation_condition": dg.AutomationCondition.eager(),
}
"""What the assets of this group have in common."""


class EvaluationConfig(EvaluationOptions, StepConfig):
    """How a model is measured for a report."""


class LeaderboardConfig(LeaderboardOptions, StepConfig):
    """Which models are on the leaderboard, and how they are measured."""


@dg.asset(**_REPORT)
def baseline_eval_report(
    context: dg.AssetExecutionContext,
    config: EvaluationConfig,
    compute: dg.ResourceParam[Compute],
    base_model: ModelInfo,
    eval_split: PairTable,
    dev_split: PairTable,
    train_split: PairTable,
) -> dg.MaterializeResult[EvaluationReport]:
    """How well the base model separates duplicates from other pairs, before any training.

    Average precision, and accuracy, F1, precision and recall at their best thresholds, for four similarities.
    docs/metrics.md explains each in plain words.

    **Next:** read the worst mistakes and the slices in *report* below, then materialise `fine_tuned_model`.
    """
    from pipeline.workflow import measure_base_model

    records, splits = StepRecords(context, compute.kind), Splits(train_split, dev_split, eval_split)
    with one_line_failures():
        report = measure_base_model(compute, base_model, splits, config, progress_into(context), records)
    return dg.MaterializeResult(
        value=report,
        data_version=dg.DataVersion(report.data_version),
        metadata={**_report_metadata(report), **records.metadata},
    )


@dg.asset(**_REPORT)
def post_train_eval_report(
    context: dg.AssetExecutionContext,
    config: EvaluationConfig,
    compute: dg.ResourceParam[Compute],
    fine_tuned_model: FineTunedModel,
    eval_split: PairTable,
    dev_split: PairTable,
    train_split: PairTable,
    baseline_eval_report: EvaluationReport,
) -> dg.MaterializeResult[EvaluationReport]:
    """How well the fine-tuned model does on the same pairs, and the difference to the baseline.

    Puts both result files into the model's run folder and completes its model card.

    **Next:** compare with earlier runs in this asset's *Overview* plots; use the model
    (docs/use-the-model.md).
    """
    from pipeline.workflow import measure_fine_tuned

    records, splits = StepRecords(context, compute.kind), Splits(train_split, dev_split, eval_split)
    with one_line_failures():
        report = measure_fine_tuned(
            compute, fine_tuned_model, baseline_eval_report, splits, config, progress_into(context), records
        )
    return dg.MaterializeResult(
        value=report,
        data_version=dg.DataVersion(report.data_version),
        metadata={
            **_report_metadata(report, compare(report, baseline_eval_report)["cosine"]),
            "run_folder": dg.MetadataValue.path(fine_tuned_model.run_folder),
            "results_file": dg.MetadataValue.path(f"{fine_tuned_model.run_folder}/{results_file_name('post_train')}"),
            **records.metadata,
        },
    )


@dg.asset(
    **_REPORT,
    # Their reports are in the history.
    deps=["baseline_eval_report", "post_train_eval_report"],
)
def model_leaderboard(
    context: dg.AssetExecutionContext,
    config: LeaderboardConfig,
    compute: dg.ResourceParam[Compute],
    report_history: ReportHistory,
    store: dg.ResourceParam[VersionStore],
    eval_split: PairTable,
    dev_split: PairTable,
    train_split: PairTable,
) -> dg.MaterializeResult[Leaderboard]:
    """Every model that was ever measured on the current eval pairs, best first.

    The baseline, all fine-tuned models, and the `base_models` that you list in its settings, which are measured
    if they have no report yet. Models that were measured on other pairs are left out and counted.

    **Next:** name further base models in the Launchpad to see what to start from.
    """
    from pipeline.reporting.ranking import build_leaderboard, measured_on
    from pipeline.workflow import find_base_model, measure_base_model

    records, splits = StepRecords(context, compute.kind), Splits(train_split, dev_split, eval_split)
    with one_line_failures():
        reports, unreadable = report_history.reports()
        measured = {each.summary.row.model.version for each in reports if measured_on(each.summary, splits)}
        for choice in config.base_models:
            model = find_base_model(BaseModelChoice(model=choice), compute, store)
            if model.version not in measured:
                report = measure_base_model(compute, model, splits, config, progress_into(context), records)
                reports.append(report_history.add(report))
        leaderboard = build_leaderboard(reports, splits, unreadable)
    return dg.MaterializeResult(
        value=leaderboard,
        data_version=dg.DataVersion(leaderboard.data_version),
        metadata=readable(
            {
                "leaderboard": dg.MetadataValue.md(leaderboard.to_markdown()),
                "models": len(leaderboard.rows),
                "best_model": shown_names(leaderboard.rows)[0],
                "best_average_precision": leaderboard.rows[0].ap.estimate,
                "reports_left_out": sum(leaderboard.left_out.values()),
                "eval_version": leaderboard.eval_version,
                "source": leaderboard.origin.source,
                "synthetic": leaderboard.origin.synthetic,
                **records.metadata,
            }
        ),
    )


def _report_metadata(report: EvaluationReport, gains: Mapping[str, float] | None = None) -> dict[str, Any]:
    """The verdict and the report come first, then the gains, the figures by cosine, and those by other similarities."""
    from pipeline.reporting.plots import pictures
    from pipeline.reporting.rendering import markdown
    from pipeline.reporting.verdict import HEADLINES, verdict

    sentence = verdict(report)
    task_gains = {
        f"{metric}_gain": report.task_gains[metric].estimate for metric in HEADLINES if metric in report.task_gains
    }
    numbers = {
        name: {f"{name}_{metric}": value for metric, value in values.model_dump().items()}
        for name, values in report.operating.items()
    }
    cosine = numbers.pop("cosine")
    return readable(
        {
            **({"verdict": sentence} if sentence else {}),
            "report": dg.MetadataValue.md(markdown(report, pictures(report))),
            **{f"cosine_{metric}_gain": gain for metric, gain in (gains or {}).items()},
            **task_gains,
            **cosine,
            "model": report.model.name,
            "model_location": dg.MetadataValue.path(report.model.location),
            "model_version": report.model.version,
            "eval_version": report.eval_version,
            "threshold_kind": report.threshold_kind,
            "pairs": report.pairs,
            "positive_rate": report.positive_rate,
            "source": report.origin.source,
            "synthetic": report.origin.synthetic,
            "evaluation_seconds": report.seconds,
            "device": report.device,
            **{key: value for others in numbers.values() for key, value in others.items()},
        }
    )
