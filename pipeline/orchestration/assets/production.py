"""The model in production: the newest that was accepted, or the one that was chosen by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipeline.compute.base import Compute
from pipeline.core.errors import DamagedError, NotFoundError
from pipeline.core.store import VersionStore
from pipeline.core.tables import Table, markdown_lines
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.orchestration.asset_values import SIDES, stored_pairs
from pipeline.orchestration.assets.common import OWNERS, finding_result, progress_into, readable
from pipeline.orchestration.failures import one_line_failures
from pipeline.orchestration.runs import with_ancestors
from pipeline.orchestration.step_config import StepConfig
from pipeline.orchestration.steps import PRODUCTION
from pipeline.orchestration.work_records import StepRecords
from pipeline.quality.options import PromotionRules
from pipeline.quality.production_record import (
    InProduction,
    ProductionModel,
    UnreadableRecord,
    current_production,
    earlier_production,
)
from pipeline.quality.promotion import Candidate, Comparison, Promotion, promote

if TYPE_CHECKING:
    from pipeline.quality.challenge import StoredSplits

GROUP = "production"
_HISTORY_ROWS = 20
_SHORT_RUN_ID = 8
"""Characters, as in the UI's list of runs. `run_id` takes them too."""


class PromotionConfig(PromotionRules, StepConfig):
    """What a model must hold to become the one in production."""


_CHECKS = {
    "gain_over_baseline": "Average precision is above the baseline's by the configured margin, its interval above 0.",
    "not_worse_than_current": "Not worse than the model in production, on eval pairs that neither was trained on.",
    "same_kind_of_data": "A model trained on generated pairs doesn't replace one trained on real pairs.",
}


@dg.asset(
    group_name=GROUP,
    kinds={"huggingface"},
    owners=OWNERS,
    code_version="1",
    output_required=False,
    check_specs=[dg.AssetCheckSpec(name, asset=PRODUCTION, description=text) for name, text in _CHECKS.items()],
    # Retrained weekly: two weeks without an accepted model deserve attention, and five mean that something is wrong.
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
    are those of its manifest. Otherwise nothing is materialised: the one before stays, and an observation in this
    asset's *Events* says why. If the report of the model in production is about other eval pairs, that model
    is measured on the current ones. The two are compared pair by pair.

    **Next:** use the model: `python -m pipeline compare`, `search` and `mine` take it (docs/use-the-model.md), or
    launch the job `mine`. To go back to an earlier one, open the Launchpad of this asset, set
    `run_id` to the run that made it (*History* below lists them), and materialise this asset alone.
    """
    from pipeline.quality.challenge import challenge

    with one_line_failures():
        candidate = _candidate(context, config, store, fine_tuned_model, post_train_eval_report)
        compute.verify(candidate.model)
        if store.unguarded:
            context.log.warning(store.unguarded)
        records = StepRecords(context, compute.kind)
        compare = partial(
            challenge,
            compute,
            _stored_splits(store),
            candidate.model,
            candidate.report,
            on_progress=progress_into(context),
            caller=records,
        )
        promotion = promote(store, PRODUCTION, candidate, config, compare, context.run.run_id, datetime.now(UTC))
    yield from (finding_result(finding, PRODUCTION, name) for name, finding in promotion.findings.items())
    if promotion.record is None:
        refusal = {**_refusal(candidate, promotion), **_comparison(promotion), **records.metadata}
        context.log_event(dg.AssetObservation(PRODUCTION, metadata=readable(refusal)))
        return
    yield dg.MaterializeResult(
        value=promotion.record,
        data_version=dg.DataVersion(promotion.record.data_version),
        metadata=readable(
            {
                "decision": promotion.outcome,
                **_comparison(promotion),
                **_metadata(promotion.record, store),
                **records.metadata,
            }
        ),
    )


def in_production(store: VersionStore) -> ProductionModel:
    """The record of the model in production.

    Raises:
        NotFoundError: when nothing was promoted yet.
        DamagedError: when the record can't be read.
    """
    current = current_production(store, PRODUCTION)
    if current is None:
        raise NotFoundError(f"nothing is in production yet: materialise {PRODUCTION} first", asset=PRODUCTION)
    if isinstance(current, UnreadableRecord):
        raise DamagedError(
            f"{current.message}: materialise {PRODUCTION}, with `run_id` to choose an earlier model", asset=PRODUCTION
        )
    return current


def _candidate(
    context: dg.AssetExecutionContext,
    config: PromotionRules,
    store: VersionStore,
    newest: FineTunedModel,
    report: EvaluationReport,
) -> Candidate:
    if config.run_id:
        return Candidate(
            store.read("fine_tuned_model", FineTunedModel, made := store.of_run("fine_tuned_model", config.run_id)),
            store.read("post_train_eval_report", EvaluationReport, store.of_run("post_train_eval_report", made.run_id)),
            made.run_id,
        )
    runs = with_ancestors(context.instance, context.run.run_id)
    return Candidate(newest, report, store.resolve("fine_tuned_model", runs).run_id)


def _stored_splits(store: VersionStore) -> "StoredSplits":
    from pipeline.quality.challenge import StoredSplits

    train, dev, evaluation = (partial(stored_pairs, store, side) for side in SIDES)
    return StoredSplits(train, dev, evaluation)


def _comparison(promotion: Promotion) -> dict[str, Any]:
    """The comparison with the model in production, as numbers to plot over time."""
    compared = promotion.compared
    if not isinstance(compared, Comparison):
        return {}
    difference = compared.difference
    return {
        "compared_pairs": compared.pairs,
        "compared_cosine_ap": compared.candidate,
        "compared_cosine_ap_of_current": compared.current,
        "compared_cosine_ap_difference": difference.estimate,
        "compared_interval": difference.signed,
    }


def _refusal(candidate: Candidate, promotion: Promotion) -> dict[str, Any]:
    return {
        "decision": promotion.outcome,
        "reason": "; ".join(finding.message for finding in promotion.failed.values()),
        "candidate": dg.MetadataValue.path(candidate.model.model.location),
        "candidate_run": candidate.run_id,
        "cosine_ap": candidate.report.cosine.ap,
        "in_production": _place(promotion.current),
    }


def _metadata(promoted: ProductionModel, store: VersionStore) -> dict[str, Any]:
    gain = promoted.report.ap_gain
    return {
        "cosine_ap": promoted.report.cosine.ap,
        **({"cosine_ap_gain": gain.estimate} if gain else {}),
        "history": dg.MetadataValue.md(_history(promoted, store)),
        "model": dg.MetadataValue.path(promoted.model.model.location),
        "model_version": promoted.model.model.version,
        "trained_by": dg.MetadataValue.dagster_run(promoted.run_id),
        "promoted_at": promoted.promoted_at,
        "eval_version": promoted.report.eval_version,
        "source": promoted.model.origin.source,
        "synthetic": promoted.model.origin.synthetic,
    }


def _place(current: InProduction) -> Any:
    if current is None:
        return "nothing"
    return (
        dg.MetadataValue.path(current.model.model.location) if isinstance(current, ProductionModel) else current.message
    )


def _history(newest: ProductionModel, store: VersionStore) -> str:
    """The newest records as a table, this one first."""
    rows = []
    for record in (newest, *islice(earlier_production(store, PRODUCTION, newest), _HISTORY_ROWS - 1)):
        if isinstance(record, ProductionModel):
            how = "rolled back" if record.is_rollback else "promoted"
            since = f"{datetime.fromisoformat(record.promoted_at):%Y-%m-%d %H:%M}"
            rows.append(
                (
                    since,
                    how,
                    f"{record.report.cosine.ap:.4f}",
                    record.run_id[:_SHORT_RUN_ID],
                    record.model.origin.source,
                )
            )
        else:
            rows.append(("?", record.reason, "?", "?", "?"))
    # The UI cuts a wide table off at the right.
    header = ("since (UTC)", "how", "AP", "run_id", "pairs")
    return "\n".join(markdown_lines(Table("Models that were in production", header, tuple(rows), texts=5)))
