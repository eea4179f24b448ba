"""The model in production: the newest that was accepted, or the one that was chosen by hand."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from pipeline.compute.base import Compute
from pipeline.core.errors import PipelineError
from pipeline.core.references import FineTunedModel
from pipeline.core.storage import VersionStore
from pipeline.evaluation.report import EvaluationReport
from pipeline.orchestration.assets.common import OWNERS, finding_result, one_line_failures
from pipeline.orchestration.resources import current_production, load_from_run, load_version
from pipeline.quality.promotion import Candidate, ProductionModel, PromotionRules, judge
from pipeline.quality.rules import Finding

GROUP = "production"
ASSET = "production_model"
_HISTORY_ROWS = 20


class PromotionConfig(PromotionRules, dg.Config):
    """What a model must hold to become the one in production."""


_CHECKS = {
    "gain_over_baseline": "Average precision is above the baseline's by the configured margin, its interval above 0.",
    "not_worse_than_current": "On the same eval pairs, not worse than the model in production beyond the tolerance.",
    "same_kind_of_data": "A model of generated pairs doesn't replace one of real pairs, nor the other way round.",
}


@dg.asset(
    group_name=GROUP,
    kinds={"huggingface"},
    owners=OWNERS,
    code_version="1",
    output_required=False,
    check_specs=[dg.AssetCheckSpec(name, asset=ASSET, description=said) for name, said in _CHECKS.items()],
    # Retrained weekly: two weeks without an accepted model are worth a look, five are not what was meant.
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=36), warn_window=timedelta(days=15)),
)
def production_model(
    context: dg.AssetExecutionContext,
    config: PromotionConfig,
    compute: dg.ResourceParam[Compute],
    store: dg.ResourceParam[VersionStore],
    fine_tuned_model: FineTunedModel,
    post_train_eval_report: EvaluationReport,
) -> Iterator[dg.MaterializeResult[ProductionModel] | dg.AssetCheckResult]:
    """The model to use: the newest one that was accepted.

    Made from `fine_tuned_model` and its report. A model is accepted when all checks of this asset pass and its files
    are those that were sealed. Otherwise nothing is materialised: the one before stays, and an observation in this
    asset's *Events* says why.

    **Next:** load the model from `model` below. To go back to an earlier one, open the Launchpad of this asset, set
    `run_id` to the run that made it (*History* below lists them), and materialise this asset alone.
    """
    with one_line_failures():
        candidate = _candidate(context, config, store, fine_tuned_model, post_train_eval_report)
        compute.verify(candidate.model)
        current = current_production(store)
        findings = judge(candidate, current, config)
        against = {name: finding for name, finding in findings.items() if not finding.passed}
        if against and config.run_id:
            raise PipelineError("; ".join(finding.said for finding in against.values()))
    yield from (finding_result(finding, ASSET, name) for name, finding in findings.items())
    if against:
        context.log_event(dg.AssetObservation(ASSET, metadata=_refusal(candidate, current, against)))
        return
    if current is not None and candidate.is_in(current):
        decision, promoted = "confirmed", current
    else:
        decision = "rolled back" if config.run_id else "promoted"
        promoted = candidate.promoted(current, datetime.now(UTC), is_rollback=bool(config.run_id))
    yield dg.MaterializeResult(
        value=promoted,
        data_version=dg.DataVersion(promoted.data_version),
        metadata={"decision": decision, **_metadata(promoted, store)},
    )


def _candidate(
    context: dg.AssetExecutionContext,
    config: PromotionRules,
    store: VersionStore,
    newest: FineTunedModel,
    report: EvaluationReport,
) -> Candidate:
    if config.run_id:
        return Candidate(
            load_from_run(store, "fine_tuned_model", config.run_id, FineTunedModel),
            load_from_run(store, "post_train_eval_report", config.run_id, EvaluationReport),
            store.of_run("fine_tuned_model", config.run_id).run_id,
        )
    run = context.run
    runs = [run_id for run_id in (run.run_id, run.parent_run_id, run.root_run_id) if run_id]
    return Candidate(newest, report, store.resolve("fine_tuned_model", runs).run_id)


def _refusal(candidate: Candidate, current: ProductionModel | None, against: Mapping[str, Finding]) -> dict[str, Any]:
    return {
        "decision": "refused",
        "reason": "; ".join(finding.said for finding in against.values()),
        "candidate": dg.MetadataValue.path(candidate.model.model.location),
        "candidate_run": candidate.run_id,
        "cosine_ap": candidate.report.cosine.ap,
        "in_production": dg.MetadataValue.path(current.model.model.location) if current else "nothing",
    }


def _metadata(promoted: ProductionModel, store: VersionStore) -> dict[str, Any]:
    gain = promoted.report.ap_gain
    return {
        "model": dg.MetadataValue.path(promoted.model.model.location),
        "model_version": promoted.model.model.version,
        "trained_by": dg.MetadataValue.dagster_run(promoted.run_id),
        "promoted_at": promoted.promoted_at,
        "cosine_ap": promoted.report.cosine.ap,
        **({"cosine_ap_gain": gain.estimate} if gain else {}),
        "eval_version": promoted.report.eval_version,
        "source": promoted.model.origin.source,
        "synthetic": promoted.model.origin.synthetic,
        "history": dg.MetadataValue.md(_history(promoted, store)),
    }


def _history(newest: ProductionModel, store: VersionStore) -> str:
    """The newest records as a table, this one first."""
    lines = ["| since | run | average precision | pairs | how |", "|---|---|---|---|---|"]
    record: ProductionModel | None = newest
    while record is not None and len(lines) < _HISTORY_ROWS + 2:
        how = "rolled back" if record.is_rollback else "promoted"
        ap, source = record.report.cosine.ap, record.model.origin.source
        lines.append(f"| {record.promoted_at} | {record.run_id} | {ap:.4f} | {source} | {how} |")
        record = load_version(store, ASSET, record.previous, ProductionModel) if record.previous else None
    return "\n".join(lines)
