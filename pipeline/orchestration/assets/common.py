"""What all asset modules share: progress in Dagster's log, findings as check results, metadata of a table."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pyarrow as pa

from pipeline.core.errors import excerpt
from pipeline.core.foreign_text import shortened
from pipeline.core.progress import LogLines, OnProgress, TrainingSignal, both, progress_file_sink
from pipeline.core.tables import Table, markdown_lines
from pipeline.models.info import ModelInfo
from pipeline.quality.rules import Finding
from pipeline.question_pairs.schema import PAIR_SCHEMA, PairTable

OWNERS = ["team:embeddings"]
_TYPE_NAMES = {pa.large_string(): "string", pa.bool_(): "bool"}
_PREVIEW_ROWS = 8
_PREVIEW_WIDTH = 120
_SMALL = 0.001
"""Below this, four decimals would round a norm's error or a price to nothing."""


def progress_into(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext | dg.OpExecutionContext,
) -> OnProgress:
    """A sink for progress: bounded log lines in Dagster, all events to the command line that follows the run."""
    return both(LogLines(context.log.info), progress_file_sink())


def training_progress_into(context: dg.AssetExecutionContext) -> OnProgress:
    """As `progress_into`, and a live signal in the asset's plots: at most 40 observations, so that they don't bury its
    materialisations. The whole curve is in the metadata of the model."""

    def observe(numbers: dict[str, float]) -> None:
        context.log_event(dg.AssetObservation(context.asset_key, metadata=readable(numbers)))

    return both(progress_into(context), TrainingSignal(observe))


def readable(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata with floats of four decimals, or four digits if they are below 0.001: short to read, and still numbers
    that the UI plots."""
    return {key: _rounded(value) if isinstance(value, float) else value for key, value in metadata.items()}


def _rounded(number: float) -> float:
    return round(number, 4) if abs(number) >= _SMALL else float(f"{number:.4g}")


def finding_result(finding: Finding, asset: str, name: str, is_warning: bool = False) -> dg.AssetCheckResult:
    """A finding as a check result, with its value and threshold as numbers that Dagster plots."""
    metadata: dict[str, Any] = {"threshold": finding.threshold}
    if finding.value is not None:
        metadata["value"] = finding.value
    return dg.AssetCheckResult(
        passed=finding.passed,
        asset_key=asset,
        check_name=name,
        severity=dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR,
        description=finding.message,
        metadata=readable(metadata),
    )


def properties_metadata(model: ModelInfo) -> dict[str, Any]:
    """How a model makes embeddings, with remarks; empty for a model that wasn't inspected."""
    if (properties := model.properties) is None:
        return {}
    return {
        "modules": " → ".join(properties.modules),
        "dimensions": properties.dimensions,
        "max_seq_length": "no limit" if properties.max_seq_length is None else properties.max_seq_length,
        "unit_length": properties.unit_length,
        "prompt": excerpt(properties.prompt) if properties.prompt else "none",
        "similarity": properties.similarity,
        **(
            {"remarks": dg.MetadataValue.md("\n".join(f"- {remark}" for remark in properties.remarks))}
            if properties.remarks
            else {}
        ),
    }


def table_metadata(table: PairTable) -> dict[str, Any]:
    """Row count, schema, positive rate, source and a preview, under the keys that Dagster's UI knows."""
    return {
        "dagster/row_count": len(table),
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(
                    field.name,
                    type=_TYPE_NAMES.get(field.type, str(field.type)),
                    description=field.metadata[b"description"].decode(),
                )
                for field in PAIR_SCHEMA
            ]
        ),
        "positive_rate": table.positive_rate if len(table) else 0.0,
        "mean_question_length": table.mean_question_length,
        "source": table.origin.source,
        "synthetic": table.origin.synthetic,
        "preview": dg.MetadataValue.md(_preview(table)),
    }


def _preview(table: PairTable) -> str:
    rows = table.pairs.head(_PREVIEW_ROWS)
    cells = tuple(
        (shortened(first, _PREVIEW_WIDTH), shortened(second, _PREVIEW_WIDTH), "yes" if duplicate else "no")
        for first, second, duplicate in zip(rows["question1"], rows["question2"], rows["is_duplicate"], strict=True)
    )
    return "\n".join(markdown_lines(Table("The first pairs", ("question1", "question2", "duplicate"), cells, texts=3)))
