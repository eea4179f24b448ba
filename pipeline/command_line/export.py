"""`python -m pipeline export`: writes a model as an ONNX graph, and measures what it loses."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from pipeline.command_line.terminal import live_progress, say
from pipeline.command_line.use_model import local_model
from pipeline.core.errors import ModelError, SettingError
from pipeline.exporting.options import ExportOptions, ExportPrecision, ParityLimits

if TYPE_CHECKING:
    from pipeline.duplicates.chosen_model import ChosenModel
    from pipeline.exporting.export import Export
    from pipeline.question_pairs.schema import PairTable

_FORMATS: dict[str, ExportPrecision] = {"onnx": "fp32", "onnx-int8": "int8"}
_LIMITS = ParityLimits()


@click.command("export")
@click.argument("format_name", metavar="FORMAT", type=click.Choice(list(_FORMATS)))
@click.option(
    "--model",
    "choice",
    default="production",
    show_default=True,
    help="`production`, the id of the run that trained it, a model's folder, a Hugging Face id, or `bundled`.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The folder to write. An earlier export in it is replaced.",
)
@click.option(
    "--pairs",
    "source",
    metavar="FILE",
    help="Labelled pairs to evaluate the export on. [default: the model's eval split, or its dev split, if stored]",
)
@click.option(
    "--max-ap-loss",
    type=click.FloatRange(0, 1),
    default=_LIMITS.max_ap_loss,
    show_default=True,
    help="Maximum loss of average precision of an int8 export.",
)
def export_command(format_name: str, choice: str, out: Path, source: str | None, max_ap_loss: float) -> None:
    """Write a model as an ONNX graph that needs no torch: `onnx` (fp32), or `onnx-int8`, which is faster.

    Pooling and normalisation are in the graph. `compare`, `search` and `mine` accept the folder as --model.

    \b
    python -m pipeline export onnx --out exported
    python -m pipeline export onnx-int8 --out exported-int8
    """
    out = out.expanduser()
    with live_progress(Console(stderr=True)) as progress:
        from pipeline.duplicates.chosen_model import ChosenExport
        from pipeline.exporting.export import ExportSource, export_model, require_free

        require_free(out)
        chosen = local_model(choice)
        if isinstance(chosen, ChosenExport):
            raise SettingError(f"{choice} is already an export: name the model that it was exported from", model=choice)
        dev, compared, where = _pairs(chosen, choice, source)
        made = export_model(
            ExportSource(chosen.info, chosen.decision, dev, compared),
            ExportOptions(precision=_FORMATS[format_name]),
            ParityLimits(max_ap_loss=max_ap_loss),
            out,
            progress,
        )
    if not made.check.passed:
        raise ModelError(f"{out} is not written: {made.check.message}", path=out)
    for name, text in _lines(made, out, where):
        say(Console(), f"{name:<8} {text}")
    say(Console(), f"Model    {chosen.said}")


def _pairs(chosen: "ChosenModel", choice: str, source: str | None) -> "tuple[PairTable | None, PairTable | None, str]":
    """The dev pairs, the pairs to evaluate on, and the name of the latter."""
    from pipeline.core.store import VersionStore
    from pipeline.duplicates.chosen_model import PRODUCTION, PRODUCTION_ASSET
    from pipeline.orchestration.asset_values import stored_pairs
    from pipeline.quality.production_record import ProductionModel, current_production
    from pipeline.question_pairs.options import PairSource
    from pipeline.question_pairs.sources import load_pairs
    from pipeline.settings import environment

    store = VersionStore(environment.home())
    version = chosen.decision.dev_version if chosen.decision else ""
    dev = stored_pairs(store, "dev_split", version) if version else None
    if source:
        return dev, load_pairs(PairSource(source="file", path=source)), source
    if choice in (PRODUCTION, PRODUCTION_ASSET):
        record = current_production(store, PRODUCTION_ASSET)
        if isinstance(record, ProductionModel):
            evaluation = stored_pairs(store, "eval_split", record.report.eval_version)
            if evaluation is not None:
                return dev, evaluation, "the eval split"
    return dev, dev, "the dev split"


def _lines(made: "Export", out: Path, where: str) -> list[tuple[str, str]]:
    parity, decision = made.parity, made.decision
    lines = [
        ("Export", f"{out}: {made.record.precision}, {made.size / 1e6:,.1f} MB, {made.record.dimensions:,} dimensions"),
        (
            "Cosine",
            f"to the model's embeddings at least {parity.min_cosine:.6f}, mean {parity.mean_cosine:.6f}, "
            f"over {parity.questions:,} questions" + ("" if parity.pairs else " made for this check"),
        ),
    ]
    if parity.ap_loss is None:
        lines.append(("AP", "not measured, as no labelled pairs of this model are stored: name some with --pairs"))
    else:
        both = f"{parity.ap_of_export:.4f}, the model's {parity.ap_of_model:.4f}"
        lines.append(("AP", f"{both}, on {parity.pairs:,} pairs of {where}"))
    if decision:
        chosen_on = f"{decision.dev_pairs:,} dev pairs"
        whose = "its own, chosen on" if made.record.precision != "fp32" else "the model's, chosen on"
        lines.append(("Decision", f"threshold {decision.threshold:.4f}: {whose} {chosen_on}"))
    else:
        lines.append(("Decision", "none, as the model has none, or the dev pairs to choose one on are not stored"))
    return lines
