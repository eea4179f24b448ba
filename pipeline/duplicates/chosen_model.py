"""Find the model to use and its decision: the one in production, of a run, in a folder or on the hub."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import (
    DamagedError,
    MismatchError,
    ModelError,
    NotFoundError,
    PipelineError,
    SettingError,
    reason_of,
)
from pipeline.core.store import VersionStore
from pipeline.evaluation.report import EvaluationReport
from pipeline.exporting.exported import ExportedModel, export_folder
from pipeline.exporting.record import is_export, read_record, require_intact
from pipeline.models.base_model import download_model, resolve_base_model
from pipeline.models.decision import (
    CALIBRATION_FILE_NAME,
    DECISION_FILE_NAME,
    Decision,
    DecisionCalibration,
    Thresholds,
    decision_of_probability,
    read_decision,
)
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.models.options import BaseModelChoice, Device
from pipeline.quality.production_record import UnreadableRecord, current_production
from pipeline.training.manifest import MANIFEST_NAME, read_manifest, verify_files
from pipeline.vectors.encoder import Encoder, TextEncoder

PRODUCTION_ASSET = "production_model"
TRAINED_ASSET = "fine_tuned_model"
EXPORTED_ASSET = "exported_model"
PRODUCTION = "production"
"""The choice that stands for the model in production."""

EXPORTED = "exported"
"""The choice that stands for the newest export of it that the job `export` has made."""

_RUN_ID = re.compile(r"[0-9a-f-]{8,36}")
_CHOICES = "a run id, a folder, a hub id or `bundled`"


@dataclass(frozen=True)
class ChosenModel:
    """A model to use.

    Attributes:
        decision: None for a model that carries none, such as a base model.
        said: which one it is, in one line.
        training: how it was made; None for a model that isn't from a run folder or a record.
    """

    info: ModelInfo
    decision: Decision | None
    said: str
    training: FineTunedModel | None = None

    def at(self, training: FineTunedModel) -> "ChosenModel":
        """The same model where it was brought to."""
        return ChosenModel(training.model, self.decision, self.said, training)

    def encoder(self, device: Device = "auto") -> TextEncoder:
        """An encoder of this model."""
        return Encoder(self.info, device)

    def require_decision(self) -> Decision:
        """The decision.

        Raises:
            PipelineError: when there is none.
        """
        if self.decision is None:
            raise ModelError(
                f"the model {self.info.name} has no {DECISION_FILE_NAME}, so it has no threshold: use a model that was "
                "fine-tuned with a dev split, or give a threshold",
                model=self.info.name,
            )
        return self.decision


@dataclass(frozen=True)
class ChosenExport(ChosenModel):
    """An exported model to use. Its `info.version` is that of its vectors: an int8 export's are not the model's own.

    Attributes:
        folder: of the export.
    """

    folder: Path = Path()

    def encoder(self, device: Device = "auto") -> TextEncoder:
        """An encoder of this export.

        Raises:
            PipelineError: for another device than the CPU, and for an export that is damaged.
        """
        if device not in ("auto", "cpu"):
            raise SettingError(
                f"an export runs on the CPU, not on {device}: leave the device out, or use the model", device=device
            )
        from pipeline.exporting.onnx_model import OnnxEncoder

        return OnnxEncoder(self.folder)


def find_model(choice: str, store: VersionStore) -> ChosenModel:
    """Find a model by its name.

    Args:
        choice: `production`, `exported`, the id of the run that trained it, a model's folder, its run folder or that
            of an export, a hub id, or `bundled`.

    Raises:
        PipelineError: when there is no such model, or it isn't what was written.
    """
    folder = Path(choice).expanduser()
    if choice in (PRODUCTION, PRODUCTION_ASSET):
        return _in_production(store)
    if choice == EXPORTED:
        return _newest_export(store)
    if choice and folder.is_dir():
        if is_export(folder):
            require_intact(folder, read_record(folder))
            return _of_export(folder.absolute(), f"the export {folder}")
        return _of_run_folder(folder) if (folder / MANIFEST_NAME).is_file() else _of_folder(choice, folder)
    if _RUN_ID.fullmatch(choice):
        model = store.read(TRAINED_ASSET, FineTunedModel, store.of_run(TRAINED_ASSET, choice))
        return _trained(model, f"the model of run {choice}")
    if choice.count("/") != 1 and choice != "bundled":
        raise NotFoundError(f"there is no model {choice!r}: name `production`, {_CHOICES}", model=choice)
    info = resolve_base_model(BaseModelChoice(model=choice))
    decision = read_decision(download_model(choice, info.revision)[0]) if info.kind == "hub" else None
    return ChosenModel(info, decision, f"{info.name}, version {info.version}")


def watched_assets(choice: str) -> tuple[str, ...]:
    """The assets whose newest value decides which model a choice means; none if it never changes."""
    if choice in (PRODUCTION, PRODUCTION_ASSET):
        return (PRODUCTION_ASSET,)
    return (EXPORTED_ASSET,) if choice == EXPORTED else ()


def _in_production(store: VersionStore) -> ChosenModel:
    current = current_production(store, PRODUCTION_ASSET)
    if current is None:
        raise NotFoundError(
            f"nothing is in production in {store.home} yet: train a model with `python -m pipeline materialize`, or "
            f"name one: {_CHOICES}",
            home=str(store.home),
        )
    if isinstance(current, UnreadableRecord):
        raise DamagedError(
            f"{current.message}: rematerialize {PRODUCTION_ASSET}, or name a model: {_CHOICES}", asset=PRODUCTION_ASSET
        )
    said = f"the model in production since {current.promoted_at}, trained by run {current.run_id[:8]}"
    chosen = _trained(current.model, said)
    if chosen.decision is None and (decision := _of_report(current.report)):
        return ChosenModel(chosen.info, decision, chosen.said, chosen.training)
    return chosen


def _newest_export(store: VersionStore) -> ChosenModel:
    if not store.has(EXPORTED_ASSET):
        raise NotFoundError(
            f"nothing is exported in {store.home} yet: launch the job `export`, or name {_CHOICES}",
            home=str(store.home),
        )
    value = store.read(EXPORTED_ASSET, ExportedModel, store.resolve(EXPORTED_ASSET))
    return _of_export(export_folder(store, value), "the newest export")


def _of_export(folder: Path, said: str) -> ChosenExport:
    """The export in a folder whose files were verified."""
    record = read_record(folder)
    info = ModelInfo(kind="folder", name=record.model_name, location=str(folder), version=record.vectors_version)
    said = f"{said}: {record.model_name}, version {record.model_version}, {record.precision}"
    return ChosenExport(info, read_decision(folder), said, folder=folder)


def _of_run_folder(folder: Path) -> ChosenModel:
    manifest = read_manifest(folder.absolute())
    verify_files(folder, manifest)
    return _trained(manifest.result, f"the model of {folder.absolute().name}")


def _trained(model: FineTunedModel, said: str) -> ChosenModel:
    decision = model.decision or _probability_in(Path(model.run_folder), model.model.version)
    return ChosenModel(model.model, decision, f"{said}: {model.model.name}, version {model.model.version}", model)


def _of_folder(choice: str, folder: Path) -> ChosenModel:
    info = resolve_base_model(BaseModelChoice(model=choice))
    decision = read_decision(folder)
    if decision and decision.model_version != info.version:
        raise MismatchError(
            f"{folder / DECISION_FILE_NAME} belongs to model version {decision.model_version}, but the files there are "
            f"version {info.version}: use the folder as the training wrote it, or delete that file",
            path=folder / DECISION_FILE_NAME,
            version=decision.model_version,
            expected=info.version,
        )
    decision = decision or _probability_in(folder.absolute().parent, info.version)
    return ChosenModel(info, decision, f"{info.location}, version {info.version}")


def _probability_in(run_folder: Path, version: str) -> Decision | None:
    """The decision that an earlier release wrote into the run folder with the model's report; None if there is none."""
    path = run_folder / CALIBRATION_FILE_NAME
    try:
        decision = decision_of_probability(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DamagedError(
            f"can't read {path} ({reason_of(error)}): measure the model again, or delete it", path=path
        ) from error
    except PipelineError as error:
        raise DamagedError(f"{path} is {error.message}: measure the model again, or delete it", path=path) from error
    return decision if decision.model_version == version else None


def _of_report(report: EvaluationReport) -> Decision | None:
    """The decision in a report of an earlier release, which chose its own thresholds."""
    if report.calibration is None or report.threshold_kind != "dev" or not 0 < report.positive_rate < 1:
        return None
    calibration = report.calibration
    return Decision(
        model_version=report.model.version,
        dev_version=report.dev_version,
        dev_pairs=calibration.fitted_on,
        thresholds={
            name: Thresholds(accuracy=metrics.accuracy_threshold, f1=metrics.f1_threshold)
            for name, metrics in report.operating.items()
        },
        calibration=DecisionCalibration(
            slope=calibration.slope,
            intercept=calibration.intercept,
            fitted_on=calibration.fitted_on,
            # Of the eval split: that of the dev split isn't on record, and both come from the same pairs.
            positive_rate=report.positive_rate,
        ),
        curve=[],
    )
