"""What ops leave that make assets of their own job: a stored value with its tables, and what was found of it."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from pipeline.core.store import VersionStore
from pipeline.core.values import StoredValue
from pipeline.orchestration.asset_values import store_value
from pipeline.orchestration.assets.common import finding_result, readable
from pipeline.quality.rules import Finding


def keep_value(
    context: dg.OpExecutionContext,
    store: VersionStore,
    asset: str,
    value: StoredValue,
    metadata: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Store a value and its tables, make it the asset's current one, and tell Dagster of it."""
    from pipeline.duplicates.stored import write_files

    write_files(store, asset, value.data_version, files or {})
    pointer = store_value(store, asset, value, context.run_id)
    context.log_event(
        dg.AssetMaterialization(
            asset,
            metadata={**readable(metadata), "dagster/uri": str(store.folder(asset) / pointer.file)},
            tags={"dagster/data_version": value.data_version},
        )
    )


def check_evaluation(
    finding: Finding, asset: str, name: str, is_warning: bool = False, blocking: bool = False
) -> dg.AssetCheckEvaluation:
    """What was found, as an op tells of it; see `finding_result`."""
    result = finding_result(finding, asset, name, is_warning)
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset),
        check_name=name,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=finding.message,
        blocking=blocking,
    )


def report_check(context: dg.OpExecutionContext, asset: str, name: str, finding: Finding) -> None:
    """Tell Dagster what was found, as a check of the asset that only warns."""
    # It takes such an event, though its annotation doesn't say so.
    context.log_event(check_evaluation(finding, asset, name, is_warning=True))  # type: ignore[arg-type]
