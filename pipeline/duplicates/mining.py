"""Mine a corpus for duplicates: the pairs above a threshold, their probabilities, and the clusters."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.core.errors import InputError
from pipeline.core.progress import LogLine, OnProgress, ignore
from pipeline.duplicates.chosen_model import ChosenModel
from pipeline.duplicates.clusters import Clusters, clusters_of
from pipeline.duplicates.corpus import Corpus
from pipeline.duplicates.options import MiningOptions
from pipeline.duplicates.prior import Prior, estimated_prior, given_prior, prior_on_dev
from pipeline.models.decision import Decision
from pipeline.vectors.blocks import Vectors
from pipeline.vectors.exact import ExactEngine
from pipeline.vectors.pairs import CosinePairs, Engine


@dataclass(frozen=True)
class MinedCorpus:
    """What mining found in a corpus. Another threshold needs no new encoding: `at`.

    Attributes:
        candidates: all pairs at or above the floor.
        threshold: minimum cosine of duplicates.
        prior: the share of duplicates among the candidates; None for a model that carries no decision.
        decision: of the model; None if it has none.
    """

    corpus: Corpus
    candidates: CosinePairs
    threshold: float
    prior: Prior | None
    decision: Decision | None

    @cached_property
    def pairs(self) -> CosinePairs:
        """The pairs at or above the threshold."""
        return self.candidates.at(self.threshold)

    @cached_property
    def clusters(self) -> Clusters:
        """The questions that belong together."""
        return clusters_of(self.pairs)

    def at(self, threshold: float) -> "MinedCorpus":
        """The same candidates with another threshold, at or above the floor.

        Raises:
            PipelineError: for a threshold below the floor.
        """
        self.candidates.at(threshold)
        return MinedCorpus(self.corpus, self.candidates, threshold, self.prior, self.decision)

    def probability(self, cosine: np.ndarray) -> np.ndarray | None:
        """The probability that pairs with these cosines are duplicates, corrected for the prior; None without a
        decision."""
        if self.decision is None or self.prior is None:
            return None
        return self.decision.calibration.probability(cosine, self.prior.equivalent)

    @property
    def expected_precision(self) -> float | None:
        """The mean probability of the pairs at or above the threshold; None without a decision, or without a pair."""
        probability = self.probability(self.pairs.cosine)
        return float(probability.mean()) if probability is not None and len(probability) else None

    @property
    def removable(self) -> int:
        """How many rows of the corpus another one stands for: repeated ones, and members of clusters."""
        return self.corpus.repeated + self.clusters.removable

    @property
    def removable_share(self) -> float:
        """The same as a share of the rows that aren't blank."""
        rows = len(self.corpus.rows) - self.corpus.blank
        return self.removable / rows if rows else 0.0


def mine_corpus(
    corpus: Corpus,
    vectors: Vectors,
    chosen: ChosenModel,
    options: MiningOptions,
    engine: Engine | None = None,
    on_progress: OnProgress = ignore,
) -> MinedCorpus:
    """Find the duplicates of a corpus.

    Args:
        vectors: one for each question of the corpus, by the chosen model.
        engine: finds the pairs; by default the exact one.

    Raises:
        PipelineError: when the model has no threshold and none is given, or there are too many pairs.
    """
    decision = chosen.decision
    if options.threshold is None:
        decision = chosen.require_decision()
    floor = first_given(options.floor, options.threshold, decision.threshold if decision else None)
    candidates = (engine or ExactEngine()).pairs(vectors, floor, on_progress)
    if decision is None:
        return MinedCorpus(corpus, candidates, first_given(options.threshold, floor), None, None)
    if options.prior is not None:
        prior = given_prior(decision, floor, options.prior)
    elif options.estimate_prior:
        prior = estimated_prior(decision, floor, candidates.cosine)
    else:
        prior = prior_on_dev(decision, floor)
    if prior.is_at_bound and options.threshold is None:
        on_progress(
            LogLine(
                f"by their scores almost none of the {len(candidates):,} pairs at or above {floor:.4f} is a duplicate; "
                "if that is wrong, give the prior, a threshold, or a lower floor"
            )
        )
    threshold = _threshold(options, decision, prior)
    if threshold < floor:
        on_progress(LogLine(f"the threshold {threshold:.4f} is below the floor, so the floor {floor:.4f} is used"))
    return MinedCorpus(corpus, candidates, max(threshold, floor), prior, decision)


def first_given(*values: float | None) -> float:
    """The first value that isn't None."""
    return next(value for value in values if value is not None)


def _threshold(options: MiningOptions, decision: Decision, prior: Prior) -> float:
    if options.threshold is not None:
        return options.threshold
    if options.precision is not None:
        return decision.at_precision(options.precision, prior.equivalent).threshold
    if prior.how == "as on the dev split":
        return decision.threshold
    return min(decision.calibration.cosine_of(0.5, prior.equivalent), 1.0)


def require_known(mined: MinedCorpus, first: np.ndarray, second: np.ndarray) -> None:
    """Refuse labelled pairs of another corpus.

    Raises:
        PipelineError: when no pair of it has both questions in the corpus.
    """
    if not ((first >= 0) & (second >= 0)).any():
        raise InputError(
            f"no labelled pair has both questions in {mined.corpus.name}: bring labelled pairs of this corpus",
            corpus=mined.corpus.name,
        )
