"""The batches of a training: the pairs of each step, and their tokens.

Every distinct question of the training pairs is tokenised once. A plan fixes the pairs of every batch of the whole
training in advance, from the seed alone, so that a resumed training goes on with the very next batch. A batch is a
random draw of pairs; each distinct question in it is encoded once.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from pipeline.models.packing import QuestionTokens, pack
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.question_pairs.schema import PairTable


@dataclass(frozen=True)
class TrainingPairs:
    """The training pairs by distinct text.

    Attributes:
        index: their texts and questions.
        labels: 0 or 1, int64 of shape (pairs,).
        vectors: a teacher's vector of each text, NaN for a text without: float16 of shape (texts, dimensions); None
            without a teacher.
    """

    index: DistinctQuestions
    labels: np.ndarray
    vectors: np.ndarray | None = None

    @classmethod
    def of(cls, table: PairTable) -> "TrainingPairs":
        """Index the questions of labelled pairs."""
        return cls(DistinctQuestions.of(table), table.labels)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def meanings(self) -> np.ndarray:
        """Equal for texts that are known to mean the same: int64 of shape (texts,)."""
        return self.index.meanings(self.labels)


@dataclass(frozen=True)
class BatchPlan:
    """The pairs of every batch of a training, in order.

    Attributes:
        order: pair indices, epoch after epoch, int64 of shape (epochs × pairs,).
        ends: where each batch ends in `order`, int64 of shape (batches,).
        parts: batches that make one optimiser step: processes times gradient accumulation.
        epochs: passes over the pairs.
    """

    order: np.ndarray
    ends: np.ndarray
    parts: int
    epochs: int

    @classmethod
    def draw(
        cls,
        lengths: np.ndarray,
        epochs: int,
        batch_size: int,
        token_budget: int | None,
        seed: int,
        parts: int = 1,
    ) -> "BatchPlan":
        """Shuffle each epoch anew and cut it into steps of `batch_size` pairs, `parts` batches a step.

        Where a batch would exceed the budget, it ends early; a pair that exceeds it by itself stands alone. Each
        epoch has whole steps: where batches are missing for the last one, the largest are halved.

        Raises:
            ValueError: for fewer pairs than parts.

        Args:
            lengths: tokens of each pair, both questions, of shape (pairs,).
            batch_size: a multiple of `parts`.
            token_budget: most tokens of a batch; None for no bound.
        """
        if len(lengths) < parts:
            raise ValueError(f"{len(lengths)} pairs can't be shared out to {parts} batches a step")
        size = max(1, batch_size // parts)
        orders, ends = [], []
        for epoch in range(epochs):
            random = np.random.default_rng([seed, epoch])
            order = random.permutation(len(lengths))
            orders.append(order)
            ends.append(_whole_steps(_cuts(lengths[order], size, token_budget), parts) + epoch * len(lengths))
        return cls(np.concatenate(orders), np.concatenate(ends), parts, epochs)

    @property
    def pairs(self) -> int:
        """Pairs of an epoch."""
        return len(self.order) // self.epochs

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole training."""
        return len(self.ends) // self.parts

    def pairs_after(self, step: int) -> int:
        """Pairs visited in the first `steps` steps."""
        return int(self.ends[step * self.parts - 1]) if step else 0

    def epoch_after(self, step: int) -> float:
        """Passes over the pairs in the first `steps` steps, such as 1.5."""
        return self.pairs_after(step) * self.epochs / len(self.order)

    def evaluation_steps(self, per_epoch: int) -> frozenset[int]:
        """The steps that complete each `per_epoch`-th part of an epoch."""
        marks = np.ceil(np.arange(1, self.epochs * per_epoch + 1) * (len(self.order) / (self.epochs * per_epoch)))
        visited = self.ends[self.parts - 1 :: self.parts]
        return frozenset((np.searchsorted(visited, marks) + 1).tolist())

    def batch(self, index: int) -> np.ndarray:
        """Pair indices of one batch."""
        return self.order[(self.ends[index - 1] if index else 0) : self.ends[index]]

    @cached_property
    def version(self) -> str:
        """Hash of all batches: a checkpoint's position means the same only in the same plan."""
        digest = hashlib.sha256(self.order.astype("<i8").tobytes())
        digest.update(self.ends.astype("<i8").tobytes())
        digest.update(str(self.parts).encode())
        return digest.hexdigest()[:16]


def _cuts(lengths: np.ndarray, size: int, token_budget: int | None) -> np.ndarray:
    """Ends of consecutive batches of at most `size` pairs and, but for single pairs, `token_budget` tokens."""
    n = len(lengths)
    if token_budget is None:
        return np.append(np.arange(size, n, size), n)
    tokens = np.concatenate([[0], np.cumsum(lengths)])
    cuts, end = [], 0
    while end < n:
        fits = int(np.searchsorted(tokens, tokens[end] + token_budget, side="right")) - 1
        end = min(n, end + size, max(fits, end + 1))
        cuts.append(end)
    return np.array(cuts, dtype=np.int64)


def _whole_steps(cuts: np.ndarray, parts: int) -> np.ndarray:
    """Make the number of batches a multiple of `parts`: halve the largest; where all are single pairs, join some."""
    for _ in range(-len(cuts) % parts):
        sizes = np.diff(cuts, prepend=0)
        at = int(np.argmax(sizes))
        if sizes[at] == 1:
            return np.delete(cuts, np.arange(len(cuts) % parts) * 2)
        cuts = np.insert(cuts, at, cuts[at] - sizes[at] // 2)
    return cuts


class PlannedBatches(Sampler[list[int]]):
    """Hands a plan's batches to a DataLoader."""

    def __init__(self, plan: BatchPlan) -> None:
        self.plan = plan

    def __len__(self) -> int:
        return len(self.plan.ends)

    def __iter__(self) -> Iterator[list[int]]:
        for index in range(len(self)):
            yield self.plan.batch(index).tolist()


class PairIndices(Dataset[int]):
    """The DataLoader's dataset: pair i is the number i, since the collator holds all that belongs to it."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> int:
        return index


Featurize = Callable[[np.ndarray], dict[str, Any]]
"""Gives the model's features for distinct questions in ascending order of tokens."""


@dataclass(frozen=True)
class PairCollator:
    """Makes a batch: features of its distinct questions, and which of them form its pairs.

    Attributes:
        pairs: all training pairs.
        lengths: tokens of each distinct question, of shape (questions,).
        featurize: makes the model's features.
    """

    pairs: TrainingPairs
    lengths: np.ndarray
    featurize: Featurize

    def tokens(self, indices: np.ndarray) -> np.ndarray:
        """Tokens of pairs, both questions, of the shape of `indices`."""
        return self.lengths[self.pairs.index.first[indices]] + self.lengths[self.pairs.index.second[indices]]

    def __call__(self, indices: Sequence[int] | np.ndarray) -> dict[str, Any]:
        """A batch of n pairs with q distinct questions.

        Returns:
            `features` for the model, in which question j is the j-th shortest; `first` and `second` (n,): positions
            of each pair's questions among them; `label` (n,): 0 or 1; `meaning` (q,): equal for known duplicates; and
            with a teacher, `vector` (q, dimensions): NaN for a question without one.
        """
        rows = np.asarray(indices)
        both = np.concatenate([self.pairs.index.first[rows], self.pairs.index.second[rows]])
        distinct, inverse = np.unique(both, return_inverse=True)
        by_length = np.argsort(self.lengths[distinct], kind="stable")
        place = np.empty_like(by_length)
        place[by_length] = np.arange(len(by_length))
        positions = torch.from_numpy(place[inverse])
        ordered = distinct[by_length]
        batch = {
            "features": self.featurize(ordered),
            "first": positions[: len(rows)],
            "second": positions[len(rows) :],
            "label": torch.from_numpy(self.pairs.labels[rows]),
            "meaning": torch.from_numpy(self.pairs.meanings[ordered]),
        }
        if self.pairs.vectors is not None:
            batch["vector"] = torch.from_numpy(self.pairs.vectors[ordered].astype(np.float32))
        return batch


def packed_features(tokens: QuestionTokens, first_position: int) -> Featurize:
    """Features without padding, for a model in `packed_attention`."""
    return lambda questions: pack(tokens, questions, first_position)
