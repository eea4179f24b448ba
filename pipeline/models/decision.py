"""The decision of a fine-tuned model: the minimum cosine of duplicates, their probability, and the precision of
thresholds, all chosen on the dev split at the end of the training.

It is stored in `decision.json` next to the weights. It is not part of the model's version, because it changes no
embedding.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from pipeline.core.errors import DamagedError, ModelError, PipelineError, SettingError, reason_of
from pipeline.core.files import json_text, write_text
from pipeline.core.values import FrozenModel, Stored

DECISION_FILE_NAME = "decision.json"

CALIBRATION_FILE_NAME = "duplicate_probability.json"
"""In the run folder of a model that an earlier release trained, which has no `decision.json`."""
FORMULA = "probability = 1 / (1 + exp(-(slope * cosine + intercept)))"
_CERTAIN = 1e-9
"""Probabilities stay this far from 0 and 1, so that their odds are finite."""


class Thresholds(FrozenModel):
    """Where one similarity calls a pair duplicates, in the unit of that similarity.

    Attributes:
        accuracy: of the best accuracy.
        f1: of the best F1.
    """

    accuracy: float
    f1: float


class DecisionCalibration(FrozenModel):
    """Platt's calibration of cosine.

    Attributes:
        formula: for people and other programs.
        fitted_on: pairs that it was fitted on.
        positive_rate: share of duplicates among them. It is the prior that the probability assumes.
    """

    slope: float
    intercept: float
    formula: str = FORMULA
    fitted_on: int
    positive_rate: float = Field(gt=0, lt=1)

    def probability(self, cosine: np.ndarray, prior: float | None = None) -> np.ndarray:
        """The probability that pairs are duplicates: float64 of the shape of `cosine`.

        Args:
            prior: share of duplicates among the pairs; None for that of the dev split.
                The odds change by the ratio of the two priors' odds (Saerens, Latinne and Decaestecker, "Adjusting
                the outputs of a classifier to new a priori probabilities", Neural Computation 14, 2002).
        """
        return sigmoid(self.slope * cosine.astype(np.float64) + self.intercept + self._shift(prior))

    def cosine_of(self, probability: float, prior: float | None = None) -> float:
        """The cosine at which a pair has this probability; infinite if none has.

        Raises:
            PipelineError: when the probability doesn't grow with cosine.
        """
        if self.slope <= 0:
            raise ModelError(
                "the model's probability doesn't grow with cosine: it can't tell duplicates from others; use another "
                "model",
                slope=self.slope,
            )
        bounded = min(max(probability, _CERTAIN), 1 - _CERTAIN)
        return (log_odds(bounded) - self.intercept - self._shift(prior)) / self.slope

    def _shift(self, prior: float | None) -> float:
        return 0.0 if prior is None else log_odds(prior) - log_odds(self.positive_rate)


class OperatingPoint(FrozenModel):
    """The effect of a cosine threshold on the dev split.

    Attributes:
        threshold: pairs at or above it are called duplicates.
        recall: share of the duplicates that are called duplicates.
        false_alarms: share of the other pairs that are called duplicates.
        called: how many pairs are called duplicates.
    """

    threshold: float
    recall: float
    false_alarms: float
    called: int

    def precision(self, prior: float) -> float:
        """Precision of the threshold if `prior` is the share of duplicates among all pairs."""
        right, wrong = self.recall * prior, self.false_alarms * (1 - prior)
        return right / (right + wrong) if right + wrong else 1.0


class Decision(Stored):
    """The content of `decision.json`.

    Attributes:
        model_version: of the model that it belongs to.
        dev_version: data version of the dev split.
        dev_pairs: how many pairs that has.
        thresholds: of each similarity; `cosine` is the one that decides.
        calibration: of cosine.
        curve: thresholds of ascending precision on the dev split, each the lowest that reaches its precision.
    """

    model_version: str
    dev_version: str
    dev_pairs: int
    thresholds: dict[str, Thresholds]
    calibration: DecisionCalibration
    curve: list[OperatingPoint]

    @property
    def threshold(self) -> float:
        """The minimum cosine of duplicates: the threshold with the best F1 on the dev split."""
        return self.thresholds["cosine"].f1

    def at_precision(self, precision: float, prior: float | None = None) -> OperatingPoint:
        """The lowest threshold that gives a precision on the dev split.

        Args:
            precision: above 0 and at most 1.
            prior: share of duplicates where the threshold will be used; None for that of the dev split.

        Raises:
            PipelineError: when no threshold gives it, or the value makes no sense.
        """
        if not 0 < precision <= 1:
            raise SettingError(
                f"a precision of {precision:g} is impossible: choose one above 0 and up to 1", precision=precision
            )
        share = self.calibration.positive_rate if prior is None else prior
        for point in self.curve:
            if point.precision(share) >= precision:
                return point
        best = max((point.precision(share) for point in self.curve), default=0.0)
        raise SettingError(
            f"no threshold gives a precision of {precision:g} on the {self.dev_pairs:,} dev pairs: the highest is "
            f"{best:.4f}; ask for less, or train with more dev pairs",
            precision=precision,
            highest=best,
        )


def write_decision(folder: Path, decision: Decision) -> None:
    """Write a decision next to the weights in a model's folder."""
    write_text(folder / DECISION_FILE_NAME, json_text(decision.model_dump(mode="json")))


def read_decision(folder: Path) -> Decision | None:
    """The decision of the model in a folder; None where it has none.

    Raises:
        PipelineError: when it can't be read.
    """
    path = folder / DECISION_FILE_NAME
    try:
        return Decision.from_stored_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except PipelineError as error:
        raise DamagedError(f"can't read {path}: {error.message}", error.make_again, path=path) from error
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(map(str, detail["loc"]))
        raise DamagedError(
            f"{path} is no decision ({where}: {detail['msg']})", make_again="model", path=path
        ) from error
    except OSError as error:
        raise DamagedError(f"can't read {path} ({reason_of(error)})", make_again="model", path=path) from error


def decision_of_probability(written: Any, positive_rate: float | None = None) -> Decision:
    """The decision that `duplicate_probability.json` amounts to, which trainings before `decision.json` left behind.

    Its threshold is where the probability is 1/2, and it has no curve.

    Args:
        written: the file's JSON.
        positive_rate: share of duplicates among the dev pairs, where it is known; the file doesn't say it.

    Raises:
        PipelineError: when it isn't what was written.
    """
    try:
        slope, intercept, pairs = float(written["slope"]), float(written["intercept"]), int(written["fitted_on"])
        version = str(written["model"])
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"no calibration of a model: {reason_of(error)} is missing or no number") from error
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope <= 0:
        raise DamagedError(
            f"no calibration of a model: its slope is {slope:g} and its intercept {intercept:g}",
            slope=slope,
            intercept=intercept,
        )
    calibration = DecisionCalibration(
        slope=slope, intercept=intercept, fitted_on=pairs, positive_rate=positive_rate or 0.5
    )
    even = -intercept / slope
    return Decision(
        model_version=version,
        dev_version="",
        dev_pairs=pairs,
        thresholds={"cosine": Thresholds(accuracy=even, f1=even)},
        calibration=calibration,
        curve=[],
    )


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """The probabilities with these log-odds, float64: Platt's calibration applied."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits))


def log_odds(probability: float) -> float:
    """The logarithm of the odds, finite for 0 and 1 too."""
    bounded = min(max(probability, 1e-12), 1 - 1e-12)
    return math.log(bounded / (1 - bounded))
