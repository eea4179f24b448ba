"""The model in production as an export, for who runs it without torch.

An asset that Dagster knows but can't materialise by itself, and a job that makes it: so neither *Materialize all* nor
`--select '*'` nor a retraining exports anything. An export that lost too much is refused: the one before stays.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipeline.compute.base import Compute
from pipeline.core.errors import PipelineError
from pipeline.core.store import VersionStore
from pipeline.exporting.options import ExportJobOptions, ParityLimits
from pipeline.exporting.parity import Verdict, judge
from pipeline.orchestration.after_promotion import launched_after_promotion
from pipeline.orchestration.asset_values import load_value, store_value, stored_pairs
from pipeline.orchestration.assets.common import OWNERS, finding_result, progress_into, readable
from pipeline.orchestration.assets.job_values import check_evaluation
from pipeline.orchestration.assets.production import GROUP
from pipeline.orchestration.executor import COMPUTE_POOL
from pipeline.orchestration.failures import one_line_failures
from pipeline.orchestration.step_config import StepConfig, run_config
from pipeline.orchestration.steps import EXPORTED, PRODUCTION
from pipeline.quality.findings import Finding
from pipeline.quality.production_record import ProductionModel, UnreadableRecord, current_production
from pipeline.question_pairs.schema import PairTable

if TYPE_CHECKING:
    from pipeline.exporting.export import Export, Source
    from pipeline.exporting.exported import ExportedModel
    from pipeline.models.info import ModelInfo

exported_model = dg.AssetSpec(
    EXPORTED,
    deps=[PRODUCTION, "dev_split", "eval_split"],
    group_name=GROUP,
    kinds={"onnx"},
    owners=OWNERS,
    code_version="1",
    description="The model in production as an ONNX graph with its tokenizer and its decision, for who runs it without "
    "torch. *Materialize all* leaves it out. **Next:** launch the job `export`; `precision: int8` makes a quicker one.",
)
PARITY = dg.AssetCheckSpec(
    "parity",
    asset=EXPORTED,
    blocking=True,
    description="On the eval questions, an fp32 export has the model's own embeddings, and an int8 one loses hardly "
    "any average precision. An export that doesn't is not taken up: the one before stays.",
)


class ExportConfig(ExportJobOptions, StepConfig):
    """How the model in production is exported, and what the export must hold."""


class ParityConfig(ParityLimits, StepConfig):
    """How far an export may be from the model that it was made from."""


@dg.op(out=dg.Out(dg.Nothing), pool=COMPUTE_POOL)
def export_production_model(
    context: dg.OpExecutionContext,
    config: ExportConfig,
    store: dg.ResourceParam[VersionStore],
    compute: dg.ResourceParam[Compute],
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """Export the model in production, hold the export against it, and take it up if it lost nothing that counts."""
    from pipeline.exporting.export import export_model

    with one_line_failures(), TemporaryDirectory(prefix="export-") as scratch:
        current = _in_production(store)
        source = _source(store, compute, current)
        folder = Path(scratch) / "export"
        made = export_model(source, config, config, folder, progress_into(context))
        if made.verdict.passed:
            yield _take_up(context, store, current, source.info, made, folder)
        # Yielded, as what a step has logged is lost when it fails.
        yield check_evaluation(_finding(made.verdict), EXPORTED, PARITY.name, blocking=True)
        if not made.verdict.passed:
            raise PipelineError(
                f"the {config.precision} export of {source.info.name} is not taken up: {made.verdict.said}; the one "
                "before stays"
            )


def _in_production(store: VersionStore) -> ProductionModel:
    current = current_production(store, PRODUCTION)
    if current is None:
        raise PipelineError("nothing is in production yet: materialise production_model first")
    if isinstance(current, UnreadableRecord):
        raise PipelineError(f"{current.said}: materialise production_model, with `run_id` to choose an earlier model")
    return current


def _source(store: VersionStore, compute: Compute, current: ProductionModel) -> "Source":
    """The model on this machine, with the pairs that its decision was chosen on and that it was measured on."""
    from pipeline.core.locations import remote_location
    from pipeline.duplicates.chosen_model import PRODUCTION as IN_PRODUCTION
    from pipeline.duplicates.chosen_model import find_model
    from pipeline.exporting.export import Source

    compute.verify(current.model)
    chosen = find_model(IN_PRODUCTION, store)
    if remote_location(chosen.info.location):
        chosen = chosen.at(compute.download(current.model))
    dev_version = chosen.decision.dev_version if chosen.decision else ""
    dev = _pairs(store, "dev_split", dev_version) if dev_version else None
    return Source(chosen.info, chosen.decision, dev, _pairs(store, "eval_split", current.report.eval_version))


def _pairs(store: VersionStore, side: str, version: str) -> PairTable:
    pairs = stored_pairs(store, side, version)
    if pairs is None:
        raise PipelineError(
            f"the {side} that the model in production was measured on (version {version}) is no longer stored, so "
            "nothing says what an export loses: promote a model of the current splits"
        )
    return pairs


def _take_up(
    context: dg.OpExecutionContext,
    store: VersionStore,
    current: ProductionModel,
    info: "ModelInfo",
    made: "Export",
    folder: Path,
) -> dg.AssetMaterialization:
    """Make an export the current one."""
    from pipeline.exporting.exported import ExportedModel, store_files

    value = ExportedModel(
        record=made.record,
        model=current.model.model,
        parity=made.parity,
        eval_version=current.report.eval_version,
        folder=f"{EXPORTED}/{made.record.identity}",
    )
    store_files(store, value.folder, folder, made.record)
    pointer = store_value(store, EXPORTED, value, context.run_id)
    return dg.AssetMaterialization(
        EXPORTED,
        metadata={
            **readable(_metadata(made)),
            "model": dg.MetadataValue.path(info.location),
            "model_version": info.version,
            "trained_by": dg.MetadataValue.dagster_run(current.run_id),
            "synthetic": current.model.origin.synthetic,
            "dagster/uri": str(store.folder(EXPORTED) / pointer.file),
        },
        tags={"dagster/data_version": value.data_version},
    )


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


def _finding(verdict: Verdict) -> Finding:
    return Finding(verdict.passed, verdict.value, verdict.threshold, verdict.said)


@dg.job(
    name="export",
    tags={"purpose": "export", "owner": OWNERS[0]},
    config=run_config({"export_production_model": ExportJobOptions()}),
)
def export_job() -> None:
    """Export the model in production as an ONNX graph, fp32 or int8, and hold the export against it."""
    export_production_model()


@dg.multi_asset_check(name="exported_checks", specs=[PARITY])
def exported_checks(
    context: dg.AssetCheckExecutionContext,
    config: ParityConfig,
    store: dg.ResourceParam[VersionStore],
    compute: dg.ResourceParam[Compute],
) -> Iterator[dg.AssetCheckResult]:
    """Hold the export that is current against the model that it was made from once more, on the same eval pairs."""
    from pipeline.core.locations import remote_location
    from pipeline.exporting.export import compare_with_model
    from pipeline.exporting.exported import export_folder
    from pipeline.exporting.onnx_model import OnnxEncoder

    with one_line_failures():
        value: ExportedModel = load_value(store, EXPORTED)
        info = value.model
        if remote_location(info.location):
            info = compute.download(_in_production(store).model).model
        encoder = OnnxEncoder(export_folder(store, value))
        pairs = _pairs(store, "eval_split", value.eval_version)
        parity = compare_with_model(encoder, info, pairs, progress_into(context))
    yield finding_result(_finding(judge(parity, value.record.precision, config)), EXPORTED, PARITY.name)


export_after_promotion = launched_after_promotion("export_after_promotion", export_job, "Exports anew")
