"""Slices of the eval pairs, which show where a model is good, and the baseline that reads no text."""

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
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.question_pairs.schema import PairTable

_WORD = re.compile(r"\w+(?:['’]\w+)?")
_NEGATION = re.compile(r"\b(?:no|not|never|none|nobody|nothing|neither|nor|without|cannot)\b|n['’]t\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Slicing:
    """One way to slice the eval pairs, and the slice of each pair.

    Attributes:
        name: what the pairs are sliced by.
        values: the slices, in the order of the report.
        of_pair: index of each pair's slice: int64 of shape (pairs,).
    """

    name: str
    values: tuple[str, ...]
    of_pair: np.ndarray


@dataclass(frozen=True)
class QuestionGraph:
    """Which questions are paired, in all three splits.

    Attributes:
        questions: number of distinct questions.
        first, second: the questions of each pair: int64 of shape (pairs,), the eval pairs first, then the training
            pairs, then the dev pairs.
        eval_pairs, train_pairs: number of eval and of training pairs.
    """

    questions: int
    first: np.ndarray
    second: np.ndarray
    eval_pairs: int
    train_pairs: int

    @classmethod
    def of(cls, eval_split: PairTable, train_split: PairTable, dev_split: PairTable) -> "QuestionGraph":
        """Build the graph of three splits."""
        index = DistinctQuestions.of(eval_split.followed_by(train_split).followed_by(dev_split))
        return cls(index.questions, index.first_question, index.second_question, len(eval_split), len(train_split))

    @property
    def frequency(self) -> np.ndarray:
        """The number of pairs of each question: int64 of shape (questions,)."""
        return np.bincount(np.concatenate([self.first, self.second]), minlength=self.questions)

    @property
    def training(self) -> slice:
        """The rows of the training pairs."""
        return slice(self.eval_pairs, self.eval_pairs + self.train_pairs)


def slicings(eval_split: PairTable, graph: QuestionGraph) -> list[Slicing]:
    """Slice the eval pairs in each of the ways that a report shows.

    The frequency of a question is counted in all three splits, since in production the pairs are known too, though not
    their labels.
    """
    n = graph.eval_pairs
    seen = np.zeros(graph.questions, dtype=bool)
    seen[graph.first[graph.training]] = seen[graph.second[graph.training]] = True
    frequency = graph.frequency
    a, b = graph.first[:n], graph.second[:n]
    # Only the texts of the eval pairs are split into words: the other splits are many times larger.
    index = DistinctQuestions.of(eval_split)
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
        Slicing(SEEN, ("both", "one", "none"), 2 - (seen[a].astype(np.int64) + seen[b])),
        _binned("words in the longer question", np.maximum(length[i], length[j]), (8, 12, 20)),
        Slicing(
            "words in common (Jaccard)",
            ("under 0.25", "0.25 to 0.5", "0.5 to 0.75", "0.75 and more"),
            np.digitize(overlap, (0.25, 0.5, 0.75)),
        ),
        _binned("pairs of the more frequent question", np.maximum(frequency[a], frequency[b]), (1, 3, 9)),
        Slicing("numbers", ("none", "the same", "different"), np.where(has_number, np.where(same_numbers, 1, 2), 0)),
        Slicing("negation", ("none", "in one", "in both"), negated[i].astype(np.int64) + negated[j]),
    ]


def _binned(name: str, numbers: np.ndarray, ends: tuple[int, ...]) -> Slicing:
    """Slice by whole numbers: one slice up to each of `ends`, and one for all higher numbers."""
    starts = (1, *(end + 1 for end in ends[:-1]))
    labels = [f"{start} to {end}" if start < end else f"{end}" for start, end in zip(starts, ends, strict=True)]
    return Slicing(name, (*labels, f"over {ends[-1]}"), np.digitize(numbers, ends, right=True))


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a or b else 1.0


def slice_results(
    sliced: list[Slicing], cosine: np.ndarray, labels: np.ndarray, bootstrap: Bootstrap
) -> Iterator[Slice]:
    """Yield each slice that has pairs, with its average precision."""
    for slicing in sliced:
        for number, value in enumerate(slicing.values):
            rows = np.flatnonzero(slicing.of_pair == number)
            if not len(rows):
                continue
            scores, truth = cosine[rows], labels[rows]
            ap = None
            if has_both_classes(truth):
                resampled = bootstrap.subset(rows).average_precision(scores, truth)
                ap = interval(float(average_precision_score(truth, scores)), resampled)
            yield Slice(name=slicing.name, value=value, pairs=len(rows), positive_rate=float(truth.mean()), ap=ap)


def graph_only_scores(graph: QuestionGraph, train_labels: np.ndarray) -> np.ndarray | None:
    """Predict which eval pairs are duplicates from the graph alone, without any text.

    The features are the frequencies of both questions and the number of questions that are paired with both, over all
    three splits. A gradient-boosted classifier is trained on the training labels. On Quora's pairs it does well (Zhang
    et al., "Selection Bias Explorations and Debias Methods for Natural Language Sentence Matching Datasets", ACL 2019),
    which shows how much of a result is due to how the pairs were collected.

    Returns:
        Scores of the eval pairs: float64 of shape (eval pairs,). None when all training labels are the same.
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
