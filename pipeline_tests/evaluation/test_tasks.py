"""Duplicate mining and retrieval give the figures of sentence-transformers' own evaluators."""

import numpy as np
import pytest
import torch
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.util import paraphrase_mining_embeddings, semantic_search

from pipeline.evaluation.tasks import task_metrics
from pipeline.question_pairs.questions import QuestionIndex

GROUPS, SIZE = 40, 4


def questions() -> tuple[np.ndarray, QuestionIndex, np.ndarray]:
    """Embeddings of groups that ask the same, pairs, and their labels: chains of duplicates within groups, others
    between them."""
    random = np.random.default_rng(5)
    centres = np.repeat(random.normal(size=(GROUPS, 12)), SIZE, axis=0)
    embeddings = (centres + random.normal(size=centres.shape) * 0.8).astype(np.float32)
    n = len(embeddings)
    chain = np.array([(i, i + 1) for i in range(n - 1) if i // SIZE == (i + 1) // SIZE])
    others = np.array([(i, (i + SIZE) % n) for i in range(n)])
    pairs = np.concatenate([chain, others])
    index = QuestionIndex([f"question {i}" for i in range(n)], pairs[:, 0], pairs[:, 1])
    return embeddings, index, np.repeat([1, 0], [len(chain), len(others)])


def test_retrieval_is_that_of_the_library() -> None:
    embeddings, index, labels = questions()
    found = task_metrics(embeddings, index, labels, 1_000)
    assert found is not None
    names = {str(i): str(i) for i in range(len(embeddings))}
    relevant = {
        str(i): {str(j) for j in range(len(embeddings)) if j != i and j // SIZE == i // SIZE}
        for i in range(len(embeddings))
    }
    evaluator = InformationRetrievalEvaluator(names, names, relevant, precision_recall_at_k=[1, 10, 100])
    # The library's search, without the question itself, and its metrics of what was found.
    hits = [
        [{"corpus_id": str(hit["corpus_id"]), "score": hit["score"]} for hit in row if hit["corpus_id"] != query]
        for query, row in enumerate(
            semantic_search(torch.from_numpy(embeddings), torch.from_numpy(embeddings), top_k=101)
        )
    ]
    theirs = evaluator.compute_metrics(hits)
    assert found.queries == len(embeddings)
    assert found.mrr_at_10 == pytest.approx(theirs["mrr@k"][10], abs=1e-6)
    assert found.ndcg_at_10 == pytest.approx(theirs["ndcg@k"][10], abs=1e-6)
    for k, value in ((1, found.recall_at_1), (10, found.recall_at_10), (100, found.recall_at_100)):
        assert value == pytest.approx(theirs["recall@k"][k], abs=1e-6)


def test_mining_is_that_of_a_walk_down_the_librarys_candidates() -> None:
    embeddings, index, labels = questions()
    found = task_metrics(embeddings, index, labels, 1_000)
    assert found is not None
    known = GROUPS * SIZE * (SIZE - 1) // 2
    assert found.duplicate_pairs == known
    correct, total, best = 0, 0.0, 0.0
    for rank, (_, i, j) in enumerate(paraphrase_mining_embeddings(torch.from_numpy(embeddings)), start=1):
        if i // SIZE == j // SIZE:
            correct += 1
            total += correct / rank
            best = max(best, 2 * correct / (rank + known))
    assert found.mining_ap == pytest.approx(total / known, abs=1e-6)
    assert found.mining_f1 == pytest.approx(best, abs=1e-6)


def test_without_duplicates_there_is_nothing_to_find() -> None:
    embeddings, index, labels = questions()
    assert task_metrics(embeddings, index, np.zeros_like(labels), 1_000) is None


def test_only_the_first_questions_take_part() -> None:
    embeddings, index, labels = questions()
    found = task_metrics(embeddings, index, labels, 30)
    assert found is not None
    assert 25 <= found.questions <= 30


def test_a_question_that_is_written_in_two_ways_is_a_known_duplicate_of_itself() -> None:
    random = np.random.default_rng(0)
    texts = ["Why?", " why? ", "How?", "When?", "Where?"]
    embeddings = random.normal(size=(5, 8)).astype(np.float32)
    embeddings[1] = embeddings[0] + 0.01
    index = QuestionIndex(texts, np.array([0, 1]), np.array([2, 3]))
    # No pair is labelled as a duplicate: the two spellings alone are known to mean the same.
    found = task_metrics(embeddings, index, np.zeros(2, dtype=np.int64), 100)
    assert found is not None
    assert (found.questions, found.duplicate_pairs, found.queries) == (4, 1, 2)
    assert (found.recall_at_1, found.mining_ap) == (1, 1)


def test_pairs_behind_the_labelled_ones_play_no_part() -> None:
    embeddings, index, labels = questions()
    # The index also has the pairs of another split, as it does when a model is measured.
    n = len(embeddings)
    longer = QuestionIndex(
        [*index.texts, "another question", "Question 0"], np.append(index.first, n), np.append(index.second, n + 1)
    )
    more = np.concatenate([embeddings, embeddings[:2]])
    assert task_metrics(more, longer, labels, 1_000) == task_metrics(embeddings, index, labels, 1_000)
