"""A teacher: models that were each trained without one fold of the training pairs, and how good they are together.

A pair of training questions is scored by the members that have seen neither of its questions (*out of fold*): a model
gives its own training pairs their labels back, and nothing could be learned from that.
"""

from typing import Any, ClassVar

import numpy as np

from pipeline.core.files import content_version
from pipeline.core.values import FrozenModel, Interval, StoredValue
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.question_pairs.schema import DataOrigin


class Calibration(FrozenModel):
    """From a member's score to a probability: 1 / (1 + exp(−(slope × score + intercept))), fitted on the dev split.

    Attributes:
        slope: of Platt's calibration.
        intercept: likewise.
    """

    slope: float
    intercept: float

    def probability(self, score: np.ndarray) -> np.ndarray:
        """How probable it is that pairs are duplicates: float64 of the shape of `score`."""
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-(self.slope * score.astype(np.float64) + self.intercept)))


class Member(FrozenModel):
    """One training of a teacher.

    Attributes:
        fold: it was trained without the pairs of this one.
        model: what came out.
        calibration: of its score.
        dev_ap: average precision on the dev split.
    """

    fold: int
    model: FineTunedModel
    calibration: Calibration
    dev_ap: float


class Student(FrozenModel):
    """The model that a teacher is held against: one that was trained on the labelled pairs alone.

    Attributes:
        version: of the model.
        dev_ap, eval_ap: average precision on both splits.
    """

    version: str
    dev_ap: float
    eval_ap: float


class Teacher(StoredValue):
    """A teacher and its report.

    Attributes:
        architecture: of its members: `cross_encoder` or `bi_encoder`.
        recipe: every knob of their training, but for the seed.
        folds, fold_seed: see `fold_of_pairs`.
        members: for each fold as many as the options say, fold after fold.
        train_version, dev_version, eval_version: of the splits.
        strategy: how these were divided; the gate needs a dev split without questions of the training pairs.
        origin: where the pairs came from.
        dev_ap, eval_ap: of all members together; each has learned from all pairs but a fold's.
        fold_ap: mean over the folds of the dev average precision of each fold's members: what an out-of-fold score is
            worth.
        out_of_fold_ap: of the training pairs, each scored by the members that were trained without its fold.
        student: what it is held against.
        lead: `fold_ap` minus the student's, with the interval of the difference on the same pairs.
        min_lead: that was asked for.
        seconds: wall-clock time of all trainings.
    """

    stored_name: ClassVar[str] = "Teacher"

    architecture: str
    recipe: dict[str, Any]
    folds: int
    fold_seed: int
    members: tuple[Member, ...]
    train_version: str
    dev_version: str
    eval_version: str
    strategy: str
    origin: DataOrigin
    dev_ap: Interval
    eval_ap: Interval
    fold_ap: float
    out_of_fold_ap: float
    student: Student
    lead: Interval
    min_lead: float
    seconds: float

    @property
    def data_version(self) -> str:
        """Hash of all that its scores depend on."""
        members = [(m.fold, m.model.model.version, m.calibration.model_dump()) for m in self.members]
        return content_version([members, self.folds, self.fold_seed, self.train_version])

    @property
    def is_ahead(self) -> bool:
        """Whether it is as far ahead of the student as was asked for."""
        return self.lead.estimate >= self.min_lead

    @property
    def said(self) -> str:
        """The gate's finding in one sentence."""
        than = "ahead of" if self.lead.estimate >= 0 else "behind"
        return (
            f"the teacher has an average precision of {self.fold_ap:.4f} on the dev split, the student "
            f"{self.student.dev_ap:.4f}: it is {abs(self.lead.estimate):.4f} {than} it "
            f"({self.lead.low:+.4f} to {self.lead.high:+.4f}), and {self.min_lead:g} is asked for"
        )
