"""What ops leave that make assets of their own job: a stored value with its tables, and what was found of it."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from pipeline.core.store import VersionStore
from pipeline.core.values import StoredValue
from pipeline.orchestration.asset_values import store_value
from pipeline.orchestration.assets.common import readable
from pipeline.quality.findings import Finding


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


def report_check(
    context: dg.OpExecutionContext, asset: str, name: str, finding: Finding, is_warning: bool = True
) -> None:
    """Tell Dagster what was found, as a check of the asset."""
    metadata: dict[str, Any] = {"threshold": finding.threshold}
    if finding.value is not None:
        metadata["value"] = finding.value
    found = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset),
        check_name=name,
        passed=finding.passed,
        metadata=readable(metadata),
        severity=dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR,
        description=finding.said,
    )
    # It takes such an event, though its annotation doesn't say so.
    context.log_event(found)  # type: ignore[arg-type]
