"""Measures duplicate mining and retrieval, the other two tasks of sentence-transformers' Quora examples.

The metrics are those of the library's `ParaphraseMiningEvaluator` (with its defaults, and the transitive closure of the
known duplicates) and `InformationRetrievalEvaluator` (each question that has a duplicate is a query, all others are the
corpus). The library's evaluators would embed the questions again and process the candidates one by one.

Intervals use the same bootstrap as those of the pairs: components of the question graph are drawn with replacement.
Retrieval draws the queries and keeps the corpus. In mining, the weight of a pair is the product of the draws of its
two components, or the draws of its component if both questions are in the same one: the bootstrap of networks by their
nodes (Snijders and Borgatti, "Non-parametric standard errors and tests for network statistics", Connections 22, 1999),
with components as nodes. Two copies of one component make no pairs, because every question would find itself. Known
duplicates are always within a component.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from pipeline.core.files import VERSION_LENGTH, bytes_sha256
from pipeline.evaluation.bootstrap import Bootstrap, Resampled
from pipeline.evaluation.measurement import ResampledTasks, TaskMetrics
from pipeline.evaluation.metrics import ends_of_ties
from pipeline.question_pairs.questions import DistinctQuestions, meaning_groups
from pipeline.vectors.blocks import ArrayVectors
from pipeline.vectors.nearest import nearest

NEIGHBOURS = 100
"""Number of nearest questions that are considered for each question: the library's `top_k`."""

_MOST_PAIRS = 500_000


def task_metrics(
    embeddings: np.ndarray, index: DistinctQuestions, labels: np.ndarray, most_questions: int
) -> TaskMetrics | None:
    """Measure both tasks on the texts of the first pairs. A question that is written in two ways is there twice.

    Args:
        embeddings: of each text of the index: float32 of shape (texts, dimensions), finite.
        index: of at least the labelled pairs, which come first in it.
        labels: 0 or 1, of shape (labelled pairs,).
        most_questions: maximum number of distinct texts. Pairs are taken in order. The work grows with the square.

    Returns:
        None when no two of the texts are duplicates.
    """
    pairs = _pairs_within(index.first[: len(labels)], index.second[: len(labels)], most_questions)
    texts = np.concatenate([index.first[:pairs], index.second[:pairs]])
    distinct = np.unique(texts)
    n = len(distinct)
    question = index.question
    groups = meaning_groups(index.questions, question[texts[:pairs]], question[texts[pairs:]], labels[:pairs])
    group = groups[question[distinct]]
    relevant = np.bincount(group)[group] - 1
    known = int(relevant.sum()) // 2
    if not known:
        return None
    neighbours, scores = _nearest(embeddings[distinct])
    hits = group[neighbours] == group[:, None]
    mined = _ranked(neighbours, scores, hits)
    asks = relevant > 0
    retrieved = _retrieval(hits[asks], relevant[asks])
    # With every label 1, the groups are the components of the question graph.
    together = meaning_groups(
        index.questions, question[texts[:pairs]], question[texts[pairs:]], np.ones(pairs, dtype=np.int64)
    )
    component = pd.factorize(together[question[distinct]])[0]
    bootstrap = Bootstrap.draw(component)
    return TaskMetrics(
        questions=n,
        duplicate_pairs=known,
        **_mining(mined, known),
        queries=int(asks.sum()),
        **{name: float(values.mean()) for name, values in retrieved.items()},
        resampled=ResampledTasks.of(
            _version_of_draws(bootstrap, pd.factorize(group)[0]),
            {
                **_resampled_mining(mined, known, relevant / 2, bootstrap),
                **_resampled_means(retrieved, bootstrap.subset(asks)),
            },
        ),
    )


def _pairs_within(first: np.ndarray, second: np.ndarray, most: int) -> int:
    """Return how many pairs, from the first, have at most `most` distinct texts."""
    in_order = np.stack([first, second], axis=1).ravel()
    is_new = np.zeros(len(in_order), dtype=bool)
    is_new[np.unique(in_order, return_index=True)[1]] = True
    return int(np.searchsorted(np.cumsum(is_new.reshape(-1, 2).sum(axis=1)), most, side="right"))


def _nearest(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest other questions of each question, and their cosines: both of shape (questions, neighbours)."""
    # Multiplied by torch, as in earlier releases: other rounding would make reports differ a little from stored ones.
    vectors = torch.nn.functional.normalize(torch.from_numpy(embeddings), dim=1).numpy()
    k = min(NEIGHBOURS, len(vectors) - 1)
    found = nearest(vectors, ArrayVectors(vectors), k, exclude_self=True, multiply=_product)
    return np.stack([one.indices for one in found]), np.stack([one.cosine for one in found])


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    product: np.ndarray = (torch.from_numpy(left) @ torch.from_numpy(right)).numpy()
    return product


@dataclass(frozen=True)
class _Ranked:
    """The pairs that the search for neighbours found, the most similar first.

    Attributes:
        low, high: the two questions of each pair, int64 of shape (pairs,).
        scores: their cosines.
        hits: whether they are known duplicates.
    """

    low: np.ndarray
    high: np.ndarray
    scores: np.ndarray
    hits: np.ndarray


def _ranked(neighbours: np.ndarray, scores: np.ndarray, hits: np.ndarray) -> _Ranked:
    n, k = neighbours.shape
    query = np.repeat(np.arange(n), k)
    other = neighbours.ravel()
    low, high = np.minimum(query, other), np.maximum(query, other)
    # Most pairs are found twice, from each of their questions.
    _, once = np.unique(low * n + high, return_index=True)
    order = once[np.argsort(-scores.ravel()[once], kind="stable")][:_MOST_PAIRS]
    return _Ranked(low[order], high[order], scores.ravel()[order], hits.ravel()[order])


@dataclass(frozen=True)
class _Cuts:
    """The ranks at which precision is measured: the ends of ties that have a known duplicate.

    Attributes:
        ends: the ranks, from 0.
        found, extracted: number of known duplicates, and of pairs, up to each rank.
    """

    ends: np.ndarray
    found: np.ndarray
    extracted: np.ndarray

    @classmethod
    def of(cls, mined: _Ranked) -> "_Cuts":
        ends = ends_of_ties(mined.scores)
        found = np.cumsum(mined.hits)[ends]
        gains = np.diff(found, prepend=0) > 0
        return cls(ends[gains], found[gains], ends[gains] + 1)

    def best(self, known: int) -> int:
        """Return the cut with the best F1. The library considers only these cuts."""
        return int(np.argmax(2 * self.found / (self.extracted + known)))


def _mining(mined: _Ranked, known: int) -> dict[str, float]:
    cuts = _Cuts.of(mined)
    if not len(cuts.ends):
        # No known duplicate is among the nearest neighbours of the other.
        nothing = {f"mining_{name}": 0.0 for name in ("ap", "f1", "precision", "recall")}
        return {**nothing, "mining_threshold": float(mined.scores[0])}
    best = cuts.best(known)
    found, extracted, end = cuts.found[best], cuts.extracted[best], cuts.ends[best]
    following = mined.scores[min(end + 1, len(mined.scores) - 1)]
    gained = np.diff(cuts.found, prepend=0)
    return {
        "mining_ap": float((cuts.found / cuts.extracted * gained).sum() / known),
        "mining_f1": float(2 * found / (extracted + known)),
        "mining_precision": float(found / extracted),
        "mining_recall": float(found / known),
        "mining_threshold": float((np.float64(mined.scores[end]) + np.float64(following)) / 2),
    }


def _resampled_mining(
    mined: _Ranked, known: int, known_pairs: np.ndarray, bootstrap: Bootstrap
) -> dict[str, Resampled]:
    """Return average precision, and F1 at the best threshold of all pairs, in each replicate.

    Args:
        known_pairs: number of known duplicate pairs of each question, half of each pair for each of its two questions:
            of shape (questions,).
    """
    (all_known,) = bootstrap.totals(known_pairs)
    cuts = _Cuts.of(mined)
    if not len(cuts.ends):
        return {name: np.zeros(len(all_known)) for name in ("mining_ap", "mining_f1")}
    best, last = cuts.best(known), cuts.ends[-1] + 1
    one, other = bootstrap.component[mined.low[:last]], bootstrap.component[mined.high[:last]]
    hits = np.flatnonzero(mined.hits[:last])
    cut_of_hit, component_of_hit = np.searchsorted(cuts.ends, hits), one[hits]
    # The weight of a pair within a component is its component's draws times 1: the draws of an extra last component.
    other = np.where(one == other, bootstrap.counts.shape[1], other)
    ap, f1 = np.full(len(all_known), np.nan), np.full(len(all_known), np.nan)
    for replicate, counts in enumerate(bootstrap.counts):
        if not all_known[replicate]:
            continue
        weights = counts[one] * np.append(counts, np.uint16(1))[other]
        extracted = np.cumsum(weights, dtype=np.int64)[cuts.ends]
        gained = np.bincount(cut_of_hit, weights=counts[component_of_hit], minlength=len(cuts.ends))
        found = np.cumsum(gained)
        ap[replicate] = gained @ (found / np.maximum(extracted, 1)) / all_known[replicate]
        f1[replicate] = 2 * found[best] / (extracted[best] + all_known[replicate])
    return {"mining_ap": ap, "mining_f1": f1}


def _retrieval(hits: np.ndarray, relevant: np.ndarray) -> dict[str, np.ndarray]:
    """Return the metrics of each query, each of shape (queries,).

    Args:
        hits: which of a query's neighbours are its duplicates: bool of shape (queries, neighbours).
        relevant: number of duplicates of each query, of shape (queries,).
    """
    top = hits[:, :10]
    first_hit = np.argmax(top, axis=1)
    discounts = 1 / np.log2(np.arange(2, top.shape[1] + 2))
    ideal = np.cumsum(1 / np.log2(np.arange(2, 12)))[np.minimum(relevant, 10) - 1]
    return {
        "mrr_at_10": np.where(top.any(axis=1), 1 / (first_hit + 1), 0),
        "ndcg_at_10": (top * discounts).sum(axis=1) / ideal,
        **{f"recall_at_{k}": hits[:, :k].sum(axis=1) / relevant for k in (1, 10, 100)},
    }


def _resampled_means(values: dict[str, np.ndarray], bootstrap: Bootstrap) -> dict[str, Resampled]:
    """Return the mean of each metric over the drawn queries, in each replicate; NaN if none is drawn."""
    size, *sums = bootstrap.totals(np.ones(len(bootstrap.component)), *values.values())
    with np.errstate(invalid="ignore"):
        return {name: total / size for name, total in zip(values, sums, strict=True)}


def _version_of_draws(bootstrap: Bootstrap, group: np.ndarray) -> str:
    """Return a hash that is equal if the same questions with the same known duplicates were drawn equally often."""
    drawn = (group.astype("<i8"), bootstrap.component.astype("<i8"), bootstrap.counts.astype("<u2"))
    return bytes_sha256(b"".join(part.tobytes() for part in drawn))[:VERSION_LENGTH]
