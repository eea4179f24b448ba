"""Defines when two questions are the same, and numbers the questions in a table of pairs.

Two questions are the same if their texts differ only in letter case and outer blanks. Splits, leak checks, slices,
repeated pairs and known duplicates all use this definition. Only a model reads texts as they are written, since it may
tell `US` from `us`. So there are two numberings: of the exact texts, and of the questions that they ask.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.question_pairs.schema import PairTable


def question_keys(texts: pa.Array) -> pa.Array:
    """Keys that are equal for texts that ask the same question. This is the one definition of that."""
    return pc.utf8_lower(pc.utf8_trim_whitespace(texts))


def question_key(text: str) -> str:
    """The key of one text, as `question_keys`."""
    if text.isascii() and text.isprintable():
        # Arrow takes 15 microseconds a call.
        return text.strip().lower()
    return str(question_keys(pa.scalar(text, pa.large_string())))


@dataclass(frozen=True)
class DistinctQuestions:
    """The texts and the questions of some pairs.

    Attributes:
        texts: the distinct texts as they are written, in order of first appearance, first questions first.
        first: index of the text of each pair's first question, int64 of shape (pairs,).
        second: the same for its second question.
    """

    texts: list[str]
    first: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, table: PairTable) -> "DistinctQuestions":
        """Number the texts of a table."""
        return cls.of_texts(*(table.pairs[name].to_numpy(object) for name in ("question1", "question2")))

    @classmethod
    def of_texts(cls, question1: np.ndarray, question2: np.ndarray) -> "DistinctQuestions":
        """Number the texts of pairs that are given as two arrays of shape (pairs,)."""
        codes, distinct = pd.factorize(np.concatenate([question1, question2]))
        codes = codes.astype(np.int64)
        return cls(list(distinct), codes[: len(question1)], codes[len(question1) :])

    @cached_property
    def question(self) -> np.ndarray:
        """Number of the question that each text asks, from 0: int64 of shape (texts,)."""
        return _numbered(pa.array(self.texts, pa.large_string()))

    @property
    def questions(self) -> int:
        """Number of different questions."""
        return int(self.question.max()) + 1 if len(self.texts) else 0

    @property
    def first_question(self) -> np.ndarray:
        """Number of each pair's first question: int64 of shape (pairs,)."""
        return self.question[self.first]

    @property
    def second_question(self) -> np.ndarray:
        """Number of each pair's second question: int64 of shape (pairs,)."""
        return self.question[self.second]

    def meanings(self, labels: np.ndarray) -> np.ndarray:
        """Group texts that are known to mean the same: of one question, or of questions joined by duplicate pairs.

        Args:
            labels: 0 or 1, of shape (pairs,).

        Returns:
            int64 of shape (texts,): equal for texts of the same meaning.
        """
        groups = meaning_groups(self.questions, self.first_question, self.second_question, labels)
        return groups[self.question]


def stand_in(texts: pa.Array, tables: Iterable[PairTable]) -> np.ndarray:
    """Which texts ask a question that is in one of the tables: bool of shape (texts,)."""
    others = [pa.array(table.pairs[name], pa.large_string()) for table in tables for name in ("question1", "question2")]
    known = question_keys(pa.concat_arrays([*others, pa.array([], pa.large_string())])).unique()
    there: np.ndarray = pc.is_in(question_keys(texts), value_set=known).to_numpy(zero_copy_only=False)
    return there


def pair_numbers(first: np.ndarray, second: np.ndarray, questions: int) -> np.ndarray:
    """A number for each pair, equal for the same two questions in either order: int64 of shape (pairs,).

    Args:
        first, second: numbers of each pair's questions, below `questions`: int64 of shape (pairs,).
    """
    numbers: np.ndarray = np.minimum(first, second) * questions + np.maximum(first, second)
    return numbers


def meaning_groups(questions: int, first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Group questions that are known to ask the same: the components of the graph of duplicate pairs.

    Args:
        questions: number of questions.
        first, second: numbers of each pair's questions: int64 of shape (pairs,).
        labels: 0 or 1, of shape (pairs,).

    Returns:
        int64 of shape (questions,).
    """
    duplicates = labels == 1
    return _components(questions, first[duplicates], second[duplicates])


def question_components(pairs: pd.DataFrame) -> np.ndarray:
    """Number the connected component of each pair from 0: pairs that share a question, directly or by a chain.

    Questions with the same id of the source are the same, too. The nodes are ids and questions; an edge joins
    the two ids of a pair, and each id to its question.
    """
    id_codes = pd.factorize(pd.concat([pairs["question1_id"], pairs["question2_id"]]))[0]
    texts = np.concatenate([pairs[name].to_numpy(object) for name in ("question1", "question2")])
    key_codes = _numbered(pa.array(texts, pa.large_string())) + id_codes.max() + 1
    n = len(pairs)
    tails = np.concatenate([id_codes[:n], id_codes])
    heads = np.concatenate([id_codes[n:], key_codes])
    labels = _components(int(key_codes.max()) + 1, tails, heads)
    return pd.factorize(labels[id_codes[:n]])[0]


def _numbered(texts: pa.Array) -> np.ndarray:
    """Numbers of the questions that texts ask, in order of first appearance: int64 of the same length."""
    numbers: np.ndarray = question_keys(texts).dictionary_encode().indices.to_numpy().astype(np.int64)
    return numbers


def _components(size: int, tails: np.ndarray, heads: np.ndarray) -> np.ndarray:
    # Takes a tenth of the time in which the definitions load, which need no graph.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(tails), dtype=np.int8), (tails, heads)), shape=(size, size))
    components: np.ndarray = connected_components(graph, directed=False)[1].astype(np.int64)
    return components
