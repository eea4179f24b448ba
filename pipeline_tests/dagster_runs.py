"""Runs of the project's own assets and checks in this process, with a home folder of the test's own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from pipeline.definitions import defs
from pipeline.orchestration.assets import dataset, exporting, mining, model, production, publishing, reports
from pipeline.orchestration.checks import CHECKS
from pipeline.orchestration.resources import ComputeResource, ReportHistory, StoreResource, VersionedIOManager
from pipeline.orchestration.steps import load_settings, steps_of

ASSETS = [
    asset
    for asset in dg.load_assets_from_modules([dataset, model, reports, production])
    if isinstance(asset, dg.AssetsDefinition)
]
EVERYTHING = dg.AssetSelection.all()

ON_REQUEST = [*mining.ASSETS, exporting.export_production_model, publishing.publish_production_model]
"""What jobs of their own make."""

Config = dict[str, dict[str, Any]]
"""Settings by step."""


def resources_of(home: Path) -> dict[str, Any]:
    """The resources with a home folder of the test's own."""
    return {
        "io_manager": VersionedIOManager(home=str(home)),
        "store": StoreResource(home=str(home)),
        "compute": ComputeResource(kind="local", runs_folder=str(home / "runs")),
        "report_history": ReportHistory(home=str(home)),
    }


def write_run_config(path: Path, config: Config) -> Path:
    """Write a file for `--config`; returns its path."""
    path.write_text(json.dumps({"ops": {step: {"config": settings} for step, settings in config.items()}}))
    return path


def run(
    home: Path,
    config: Path | None,
    instance: dg.DagsterInstance,
    selection: dg.AssetSelection = EVERYTHING,
    overrides: tuple[str, ...] = (),
    raise_on_error: bool = True,
    resources: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialise a selection of the assets, and evaluate their checks."""
    keys = {key.to_user_string() for key in selection.resolve(ASSETS)}
    return dg.materialize(
        [*ASSETS, *CHECKS],
        selection=selection,
        instance=instance,
        run_config=load_settings(config, overrides).run_config(steps_of(keys)),
        resources={**resources_of(home), **(resources or {})},
        raise_on_error=raise_on_error,
        tags=tags,
    )


def run_job(
    name: str,
    home: Path,
    instance: dg.DagsterInstance,
    config: Config,
    raise_on_error: bool = True,
    selection: dg.AssetSelection | None = None,
) -> dg.ExecuteInProcessResult:
    """Run a job of assets that are made on request.

    Args:
        config: in place of the job's own, as the Launchpad sends it.
        selection: some assets or checks of it; None for all.
    """
    return dg.materialize(
        [*ASSETS, *ON_REQUEST],
        selection=selection or dg.AssetSelection.assets(*defs.resolve_job_def(name).asset_layer.selected_asset_keys),
        instance=instance,
        run_config={"ops": {step: {"config": settings} for step, settings in config.items()}},
        resources=resources_of(home),
        raise_on_error=raise_on_error,
    )


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """The metadata of an asset's materialisation in a run."""
    (event,) = result.asset_materializations_for_node(asset)
    return {key: value.value for key, value in event.metadata.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """What each check found, by asset and name."""
    return {
        (found.asset_key.to_user_string(), found.check_name): found for found in result.get_asset_check_evaluations()
    }


def failures(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Why steps failed, by step."""
    said = {}
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            said[str(event.step_key)] = (
                (data.user_failure_data.description if data.user_failure_data else None)
                or (data.error.message if data.error else None)
                or ""
            )
    return said
