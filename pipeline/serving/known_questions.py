"""The questions that a service knows: those of a corpus and those that were added, less those that were removed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.core.progress import OnProgress, ignore
from pipeline.question_pairs.questions import question_key, question_keys
from pipeline.vectors.blocks import ArrayVectors, Vectors
from pipeline.vectors.index import InvertedFile, why_no_index
from pipeline.vectors.nearest import nearest


@dataclass(frozen=True)
class Answer:
    """What was found for a question, most similar first.

    Attributes:
        questions: texts of the known questions.
        cosine: float32 of shape (found,).
    """

    questions: list[str]
    cosine: np.ndarray


class KnownQuestions:
    """Questions and their vectors in memory, by one model. One thread at a time uses them.

    Attributes:
        recall: share of the 10 nearest questions of a sample that the index finds; 1 where all are compared.
    """

    def __init__(
        self, texts: Sequence[str], vectors: Vectors | None, index_from: int, on_progress: OnProgress = ignore
    ) -> None:
        """Take distinct questions and their vectors.

        Args:
            vectors: of the texts; None where there are none.
            index_from: minimum number of questions for an index.
        """
        self._texts = list(texts)
        keys = question_keys(pa.array(self._texts, pa.large_string())).to_pylist()
        self._number = {key: number for number, key in enumerate(keys)}
        n = len(self._texts)
        self._vectors = np.empty((n, vectors.dimensions if vectors else 0), dtype=np.float32)
        for start, block in vectors.blocks(65_536) if vectors else ():
            self._vectors[start : start + len(block)] = block
        self._is_known = np.ones(n, dtype=bool)
        self._removed = 0
        self.recall = 1.0
        self._index: InvertedFile | None = None
        if n >= index_from and not why_no_index():
            known = ArrayVectors(self._vectors)
            self._index = InvertedFile.build(known, on_progress)
            self.recall = self._index.tune_for_neighbours(known)

    def __len__(self) -> int:
        return len(self._texts) - self._removed

    @property
    def kind(self) -> str:
        """How they are searched: `exact`, or by an `index`."""
        return "exact" if self._index is None else "index"

    def are_known(self, questions: Sequence[str]) -> list[bool]:
        """Whether each question is known, however it is capitalised."""
        return [self._alive(question) is not None for question in questions]

    def _alive(self, question: str) -> int | None:
        number = self._number.get(question_key(question))
        return None if number is None or not self._is_known[number] else number

    def add(self, questions: Sequence[str], vectors: np.ndarray) -> int:
        """Know more questions; returns how many of them were new.

        Args:
            vectors: of length 1, float32 of shape (len(questions), dimensions).
        """
        new: list[int] = []
        count, before = 0, len(self._texts)
        for at, question in enumerate(questions):
            key = question_key(question)
            number = self._number.get(key)
            if number is None:
                self._number[key] = len(self._texts)
                self._texts.append(question)
                new.append(at)
            elif number >= before or self._is_known[number]:
                continue
            else:
                self._is_known[number] = True
                self._removed -= 1
            count += 1
        if new:
            self._append(vectors[new])
        return count

    def _append(self, vectors: np.ndarray) -> None:
        start, stop = len(self._texts) - len(vectors), len(self._texts)
        if stop > len(self._vectors):
            # Room for as many again, so that adding one by one takes no square of time.
            room = np.empty((max(stop, 2 * start, 1_024), vectors.shape[1]), dtype=np.float32)
            if start:
                room[:start] = self._vectors[:start]
            self._vectors = room
            known = np.zeros(len(room), dtype=bool)
            known[:start] = self._is_known[:start]
            self._is_known = known
        self._vectors[start:stop] = vectors
        self._is_known[start:stop] = True
        if self._index is not None:
            self._index.add(vectors)

    def remove(self, questions: Sequence[str]) -> int:
        """Forget questions; returns how many of them were known."""
        count = 0
        for question in questions:
            if (number := self._alive(question)) is not None:
                self._is_known[number] = False
                self._removed += 1
                count += 1
        return count

    def nearest(self, queries: np.ndarray, top: int) -> list[Answer]:
        """The most similar known questions of each query.

        Args:
            queries: vectors of length 1, float32 of shape (queries, dimensions).
            top: how many at most.
        """
        if not len(self):
            return [Answer([], np.empty(0, dtype=np.float32)) for _ in queries]
        n = len(self._texts)
        vectors, usable = ArrayVectors(self._vectors[:n]), self._is_known[:n] if self._removed else None
        if self._index is None:
            found = nearest(queries, vectors, top, usable)
        else:
            found = self._index.nearest(queries, vectors, top, usable)
        return [Answer([self._texts[index] for index in one.indices], one.cosine) for one in found]
