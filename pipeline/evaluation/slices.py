"""Slices of the eval pairs: where a model is good, where it is not, and how much of a figure is a leak."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score

from pipeline.evaluation.bootstrap import Bootstrap, interval
from pipeline.evaluation.metrics import has_both_classes
from pipeline.evaluation.report import SEEN, Slice
from pipeline.question_pairs.questions import QuestionIndex
from pipeline.question_pairs.schema import PairTable

_WORD = re.compile(r"\w+(?:['’]\w+)?")
_NEGATION = re.compile(r"\b(?:no|not|never|none|nobody|nothing|neither|nor|without|cannot)\b|n['’]t\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Membership:
    """Which value of a slice each pair has.

    Attributes:
        values: the values, in the order of a report.
        of_pair: int64 of shape (pairs,): index of each pair's value.
    """

    name: str
    values: tuple[str, ...]
    of_pair: np.ndarray


@dataclass(frozen=True)
class QuestionGraph:
    """Who is paired with whom in all three splits.

    Attributes:
        questions: how many distinct ones there are.
        first, second: int64 of shape (pairs,): the questions of each pair, the eval pairs first, then the training
            pairs, then the dev pairs.
        eval_pairs, train_pairs: how many of each.
    """

    questions: int
    first: np.ndarray
    second: np.ndarray
    eval_pairs: int
    train_pairs: int

    @classmethod
    def of(cls, eval_split: PairTable, train_split: PairTable, dev_split: PairTable) -> "QuestionGraph":
        """Number the questions of the three splits."""
        index = QuestionIndex.of(eval_split.followed_by(train_split).followed_by(dev_split))
        return cls(index.questions, index.first_question, index.second_question, len(eval_split), len(train_split))

    @property
    def frequency(self) -> np.ndarray:
        """How many pairs each question stands in: int64 of shape (questions,)."""
        return np.bincount(np.concatenate([self.first, self.second]), minlength=self.questions)

    @property
    def training(self) -> slice:
        """Where the training pairs stand."""
        return slice(self.eval_pairs, self.eval_pairs + self.train_pairs)


def memberships(eval_split: PairTable, graph: QuestionGraph) -> list[Membership]:
    """How the eval pairs are sliced.

    How often a question occurs is counted in all three splits: in production the pairs are known too, though not their
    labels.
    """
    n = graph.eval_pairs
    seen = np.zeros(graph.questions, dtype=bool)
    seen[graph.first[graph.training]] = seen[graph.second[graph.training]] = True
    frequency = graph.frequency
    a, b = graph.first[:n], graph.second[:n]
    # Texts of the eval pairs only: the other splits have many times as many.
    index = QuestionIndex.of(eval_split)
    texts, i, j = index.texts, index.first, index.second
    words = [_WORD.findall(text.lower()) for text in texts]
    length = np.array([len(found) for found in words])
    distinct = [frozenset(found) for found in words]
    overlap = np.array([_jaccard(distinct[x], distinct[y]) for x, y in zip(i, j, strict=True)])
    numbers = [frozenset(_NUMBER.findall(text)) for text in texts]
    negated = np.array([bool(_NEGATION.search(text)) for text in texts])
    has_number = np.array([bool(numbers[x] or numbers[y]) for x, y in zip(i, j, strict=True)])
    same_numbers = np.array([numbers[x] == numbers[y] for x, y in zip(i, j, strict=True)])
    return [
        Membership(SEEN, ("both", "one", "none"), 2 - (seen[a].astype(np.int64) + seen[b])),
        _binned("words in the longer question", np.maximum(length[i], length[j]), (8, 12, 20)),
        Membership(
            "words in common (Jaccard)",
            ("under 0.25", "0.25 to 0.5", "0.5 to 0.75", "0.75 and more"),
            np.digitize(overlap, (0.25, 0.5, 0.75)),
        ),
        _binned("pairs of the more frequent question", np.maximum(frequency[a], frequency[b]), (1, 3, 9)),
        Membership("numbers", ("none", "the same", "different"), np.where(has_number, np.where(same_numbers, 1, 2), 0)),
        Membership("negation", ("none", "in one", "in both"), negated[i].astype(np.int64) + negated[j]),
    ]


def _binned(name: str, numbers: np.ndarray, ends: tuple[int, ...]) -> Membership:
    """Whole numbers in bins whose last members are `ends`, and one for all above."""
    starts = (1, *(end + 1 for end in ends[:-1]))
    labels = [f"{start} to {end}" if start < end else f"{end}" for start, end in zip(starts, ends, strict=True)]
    return Membership(name, (*labels, f"over {ends[-1]}"), np.digitize(numbers, ends, right=True))


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a or b else 1.0


def slice_results(
    sliced: list[Membership], cosine: np.ndarray, labels: np.ndarray, bootstrap: Bootstrap
) -> Iterator[Slice]:
    """Each non-empty slice's size, base rate and average precision."""
    for membership in sliced:
        for number, value in enumerate(membership.values):
            rows = np.flatnonzero(membership.of_pair == number)
            if not len(rows):
                continue
            scores, truth = cosine[rows], labels[rows]
            ap = None
            if has_both_classes(truth):
                resampled = bootstrap.subset(rows).average_precision(scores, truth)
                ap = interval(float(average_precision_score(truth, scores)), resampled)
            yield Slice(name=membership.name, value=value, pairs=len(rows), positive_rate=float(truth.mean()), ap=ap)


def graph_only_scores(graph: QuestionGraph, train_labels: np.ndarray) -> np.ndarray | None:
    """How likely each eval pair is a duplicate by who was paired with whom, without reading a word.

    Features are both questions' frequencies and how many questions were paired with both, over all three splits; a
    gradient-boosted classifier learns from the training labels. Zhang et al., "Selection Bias Explorations and Debias
    Methods for Natural Language Sentence Matching Datasets", ACL 2019: on Quora's pairs that is a strong hint, and it
    says nothing about the text.

    Returns:
        float64 of shape (eval pairs,), or None when the training labels are all the same.
    """
    if not has_both_classes(train_labels):
        return None
    size, first, second, frequency = graph.questions, graph.first, graph.second, graph.frequency
    ends = np.concatenate([first, second]), np.concatenate([second, first])
    neighbours = csr_array((np.ones(2 * len(first), dtype=np.int32), ends), shape=(size, size))
    neighbours.data[:] = 1
    common = np.asarray(neighbours[first].multiply(neighbours[second]).sum(axis=1)).ravel()
    features = np.stack(
        [np.minimum(frequency[first], frequency[second]), np.maximum(frequency[first], frequency[second]), common],
        axis=1,
    )
    model = HistGradientBoostingClassifier(max_iter=50, random_state=0, early_stopping=False)
    model.fit(features[graph.training], train_labels)
    scores: np.ndarray = model.predict_proba(features[: graph.eval_pairs])[:, 1]
    return scores
