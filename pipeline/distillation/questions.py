"""The questions that silver pairs are made of: those of the train split, each with the fold that it stands in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.core.errors import PipelineError, excerpt
from pipeline.core.progress import LogLine, OnProgress, ignore
from pipeline.duplicates.corpus import Corpus
from pipeline.question_pairs.questions import pair_numbers, stand_in
from pipeline.question_pairs.schema import DataOrigin, PairTable

NO_FOLD = -1
"""Of a question that no candidate may have."""


@dataclass(frozen=True)
class TrainingQuestions:
    """The distinct questions of the train split, blank ones left out.

    Attributes:
        texts: the questions in their first wording, in order of first appearance. Vectors for them are in this order.
        fold: of each question, int64 of shape (questions,); `NO_FOLD` for one that stands in another split too.
        gold: numbers of the labelled pairs (`pair_numbers`), ascending, each once.
        origin: of the train split.
    """

    texts: list[str]
    fold: np.ndarray
    gold: np.ndarray
    origin: DataOrigin

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def of(
        cls, train: PairTable, fold: np.ndarray, held_out: Mapping[str, PairTable], on_progress: OnProgress = ignore
    ) -> "TrainingQuestions":
        """The questions of the train split.

        A question that a held-out split has too, as `reference` splits may, gets no fold; a log line says how many.

        Args:
            fold: of each pair, int64 of shape (pairs,).
            held_out: the dev and the eval split, by the names that a person knows them by.

        Raises:
            PipelineError: when a question stands in two folds.
        """
        corpus = Corpus.of_pairs(train)
        numbers, of_text = corpus.rows, np.repeat(fold, 2)
        of_question = np.full(len(corpus), NO_FOLD, dtype=np.int64)
        is_told = numbers >= 0
        of_question[numbers[is_told]] = of_text[is_told]
        wrong = np.flatnonzero(is_told)[of_question[numbers[is_told]] != of_text[is_told]]
        if len(wrong):
            question = numbers[wrong[0]]
            raise PipelineError(
                f"the question {excerpt(corpus.texts[question])} stands in the folds {of_text[wrong[0]]} and "
                f"{of_question[question]}: cut the train split into folds again"
            )
        is_held = stand_in(pa.array(corpus.texts, pa.large_string()), held_out.values())
        if is_held.any():
            of_question[is_held] = NO_FOLD
            on_progress(
                LogLine(
                    f"questions of the train split that stand in {' or '.join(held_out)} too are in no silver pair: "
                    f"{int(is_held.sum()):,}"
                )
            )
        first, second = numbers[0::2], numbers[1::2]
        both = (first >= 0) & (second >= 0)
        gold = np.unique(pair_numbers(first[both], second[both], max(len(corpus), 1)))
        return cls(corpus.texts, of_question, gold, train.origin)

    def numbers(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """A number for each pair of questions, comparable with `gold`: int64 of shape (pairs,)."""
        return pair_numbers(first, second, max(len(self), 1))

    def folds(self) -> "Iterator[Fold]":
        """The folds that have two questions or more, in order of their numbers."""
        first, second = np.divmod(self.gold, max(len(self), 1))
        for number in np.unique(self.fold[self.fold != NO_FOLD]):
            members = np.flatnonzero(self.fold == number)
            if len(members) > 1:
                inside = (self.fold[first] == number) & (self.fold[second] == number)
                ends = (np.searchsorted(members, part[inside]) for part in (first, second))
                yield Fold(members, _partners(len(members), *ends))


@dataclass(frozen=True)
class Partners:
    """Which questions a question must not be paired with, as they are labelled: of all questions of a fold.

    Attributes:
        starts: where those of each question begin in `others`, int64 of shape (questions + 1,).
        others: positions in the fold, ascending for each question.
    """

    starts: np.ndarray
    others: np.ndarray

    def of(self, position: int) -> np.ndarray:
        """Those of one question."""
        return self.others[self.starts[position] : self.starts[position + 1]]

    def of_block(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """(row in the block, position in the fold) of those of the questions from `start` to before `stop`."""
        counts = np.diff(self.starts[start : stop + 1])
        return np.repeat(np.arange(stop - start), counts), self.others[self.starts[start] : self.starts[stop]]

    @property
    def most(self) -> int:
        """The largest number of them that a question has."""
        return int(np.diff(self.starts).max(initial=0))


@dataclass(frozen=True)
class Fold:
    """The questions of a fold.

    Attributes:
        members: their numbers, ascending, int64 of shape (questions,).
        excluded: what each must not be paired with: its labelled partners, and itself.
    """

    members: np.ndarray
    excluded: Partners


def require_unseen(questions: pa.Array, held_out: Mapping[str, PairTable]) -> None:
    """Refuse questions of silver pairs that stand in a held-out split. They are left out before; this looks again.

    Raises:
        PipelineError: naming one of them.
    """
    for name, table in held_out.items():
        found = np.flatnonzero(stand_in(questions, [table]))
        if len(found):
            raise PipelineError(
                f"questions of silver pairs stand in {name} ({len(found):,}, such as "
                f"{excerpt(questions[int(found[0])].as_py())}), though all of these were left out: that is a mistake "
                "in the code; don't use these pairs, and report it"
            )


def _partners(questions: int, first: np.ndarray, second: np.ndarray) -> Partners:
    """What pairs exclude: each question of a pair the other one, and every question itself."""
    itself = np.arange(questions) * (questions + 1)
    ends = np.unique(np.concatenate([first * questions + second, second * questions + first, itself]))
    starts = np.searchsorted(ends, np.arange(questions + 1) * questions)
    return Partners(starts, ends % questions)
