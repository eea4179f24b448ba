"""The pairs that are worth a teacher's time: unlabelled pairs of training questions that look alike.

Both questions of a candidate stand in one fold, so a teacher that was trained without that fold has seen neither. None
is a labelled pair of the train split, and none has a question of a held-out split.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.core.errors import PipelineError, counted
from pipeline.core.progress import OnProgress, ignore
from pipeline.distillation.options import SilverOptions
from pipeline.distillation.questions import NO_FOLD, TrainingQuestions, require_unseen
from pipeline.duplicates.vectors import Vectors
from pipeline.question_pairs.schema import PairTable
from pipeline.question_pairs.scored import SCORED_SCHEMA, FoundBy, ScoredPairs


@dataclass(frozen=True)
class Candidates:
    """Pairs of training questions to be scored, each once; ascending by the numbers of their questions.

    Attributes:
        questions: that they are made of.
        first, second: numbers of their questions, int64 of shape (pairs,), first below second.
        found_by: what found each, text of shape (pairs,); the first of the sources that did.
    """

    questions: TrainingQuestions
    first: np.ndarray
    second: np.ndarray
    found_by: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    @property
    def fold(self) -> np.ndarray:
        """Fold of both questions of each pair: int64 of shape (pairs,)."""
        return self.questions.fold[self.first]

    def texts(self) -> tuple[pa.Array, pa.Array]:
        """First and second questions: large_string of shape (pairs,) each."""
        texts = pa.array(self.questions.texts, pa.large_string())
        return texts.take(pa.array(self.first)), texts.take(pa.array(self.second))

    def scored(self, scores: np.ndarray) -> ScoredPairs:
        """The candidates with the scores of a teacher.

        Args:
            scores: probabilities, float64 of shape (pairs,).

        Raises:
            PipelineError: when there is another number of scores, or one is no probability.
        """
        if len(scores) != len(self):
            raise PipelineError(
                f"the teacher gave {counted(len(scores), 'score')} for {counted(len(self), 'silver pair')}: score "
                "these very pairs"
            )
        first, second = self.texts()
        columns = {
            "question1": first,
            "question2": second,
            "score": pa.array(scores, pa.float64()),
            "is_gold": pa.array(np.zeros(len(self), dtype=bool)),
            "is_duplicate": pa.array(np.zeros(len(self), dtype=bool)),
            "fold": pa.array(self.fold, pa.int64()),
            "found_by": pa.array(self.found_by, pa.large_string()),
        }
        return ScoredPairs(pa.table(columns, SCORED_SCHEMA).to_pandas(), self.questions.origin)


def find_candidates(
    questions: TrainingQuestions,
    held_out: Mapping[str, PairTable],
    options: SilverOptions,
    vectors: Vectors | None = None,
    on_progress: OnProgress = ignore,
) -> Candidates:
    """Find the pairs that are worth scoring, by the sources that the options name.

    The same inputs give the same candidates in the same order, whatever the number of threads (`bm25.py`,
    `neighbours.py`).

    Args:
        held_out: the dev and the eval split, by the names that a person knows them by.
        vectors: of `questions.texts`; asked for by the source `neighbours` alone.

    Raises:
        PipelineError: when a source lacks what it needs, nothing is found, or what was found breaks a promise of this
            module.
    """
    numbers, found_by = [], []
    for source in options.used_sources:
        if source == "bm25":
            from pipeline.distillation.bm25 import pairs_by_bm25

            found = pairs_by_bm25(questions, options.bm25_per_question, on_progress)
        else:
            if vectors is None:
                raise PipelineError(
                    "silver pairs by `neighbours` need a vector of each training question: embed them, or take the "
                    "source `bm25`"
                )
            from pipeline.distillation.neighbours import pairs_by_neighbours

            found = pairs_by_neighbours(questions, vectors, options.neighbours_per_question, "auto", on_progress)
        numbers.append(np.unique(questions.numbers(*found)))
        found_by.append(np.full(len(numbers[-1]), source, dtype=object))
    together = np.concatenate(numbers)
    # The first of the sources counts: `unique` gives the first position of each.
    distinct, at = np.unique(together, return_index=True)
    if not len(distinct):
        raise PipelineError(
            f"no pair of the {len(questions):,} questions of {questions.origin.source} is worth scoring: all that look "
            "alike are labelled already; bring more pairs"
        )
    first, second = np.divmod(distinct, len(questions))
    candidates = Candidates(questions, first, second, np.concatenate(found_by)[at])
    require_promises(candidates, held_out)
    return candidates


def require_promises(candidates: Candidates, held_out: Mapping[str, PairTable]) -> None:
    """Look again at what candidates are meant to be: in one fold, not labelled, of two questions, none held out.

    Raises:
        PipelineError: for the first candidate that isn't.
    """
    questions, first, second = candidates.questions, candidates.first, candidates.second
    for is_wrong, what in (
        (first == second, "join a question with itself"),
        (questions.fold[first] != questions.fold[second], "have questions of two folds"),
        (questions.fold[first] == NO_FOLD, "have questions that stand in no fold"),
        (np.isin(questions.numbers(first, second), questions.gold), "are labelled pairs of the train split"),
    ):
        if is_wrong.any():
            raise PipelineError(
                f"silver pairs {what} ({int(is_wrong.sum()):,} of {len(candidates):,}), though all of these were left "
                "out: that is a mistake in the code; don't use these pairs, and report it"
            )
    used = np.unique(np.concatenate([first, second]))
    require_unseen(pa.array(questions.texts, pa.large_string()).take(pa.array(used)), held_out)


def found_by_counts(pairs: ScoredPairs) -> dict[FoundBy, int]:
    """How many pairs of a table each source has found."""
    counts = pd.Series(pairs.pairs["found_by"]).value_counts()
    return {name: int(counts[name]) for name in ("gold", "bm25", "neighbours") if name in counts}
