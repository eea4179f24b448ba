"""Finds the model to use, with the decision that it carries: in production, of a run, in a folder or on the hub."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.store import VersionStore
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.base_model import download_model, resolve_base_model
from pipeline.models.decision import (
    DECISION_FILE_NAME,
    Decision,
    DecisionCalibration,
    Thresholds,
    decision_of_probability,
    read_decision,
)
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.models.options import BaseModelChoice
from pipeline.quality.production_record import UnreadableRecord, current_production
from pipeline.reporting.file_names import CALIBRATION_FILE_NAME
from pipeline.training.manifest import MANIFEST_NAME, read_manifest, verify_files

PRODUCTION_ASSET = "production_model"
TRAINED_ASSET = "fine_tuned_model"
PRODUCTION = "production"
"""The choice that stands for the model in production."""

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

    def require_decision(self) -> Decision:
        """The decision.

        Raises:
            PipelineError: when there is none.
        """
        if self.decision is None:
            raise PipelineError(
                f"the model {self.info.name} carries no {DECISION_FILE_NAME}, so nothing says from which cosine on "
                "questions are duplicates: use a model that was fine-tuned with a dev split, or give a threshold"
            )
        return self.decision


def find_model(choice: str, store: VersionStore) -> ChosenModel:
    """Find a model by what a person calls it.

    Args:
        choice: `production`, the id of the run that trained it, a model's folder or its run folder, a hub id, or
            `bundled`.

    Raises:
        PipelineError: when there is no such model, or it isn't what was written.
    """
    folder = Path(choice).expanduser()
    if choice in (PRODUCTION, PRODUCTION_ASSET):
        return _in_production(store)
    if choice and folder.is_dir():
        return _of_run_folder(folder) if (folder / MANIFEST_NAME).is_file() else _of_folder(choice, folder)
    if _RUN_ID.fullmatch(choice):
        model = store.read(TRAINED_ASSET, FineTunedModel, store.of_run(TRAINED_ASSET, choice))
        return _trained(model, f"the model of run {choice}")
    if choice.count("/") != 1 and choice != "bundled":
        raise PipelineError(f"there is no model {choice!r}: name `production`, {_CHOICES}")
    info = resolve_base_model(BaseModelChoice(model=choice))
    decision = read_decision(download_model(choice, info.revision)[0]) if info.kind == "hub" else None
    return ChosenModel(info, decision, f"{info.name}, version {info.version}")


def watched_assets(choice: str) -> tuple[str, ...]:
    """The assets whose newest value decides which model a choice stands for; none where it is always the same."""
    return (PRODUCTION_ASSET,) if choice in (PRODUCTION, PRODUCTION_ASSET) else ()


def _in_production(store: VersionStore) -> ChosenModel:
    current = current_production(store, PRODUCTION_ASSET)
    if current is None:
        raise PipelineError(
            f"nothing is in production in {store.home} yet: train a model with `python -m pipeline materialize`, or "
            f"name one: {_CHOICES}"
        )
    if isinstance(current, UnreadableRecord):
        raise PipelineError(f"{current.said}: materialise {PRODUCTION_ASSET} again, or name a model: {_CHOICES}")
    said = f"the model in production since {current.promoted_at}, trained by run {current.run_id[:8]}"
    chosen = _trained(current.model, said)
    if chosen.decision is None and (decision := _of_report(current.report)):
        return ChosenModel(chosen.info, decision, chosen.said, chosen.training)
    return chosen


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
        raise PipelineError(
            f"{folder / DECISION_FILE_NAME} belongs to model version {decision.model_version}, but the files there are "
            f"version {info.version}: use the folder as the training wrote it, or delete that file"
        )
    decision = decision or _probability_in(folder.absolute().parent, info.version)
    return ChosenModel(info, decision, f"{info.location}, version {info.version}")


def _probability_in(run_folder: Path, version: str) -> Decision | None:
    """What an earlier release wrote into the run folder when the model's report was made; None where there is none."""
    path = run_folder / CALIBRATION_FILE_NAME
    try:
        decision = decision_of_probability(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PipelineError(f"can't read {path} ({reason_of(error)}): measure the model again, or delete it") from error
    except PipelineError as error:
        raise PipelineError(f"{path} is {error.message}: measure the model again, or delete it") from error
    return decision if decision.model_version == version else None


def _of_report(report: EvaluationReport) -> Decision | None:
    """What a report of an earlier release, which chose thresholds itself, says of its model."""
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
