"""The pairs that a training learns from, by distinct text: labelled ones, and what a teacher has scored."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.question_pairs.closure import closed_pairs
from pipeline.question_pairs.questions import QuestionIndex, pair_numbers
from pipeline.question_pairs.schema import DISJOINT, PairTable
from pipeline.question_pairs.scored import ScoredPairs
from pipeline.training.job import TrainingJob
from pipeline.training.recipe import Recipe

UNLABELLED = -1
"""The label of a pair that has none."""


@dataclass(frozen=True)
class TrainingPairs:
    """The training pairs by distinct text.

    Attributes:
        index: their texts and questions.
        labels: 0, 1, or -1 for a pair without a label; int64 of shape (pairs,).
        targets: the probability that a teacher gives each pair, NaN for a pair without; float32 of shape (pairs,).
        vectors: where a teacher puts each text, NaN for a text without: float16 of shape (texts, dimensions); None
            where nothing reads them.
    """

    index: QuestionIndex
    labels: np.ndarray
    targets: np.ndarray
    vectors: np.ndarray | None = None

    @classmethod
    def of(cls, table: PairTable) -> "TrainingPairs":
        """Index the questions of labelled pairs."""
        return cls(QuestionIndex.of(table), table.labels, np.full(len(table), np.nan, dtype=np.float32))

    @classmethod
    def of_job(cls, job: TrainingJob) -> "TrainingPairs":
        """The pairs that a training's recipe asks for: labelled ones, those that follow from them, and scored ones.

        Raises:
            PipelineError: when pairs that follow from labels could stand on another side.
        """
        recipe, labelled = job.recipe, job.train
        if recipe.closure_cluster:
            labelled = labelled.followed_by(_closure(job))
        pairs = (
            cls.of(labelled)
            if job.scored is None or not recipe.needs_scored_pairs
            else cls._with_scores(labelled, job.scored, recipe)
        )
        if job.target_vectors is None or not recipe.needs_target_vectors:
            return pairs
        return replace(pairs, vectors=job.target_vectors.of(pairs.index.texts))

    @classmethod
    def _with_scores(cls, labelled: PairTable, scored: ScoredPairs, recipe: Recipe) -> "TrainingPairs":
        silver = scored.take(~scored.is_gold)
        if recipe.learn_from == "gold":
            silver = silver.take(np.arange(0))
        if recipe.learn_from == "silver":
            labelled = labelled.take(np.arange(0))
        labels = np.concatenate([labelled.labels, np.full(len(silver), UNLABELLED, dtype=np.int64)])
        targets = np.concatenate([_scores_of(labelled, scored), silver.scores]).astype(np.float32)
        return cls(_joint_index(labelled, silver), labels, targets)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def meanings(self) -> np.ndarray:
        """Equal for texts that are known to mean the same: int64 of shape (texts,)."""
        return self.index.meanings(self.labels)


def _closure(job: TrainingJob) -> PairTable:
    division = job.train.origin.division
    if division is None or division.strategy not in DISJOINT:
        raise PipelineError(
            f"closure_cluster is {job.recipe.closure_cluster}, and with strategy "
            f"{division.strategy if division else 'not named'!r} pairs that follow from labels may be eval pairs: set "
            f"it to 0, or make the splits with {' or '.join(DISJOINT)}"
        )
    recipe = job.recipe
    return closed_pairs(job.train, recipe.seed, recipe.closure_cluster, recipe.closure_others, [job.dev])


def _joint_index(table: PairTable, scored: ScoredPairs) -> QuestionIndex:
    """The questions of a table's pairs, which come first, and of scored pairs."""
    first, second = (
        np.concatenate([table.pairs[name].to_numpy(object), scored.pairs[name].to_numpy(object)])
        for name in ("question1", "question2")
    )
    return QuestionIndex.of_texts(first, second)


def _scores_of(table: PairTable, scored: ScoredPairs) -> np.ndarray:
    """What a teacher gives the pairs of a table, NaN for those that it hasn't scored: float64 of shape (pairs,)."""
    index = _joint_index(table, scored)
    numbers = pair_numbers(index.first_question, index.second_question, max(index.questions, 1))
    wanted, known = numbers[: len(table)], numbers[len(table) :]
    found = np.full(len(table), np.nan)
    if len(known):
        order = np.argsort(known, kind="stable")
        at = np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)
        is_there = known[order][at] == wanted
        found[is_there] = scored.scores[order][at[is_there]]
    return found
