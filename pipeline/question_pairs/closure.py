"""Further pairs without a teacher, from the graph of labelled pairs: what follows where duplicates are transitive.

Questions that chains of duplicates join ask the same, so all pairs within such a cluster are duplicates. Where one
question of a cluster is labelled as different from one of another cluster, so are all others of the two. Both hold as
far as the labels are right: one wrong duplicate joins two clusters, so large clusters are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import PipelineError
from pipeline.question_pairs.questions import QuestionIndex, meaning_groups, pair_numbers, question_keys, stand_in
from pipeline.question_pairs.schema import PAIR_SCHEMA, PairTable

_AT_ONCE = 4_000_000
"""Pairs of questions that are looked at together: some 200 MB."""


def closed_pairs(
    train: PairTable, seed: int, largest: int = 10, per_cluster_pair: int = 3, held_out: Sequence[PairTable] = ()
) -> PairTable:
    """The pairs that follow from labelled ones, and are not labelled themselves.

    - Duplicates: the other pairs within each cluster of at most `largest` questions.
    - Other pairs: those between two clusters of at most `largest` questions each, of which a pair is labelled as
      different; at most `per_cluster_pair` of each two clusters, drawn by the seed.

    A cluster with a pair that is labelled as different contradicts itself, and nothing is concluded from it.

    Args:
        held_out: tables of the other sides; no pair has a question that stands in one of them.

    Returns:
        Duplicates first; both in the order of their questions in `QuestionIndex`. Each question stands there in its
        first wording and with its first id; ids of pairs go on from the largest of the table. The
        origin's source says that the pairs follow from others.

    Raises:
        PipelineError: when `largest` is below 2, or `per_cluster_pair` below 0.
    """
    if largest < 2 or per_cluster_pair < 0:
        raise PipelineError(
            f"nothing follows from clusters of at most {largest} questions with at most {per_cluster_pair} other pairs "
            "of each two: take at least 2 and 0"
        )
    index = QuestionIndex.of(train)
    texts = pa.array(index.texts, pa.large_string())
    is_blank, is_held = np.zeros((2, index.questions), dtype=bool)
    is_blank[index.question[pc.equal(question_keys(texts), "").to_numpy(zero_copy_only=False)]] = True
    is_held[index.question[stand_in(texts, held_out)]] = True
    first, second, labels = index.first_question, index.second_question, train.labels
    has_both = ~(is_blank[first] | is_blank[second])
    first, second, labels = first[has_both], second[has_both], labels[has_both]
    labelled = _Labelled(np.unique(pair_numbers(first, second, index.questions)), index.questions)
    clusters = _Clusters.of_groups(meaning_groups(index.questions, first, second, labels), first, second, labels)
    clusters = clusters.without(clusters.is_contradictory | (clusters.sizes > largest), is_held | is_blank)
    differ = labels == 0
    duplicates = _duplicates(clusters, labelled)
    others = _others(clusters, labelled, first[differ], second[differ], per_cluster_pair, np.random.default_rng(seed))
    return _table(train, index, duplicates, others)


@dataclass(frozen=True)
class _Labelled:
    """The labelled pairs: their numbers, ascending, and how many questions there are."""

    numbers: np.ndarray
    questions: int

    def has(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Whether each pair is labelled, either way round: bool of shape (pairs,)."""
        return np.isin(pair_numbers(first, second, self.questions), self.numbers)


@dataclass(frozen=True)
class _Clusters:
    """Questions that ask the same by chains of duplicates.

    Attributes:
        of: cluster of each question, int64 of shape (questions,).
        members: questions, cluster by cluster and ascending in each.
        sizes: how many members each cluster has, int64 of shape (clusters,).
        is_contradictory: whether two questions of it are labelled as different, bool of shape (clusters,).
    """

    of: np.ndarray
    members: np.ndarray
    sizes: np.ndarray
    is_contradictory: np.ndarray

    @classmethod
    def of_groups(cls, groups: np.ndarray, first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> "_Clusters":
        """The clusters of `meaning_groups`."""
        sizes = np.bincount(groups)
        is_contradictory = np.zeros(len(sizes), dtype=bool)
        is_contradictory[groups[first[(labels == 0) & (groups[first] == groups[second])]]] = True
        return cls(groups, np.argsort(groups, kind="stable"), sizes, is_contradictory)

    def without(self, is_left_out: np.ndarray, is_no_member: np.ndarray) -> "_Clusters":
        """Some clusters, and some questions of all, left out: bool of shape (clusters,) and (questions,)."""
        kept = self.members[~is_left_out[self.of[self.members]] & ~is_no_member[self.members]]
        return _Clusters(self.of, kept, np.bincount(self.of[kept], minlength=len(self.sizes)), self.is_contradictory)

    def products(self, left: np.ndarray, right: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield (position in `left`, question of the left cluster, of the right one) of all pairs, block by block."""
        starts = np.cumsum(self.sizes) - self.sizes
        ends = np.cumsum(self.sizes[left] * self.sizes[right])
        begin = 0
        while begin < len(left):
            done = ends[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, done + _AT_ONCE, side="right")))
            counts, widths = np.diff(ends[begin:end], prepend=done), self.sizes[right[begin:end]]
            which = np.repeat(np.arange(end - begin), counts)
            at = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
            row, column = np.divmod(at, widths[which])
            yield (
                which + begin,
                self.members[starts[left[begin:end]][which] + row],
                self.members[starts[right[begin:end]][which] + column],
            )
            begin = end


def _duplicates(clusters: _Clusters, labelled: _Labelled) -> np.ndarray:
    """The pairs within the clusters that aren't labelled: int64 of shape (2, pairs)."""
    several = np.flatnonzero(clusters.sizes > 1)
    found = [np.empty((2, 0), dtype=np.int64)]
    for _, first, second in clusters.products(several, several):
        once = first < second
        first, second = first[once], second[once]
        found.append(np.stack([first, second])[:, ~labelled.has(first, second)])
    return np.concatenate(found, axis=1)


def _others(
    clusters: _Clusters,
    labelled: _Labelled,
    first: np.ndarray,
    second: np.ndarray,
    most: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """At most so many unlabelled pairs between each two clusters that differ: int64 of shape (2, pairs)."""
    of, n = clusters.of, len(clusters.sizes)
    known = np.unique(pair_numbers(of[first], of[second], max(n, 1)))
    left, right = np.divmod(known, max(n, 1))
    worth = (left != right) & (clusters.sizes[left] * clusters.sizes[right] > 0)
    found = [np.empty((2, 0), dtype=np.int64)]
    for which, one, other in clusters.products(left[worth], right[worth]):
        free = ~labelled.has(one, other)
        which, one, other = which[free], one[free], other[free]
        order = np.lexsort((generator.random(len(which)), which))
        rank = np.arange(len(order)) - np.searchsorted(which[order], which[order])
        chosen = np.sort(order[rank < most])
        found.append(np.stack([one[chosen], other[chosen]]))
    return np.concatenate(found, axis=1)


def _table(train: PairTable, index: QuestionIndex, duplicates: np.ndarray, others: np.ndarray) -> PairTable:
    pairs = train.pairs
    # Row by row, each question where it stands first.
    at = np.unique(np.column_stack([index.first_question, index.second_question]).ravel(), return_index=True)[1]
    ids = pairs[["question1_id", "question2_id"]].to_numpy().ravel()[at]
    texts = pairs[["question1", "question2"]].to_numpy(object).ravel()[at]
    both = [np.sort(part, axis=0) for part in (duplicates, others)]
    first, second = np.concatenate([part[:, np.lexsort((part[1], part[0]))] for part in both], axis=1)
    begin = int(pairs["pair_id"].max()) + 1 if len(pairs) else 0
    columns = {
        "pair_id": pa.array(np.arange(begin, begin + len(first)), pa.int64()),
        "question1_id": pa.array(ids[first], pa.int64()),
        "question2_id": pa.array(ids[second], pa.int64()),
        "question1": pa.array(texts[first], pa.large_string()),
        "question2": pa.array(texts[second], pa.large_string()),
        "is_duplicate": pa.array(np.arange(len(first)) < duplicates.shape[1]),
    }
    origin = train.origin.model_copy(update={"source": f"what follows from the labels of {train.origin.source}"})
    return PairTable(pa.table(columns, PAIR_SCHEMA).to_pandas(), origin)
