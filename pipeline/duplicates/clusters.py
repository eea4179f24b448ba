"""Star clusters: which questions of a corpus mean the same, by the pairs that were found."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.vectors.pairs import CosinePairs


@dataclass(frozen=True)
class Clusters:
    """Questions that mean the same, each at or above a threshold to the representative of its cluster.

    Attributes:
        representative: number of the question that stands for each question, int64 of shape (questions,); its own
            number for one that stands alone, or for its cluster.
        cosine: of each question to its representative, float32 of shape (questions,); 1 for a representative.
    """

    representative: np.ndarray
    cosine: np.ndarray

    @cached_property
    def sizes(self) -> np.ndarray:
        """How many questions each question stands for, itself included: int64 of shape (questions,)."""
        return np.bincount(self.representative, minlength=len(self.representative))

    @property
    def count(self) -> int:
        """How many clusters have more than one question."""
        return int((self.sizes > 1).sum())

    @property
    def removable(self) -> int:
        """How many questions another one stands for."""
        return int((self.representative != np.arange(len(self.representative))).sum())

    @cached_property
    def largest_first(self) -> np.ndarray:
        """Representatives of clusters of more than one question, the largest cluster first: int64 of shape (count,)."""
        found = np.flatnonzero(self.sizes > 1)
        return found[np.lexsort((found, -self.sizes[found]))]

    def members(self, representative: int) -> np.ndarray:
        """The questions that it stands for, the most similar first and itself before all: int64 of shape (size,)."""
        found = np.flatnonzero(self.representative == representative)
        is_other = found != representative
        return found[np.lexsort((found, -self.cosine[found], is_other))]

    def weakest_link(self, representative: int) -> tuple[int, float]:
        """The member that is least similar to the representative, and that cosine."""
        last = int(self.members(representative)[-1])
        return last, float(self.cosine[last])


def clusters_of(pairs: CosinePairs) -> Clusters:
    """Clusters of stars: a representative, and the questions that are paired with it.

    Representatives are chosen greedily: the question with most pairs, then the one with most among those that are
    neither chosen nor paired with a chosen one (the lower number of equals). Every other question goes to its most
    similar representative. So two questions of a cluster are never further apart than two pairs, however long the
    chains are that connected components would follow. Star clustering: Aslam, Pelekhov and Rus, "The Star Clustering
    Algorithm for Static and Dynamic Information Organization", J. Graph Algorithms Appl. 8, 2004.
    """
    n = pairs.questions
    ends = np.concatenate([pairs.first, pairs.second])
    others = np.concatenate([pairs.second, pairs.first])
    by_end = np.argsort(ends, kind="stable")
    others = others[by_end]
    starts = np.concatenate([[0], np.cumsum(pairs.degree)])
    is_covered, is_chosen = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    paired = np.flatnonzero(pairs.degree)
    for question in paired[np.argsort(-pairs.degree[paired], kind="stable")].tolist():
        if not is_covered[question]:
            is_chosen[question] = is_covered[question] = True
            is_covered[others[starts[question] : starts[question + 1]]] = True
    representative, cosine = np.arange(n), np.ones(n, dtype=np.float32)
    cosines = np.concatenate([pairs.cosine, pairs.cosine])[by_end]
    members = ends[by_end]
    usable = is_chosen[others] & ~is_chosen[members]
    members, others, cosines = members[usable], others[usable], cosines[usable]
    # For each member its most similar representative, the lower number of equals.
    order = np.lexsort((others, -cosines, members))
    members, others, cosines = members[order], others[order], cosines[order]
    first = np.unique(members, return_index=True)[1]
    representative[members[first]], cosine[members[first]] = others[first], cosines[first]
    return Clusters(representative, cosine)
