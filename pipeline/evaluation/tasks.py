"""Duplicate mining and retrieval: the other two tasks of sentence-transformers' Quora examples, from embeddings.

Figures are those of the library's `ParaphraseMiningEvaluator` (with the transitive closure of the known duplicates, its
defaults) and `InformationRetrievalEvaluator` (every question that has a duplicate asks, all others answer), which would
embed the questions again and go through the candidates one by one.
"""

from typing import Any

import numpy as np
import torch

from pipeline.evaluation.measurement import TaskMetrics
from pipeline.evaluation.metrics import ends_of_ties
from pipeline.question_pairs.questions import QuestionIndex, meaning_groups

NEIGHBOURS = 100
"""Most similar questions that are looked at for each: the library's `top_k`."""

_MOST_PAIRS = 500_000
_QUERIES_AT_ONCE = 1_024


def task_metrics(
    embeddings: np.ndarray, index: QuestionIndex, labels: np.ndarray, most_questions: int
) -> TaskMetrics | None:
    """Both tasks on the questions of the first pairs. A question that is written in two ways stands there twice.

    Args:
        embeddings: float32 of shape (texts, dimensions), finite: one for each text of the index.
        index: of at least the labelled pairs, which come first in it.
        labels: 0 or 1, of shape (labelled pairs,).
        most_questions: pairs are taken in order as long as they have no more distinct texts: the work grows with
            their square.

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
    return TaskMetrics(
        questions=n,
        duplicate_pairs=known,
        **_mining(neighbours, scores, hits, known),
        **_retrieval(hits[relevant > 0], relevant[relevant > 0]),
    )


def _pairs_within(first: np.ndarray, second: np.ndarray, most: int) -> int:
    """How many pairs from the start have at most so many distinct questions."""
    in_order = np.stack([first, second], axis=1).ravel()
    is_new = np.zeros(len(in_order), dtype=bool)
    is_new[np.unique(in_order, return_index=True)[1]] = True
    return int(np.searchsorted(np.cumsum(is_new.reshape(-1, 2).sum(axis=1)), most, side="right"))


def _nearest(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest other questions of each by cosine, nearest first: indices and similarities, both (n, neighbours)."""
    vectors = torch.nn.functional.normalize(torch.from_numpy(embeddings), dim=1)
    n, k = len(vectors), min(NEIGHBOURS, len(vectors) - 1)
    indices, values = [], []
    for start in range(0, n, _QUERIES_AT_ONCE):
        similarities = vectors[start : start + _QUERIES_AT_ONCE] @ vectors.T
        rows = torch.arange(len(similarities))
        similarities[rows, rows + start] = -torch.inf
        best = similarities.topk(k, dim=1)
        indices.append(best.indices.numpy())
        values.append(best.values.numpy())
    return np.concatenate(indices), np.concatenate(values)


def _mining(neighbours: np.ndarray, scores: np.ndarray, hits: np.ndarray, known: int) -> dict[str, Any]:
    n, k = neighbours.shape
    query = np.repeat(np.arange(n), k)
    other = neighbours.ravel()
    low, high = np.minimum(query, other), np.maximum(query, other)
    # A pair may be found from both its ends.
    _, once = np.unique(low * n + high, return_index=True)
    order = once[np.argsort(-scores.ravel()[once], kind="stable")][:_MOST_PAIRS]
    ranked, correct = scores.ravel()[order], np.cumsum(hits.ravel()[order])
    cuts = ends_of_ties(ranked)
    found, extracted = correct[cuts], cuts + 1
    gained = np.diff(found, prepend=0)
    precision = found / extracted
    # The library looks for the best F1 where the cut before brought a further duplicate.
    f1s = np.where(gained > 0, 2 * found / (extracted + known), 0)
    best = int(np.argmax(f1s))
    following = ranked[min(cuts[best] + 1, len(ranked) - 1)]
    return {
        "mining_ap": float((precision * gained).sum() / known),
        "mining_f1": float(f1s[best]),
        "mining_precision": float(precision[best]),
        "mining_recall": float(found[best] / known),
        "mining_threshold": float((np.float64(ranked[cuts[best]]) + np.float64(following)) / 2),
    }


def _retrieval(hits: np.ndarray, relevant: np.ndarray) -> dict[str, Any]:
    """From the hits of each query among its neighbours, (queries, neighbours), and how many there are to find."""
    top = hits[:, :10]
    first_hit = np.argmax(top, axis=1)
    discounts = 1 / np.log2(np.arange(2, top.shape[1] + 2))
    ideal = np.cumsum(1 / np.log2(np.arange(2, 12)))[np.minimum(relevant, 10) - 1]
    return {
        "queries": len(hits),
        "mrr_at_10": float(np.where(top.any(axis=1), 1 / (first_hit + 1), 0).mean()),
        "ndcg_at_10": float(((top * discounts).sum(axis=1) / ideal).mean()),
        **{f"recall_at_{k}": float((hits[:, :k].sum(axis=1) / relevant).mean()) for k in (1, 10, 100)},
    }
