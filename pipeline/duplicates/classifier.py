"""Decide whether two questions are duplicates, and how probable that is: a model together with its decision."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline.core.errors import SettingError
from pipeline.core.progress import OnProgress, ignore
from pipeline.core.store import VersionStore
from pipeline.duplicates.chosen_model import PRODUCTION, ChosenModel, find_model
from pipeline.models.decision import Decision
from pipeline.models.options import Device
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.settings import environment
from pipeline.vectors.encoder import TextEncoder

if TYPE_CHECKING:
    from pathlib import Path

Pair = tuple[str, str]


class DuplicateClassifier:
    """A model that decides about pairs of questions.

    Attributes:
        chosen: which model, and its decision.
        encoder: embeds with it.
    """

    def __init__(self, chosen: ChosenModel, device: Device = "auto") -> None:
        self.chosen = chosen
        self.encoder: TextEncoder = chosen.encoder(device)

    @classmethod
    def load(
        cls, choice: "str | Path" = PRODUCTION, device: Device = "auto", home: str | None = None
    ) -> "DuplicateClassifier":
        """Find a model and make it ready.

        Args:
            choice: `production`, `exported`, the id of the run that trained it, a folder of a model or of an export, a
                hub id, or `bundled`.
            home: where the values of assets lie; by default `PIPELINE_HOME`.

        Raises:
            PipelineError: when there is no such model, or it can't be loaded.
        """
        return cls(find_model(str(choice), VersionStore(home or environment.home())), device)

    @property
    def decision(self) -> Decision:
        """The model's decision.

        Raises:
            PipelineError: when it carries none, as a base model.
        """
        return self.chosen.require_decision()

    def cosine(self, pairs: Sequence[Pair], on_progress: OnProgress = ignore) -> np.ndarray:
        """How alike the two questions of each pair are: float32 of shape (len(pairs),). Needs no decision."""
        if not pairs:
            return np.empty(0, dtype=np.float32)
        first, second = (np.array([pair[at] for pair in pairs], dtype=object) for at in (0, 1))
        index = DistinctQuestions.of_texts(first, second)
        vectors = self.encoder.embed(index.texts, on_progress)
        return np.einsum("ij,ij->i", vectors[index.first], vectors[index.second])

    def probability(
        self, pairs: Sequence[Pair], prior: float | None = None, on_progress: OnProgress = ignore
    ) -> np.ndarray:
        """How probable it is that the two questions of each pair ask the same: float64 of shape (len(pairs),).

        Args:
            prior: share of duplicates among the pairs that are asked about; None where it is as on the dev split.

        Raises:
            PipelineError: when the model carries no decision, or the prior makes no sense.
        """
        decision, share = self.decision, checked_prior(prior)
        return decision.calibration.probability(self.cosine(pairs, on_progress), share)

    def is_duplicate(
        self,
        pairs: Sequence[Pair],
        precision: float | None = None,
        prior: float | None = None,
        on_progress: OnProgress = ignore,
    ) -> np.ndarray:
        """Which pairs count as duplicates: bool of shape (len(pairs),); see `threshold`."""
        threshold = self.threshold(precision, prior)
        return self.cosine(pairs, on_progress) >= threshold

    def threshold(self, precision: float | None = None, prior: float | None = None) -> float:
        """The minimum cosine of duplicates.

        By default that of the best F1 on the dev split; with a precision, the lowest that has it on the dev split; with
        a prior alone, where the probability is 1/2.

        Raises:
            PipelineError: when the model carries no decision, or no threshold gives the precision.
        """
        decision, share = self.decision, checked_prior(prior)
        if precision is not None:
            return decision.at_precision(precision, share).threshold
        return decision.threshold if share is None else decision.calibration.cosine_of(0.5, share)


def checked_prior(prior: float | None) -> float | None:
    """Check a share of duplicates.

    Raises:
        SettingError: when it is not between 0 and 1.
    """
    if prior is not None and not 0 < prior < 1:
        raise SettingError(
            f"the prior is {prior:g}, but a share of duplicates is between 0 and 1: give one such as 0.05", prior=prior
        )
    return prior
