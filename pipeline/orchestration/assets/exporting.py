"""The model in production as an ONNX export, made by the job `export`.

An export that lost too much is refused: the one before stays.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipeline.compute.base import Compute
from pipeline.core.errors import ModelError, NotFoundError
from pipeline.core.store import VersionStore
from pipeline.exporting.exported import ExportedModel
from pipeline.exporting.options import ExportJobOptions, ParityLimits
from pipeline.exporting.parity import ParityCheck, check_parity
from pipeline.orchestration.asset_values import load_value, stored_pairs
from pipeline.orchestration.assets.common import OWNERS, finding_result, progress_into, readable
from pipeline.orchestration.assets.on_request import is_left_out
from pipeline.orchestration.assets.production import GROUP, in_production
from pipeline.orchestration.execution import COMPUTE_POOL
from pipeline.orchestration.failures import one_line_failures
from pipeline.orchestration.step_config import StepConfig
from pipeline.orchestration.steps import EXPORTED, PRODUCTION
from pipeline.quality.production_record import ProductionModel
from pipeline.quality.rules import Finding
from pipeline.question_pairs.schema import PairTable

if TYPE_CHECKING:
    from pipeline.exporting.export import Export, ExportSource

JOB = "export"
_PARITY = "parity"


class ExportConfig(ExportJobOptions, StepConfig):
    """How the model in production is exported, and what the export must hold."""


@dg.multi_asset(
    name="export_production_model",
    outs={
        EXPORTED: dg.AssetOut(
            is_required=False,
            group_name=GROUP,
            kinds={"onnx"},
            owners=OWNERS,
            code_version="1",
            description="The model in production as an ONNX graph with its tokenizer and its decision, to run without "
            "torch. *Materialize all* leaves it out. **Next:** launch the job `export`; `precision: int8` makes a "
            "faster one.",
            dagster_type=dg.Any,
        )
    },
    check_specs=[
        dg.AssetCheckSpec(
            _PARITY,
            asset=EXPORTED,
            blocking=True,
            description="On the eval questions, an fp32 export gives the model's own embeddings, and an int8 export "
            "loses hardly any average precision. An export that fails is refused: the one before stays.",
        )
    ],
    deps=[PRODUCTION, "dev_split", "eval_split"],
    can_subset=True,
    pool=COMPUTE_POOL,
)
def export_production_model(
    context: dg.AssetExecutionContext,
    config: ExportConfig,
    store: dg.ResourceParam[VersionStore],
    compute: dg.ResourceParam[Compute],
) -> Iterator[dg.MaterializeResult[ExportedModel] | dg.AssetCheckResult]:
    """Export the model in production, and compare the export with it; or check the current export again."""
    if is_left_out(context, JOB):
        return
    with one_line_failures():
        if dg.AssetKey(EXPORTED) in context.selected_asset_keys:
            yield from _export(context, config, store, compute)
        else:
            check = _check_current(context, config, store, compute)
            yield finding_result(_finding(check), EXPORTED, _PARITY)


def _export(
    context: dg.AssetExecutionContext, config: ExportConfig, store: VersionStore, compute: Compute
) -> Iterator[dg.MaterializeResult[ExportedModel] | dg.AssetCheckResult]:
    from pipeline.exporting.export import export_model
    from pipeline.exporting.exported import store_files

    with TemporaryDirectory(prefix="export-") as scratch:
        current = in_production(store)
        source = _source(store, compute, current)
        folder = Path(scratch) / "export"
        made = export_model(source, config, config, folder, progress_into(context))
        if made.check.passed:
            value = _value(current, made)
            store_files(store, value.folder, folder, made.record)
            yield dg.MaterializeResult(
                asset_key=EXPORTED,
                value=value,
                data_version=dg.DataVersion(value.data_version),
                metadata={
                    **readable(_metadata(made)),
                    "model": dg.MetadataValue.path(source.info.location),
                    "model_version": source.info.version,
                    "trained_by": dg.MetadataValue.dagster_run(current.run_id),
                    "synthetic": current.model.origin.synthetic,
                },
            )
        yield finding_result(_finding(made.check), EXPORTED, _PARITY)
        if not made.check.passed:
            raise ModelError(
                f"the {config.precision} export of {source.info.name} is refused: {made.check.message}; the one before "
                "stays",
                precision=config.precision,
                model=source.info.name,
                check=made.check.message,
            )


def _value(current: ProductionModel, made: "Export") -> ExportedModel:
    return ExportedModel(
        record=made.record,
        model=current.model.model,
        parity=made.parity,
        eval_version=current.report.eval_version,
        folder=f"{EXPORTED}/{made.record.identity}",
    )


def _check_current(
    context: dg.AssetExecutionContext, limits: ParityLimits, store: VersionStore, compute: Compute
) -> ParityCheck:
    """Compare the current export with its model once more, on the same eval pairs."""
    from pipeline.core.locations import remote_location
    from pipeline.exporting.export import compare_with_model
    from pipeline.exporting.exported import export_folder
    from pipeline.exporting.onnx_model import OnnxEncoder

    value: ExportedModel = load_value(store, EXPORTED)
    info = value.model
    if remote_location(info.location):
        info = compute.download(in_production(store).model).model
    pairs = _pairs(store, "eval_split", value.eval_version)
    parity = compare_with_model(OnnxEncoder(export_folder(store, value)), info, pairs, progress_into(context))
    return check_parity(parity, value.record.precision, limits)


def _source(store: VersionStore, compute: Compute, current: ProductionModel) -> "ExportSource":
    """The model on this machine, with the pairs that its decision was chosen on and that it was measured on."""
    from pipeline.core.locations import remote_location
    from pipeline.duplicates.chosen_model import PRODUCTION as IN_PRODUCTION
    from pipeline.duplicates.chosen_model import find_model
    from pipeline.exporting.export import ExportSource

    compute.verify(current.model)
    chosen = find_model(IN_PRODUCTION, store)
    if remote_location(chosen.info.location):
        chosen = chosen.at(compute.download(current.model))
    dev_version = chosen.decision.dev_version if chosen.decision else ""
    dev = _pairs(store, "dev_split", dev_version) if dev_version else None
    return ExportSource(chosen.info, chosen.decision, dev, _pairs(store, "eval_split", current.report.eval_version))


def _pairs(store: VersionStore, side: str, version: str) -> PairTable:
    pairs = stored_pairs(store, side, version)
    if pairs is None:
        raise NotFoundError(
            f"the {side} that the model in production was measured on (version {version}) is no longer stored, so "
            "nothing says what an export loses: promote a model of the current splits",
            asset=side,
            version=version,
        )
    return pairs


def _metadata(made: "Export") -> dict[str, Any]:
    parity, decision = made.parity, made.decision
    figures = {
        "precision": made.record.precision,
        "dimensions": made.record.dimensions,
        "bytes": made.size,
        "min_cosine": parity.min_cosine,
        "mean_cosine": parity.mean_cosine,
        "cosine_ap": parity.ap_of_export,
        "cosine_ap_of_model": parity.ap_of_model,
        "cosine_ap_loss": parity.ap_loss,
        "threshold": decision.threshold if decision else None,
    }
    return {name: value for name, value in figures.items() if value is not None}


def _finding(check: ParityCheck) -> Finding:
    return Finding(check.passed, check.value, check.threshold, check.message)
