"""Duplicate mining and retrieval give the figures of sentence-transformers' own evaluators."""

import numpy as np
import pytest
import torch
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.util import paraphrase_mining_embeddings, semantic_search

from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.measurement import TaskMetrics
from pipeline.evaluation.tasks import NEIGHBOURS, task_metrics
from pipeline.question_pairs.questions import DistinctQuestions

GROUPS, SIZE = 40, 4


def questions() -> tuple[np.ndarray, DistinctQuestions, np.ndarray]:
    """Embeddings of groups that ask the same, pairs, and their labels: chains of duplicates within groups, others
    between them."""
    random = np.random.default_rng(5)
    centres = np.repeat(random.normal(size=(GROUPS, 12)), SIZE, axis=0)
    embeddings = (centres + random.normal(size=centres.shape) * 0.8).astype(np.float32)
    n = len(embeddings)
    chain = np.array([(i, i + 1) for i in range(n - 1) if i // SIZE == (i + 1) // SIZE])
    others = np.array([(i, (i + SIZE) % n) for i in range(n)])
    pairs = np.concatenate([chain, others])
    index = DistinctQuestions([f"question {i}" for i in range(n)], pairs[:, 0], pairs[:, 1])
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
    index = DistinctQuestions(texts, np.array([0, 1]), np.array([2, 3]))
    # No pair is labelled as a duplicate: the two spellings alone are known to mean the same.
    found = task_metrics(embeddings, index, np.zeros(2, dtype=np.int64), 100)
    assert found is not None
    assert (found.questions, found.duplicate_pairs, found.queries) == (4, 1, 2)
    assert (found.recall_at_1, found.mining_ap) == (1, 1)


def test_pairs_behind_the_labelled_ones_play_no_part() -> None:
    embeddings, index, labels = questions()
    # The index also has the pairs of another split, as it does when a model is measured.
    n = len(embeddings)
    longer = DistinctQuestions(
        [*index.texts, "another question", "Question 0"], np.append(index.first, n), np.append(index.second, n + 1)
    )
    more = np.concatenate([embeddings, embeddings[:2]])
    assert task_metrics(more, longer, labels, 1_000) == task_metrics(embeddings, index, labels, 1_000)


def drawn_again(found: TaskMetrics, embeddings: np.ndarray, replicate: int) -> tuple[float, float]:
    """Mining AP and recall@10 of one replicate, by a walk down the pairs and over the questions."""
    counts = Bootstrap.draw(np.arange(GROUPS).repeat(SIZE)).counts[replicate]
    correct = total = extracted = known = 0.0
    for _, i, j in paraphrase_mining_embeddings(torch.from_numpy(embeddings)):
        one, other = int(counts[i // SIZE]), int(counts[j // SIZE])
        extracted += one if i // SIZE == j // SIZE else one * other
        if i // SIZE == j // SIZE:
            correct += one
            total += one * correct / extracted if one else 0
    known = float(counts.sum()) * SIZE * (SIZE - 1) / 2
    recalls, n = 0.0, 0
    for i, row in enumerate(semantic_search(torch.from_numpy(embeddings), torch.from_numpy(embeddings), top_k=11)):
        others = [hit["corpus_id"] for hit in row if hit["corpus_id"] != i][:10]
        recalls += counts[i // SIZE] * sum(j // SIZE == i // SIZE for j in others) / (SIZE - 1)
        n += counts[i // SIZE]
    return total / known, recalls / n


def test_each_replicate_draws_whole_groups_of_questions_and_two_models_have_the_same_draws() -> None:
    embeddings, index, labels = questions()
    # Each group of duplicates hangs together with no other, so that the components are known.
    alone = labels == 1
    index, labels = DistinctQuestions(index.texts, index.first[alone], index.second[alone]), labels[alone]
    found = task_metrics(embeddings, index, labels, 1_000)
    assert found is not None
    assert found.resampled is not None
    for replicate in (0, 1, 999):
        mining_ap, recall = drawn_again(found, embeddings, replicate)
        assert found.resampled.figure("mining_ap")[replicate] == pytest.approx(mining_ap, abs=1e-6)
        assert found.resampled.figure("recall_at_10")[replicate] == pytest.approx(recall, abs=1e-6)

    worse = task_metrics(embeddings + np.roll(embeddings, 1, axis=0), index, labels, 1_000)
    assert worse is not None
    assert worse.resampled is not None
    assert worse.resampled.draws == found.resampled.draws
    fewer = task_metrics(embeddings, index, labels, 80)
    assert fewer is not None
    assert fewer.resampled is not None
    assert fewer.resampled.draws != found.resampled.draws


def test_where_no_duplicate_is_among_the_neighbours_nothing_is_found() -> None:
    random = np.random.default_rng(1)
    centres = random.normal(size=(2, 8)) * 9
    # Two duplicates at opposite ends, with more questions about each than neighbours are looked at.
    embeddings = (centres.repeat(NEIGHBOURS + 2, axis=0) + random.normal(size=(2 * NEIGHBOURS + 4, 8)) / 9).astype("f4")
    last = len(embeddings) - 1
    index = DistinctQuestions(
        [f"question {i}" for i in range(len(embeddings))], np.arange(last), np.append(np.arange(1, last), 0)
    )
    index.first[-1], index.second[-1] = 0, last
    found = task_metrics(embeddings, index, np.append(np.zeros(last - 1, dtype=np.int64), 1), 1_000)
    assert found is not None
    assert (found.duplicate_pairs, found.mining_ap, found.mining_f1, found.recall_at_100) == (1, 0, 0, 0)
    assert found.resampled is not None
    assert set(found.resampled.figure("mining_ap")) == {0}


def a_corpus(seed: int) -> tuple[np.ndarray, np.ndarray, DistinctQuestions, np.ndarray]:
    """Embeddings of one corpus by two models, its pairs and labels. Three meanings of a topic hang together by pairs of
    others, and some meanings are harder for both models."""
    random = np.random.default_rng(seed)
    groups = 90
    of = np.repeat(np.arange(groups), 1 + random.geometric(0.5, size=groups))
    centres = random.normal(size=(groups // 3, 12)).repeat(3, axis=0) * 0.8 + random.normal(size=(groups, 12)) * 0.7
    hardness = random.uniform(0.5, 1.3, size=(groups, 1))[of]
    noise, more = random.normal(size=(2, len(of), 12))
    first = np.searchsorted(of, np.arange(groups))
    duplicates = [(i, i + 1) for i in range(len(of) - 1) if of[i] == of[i + 1]]
    others = [(first[i], first[i + 1]) for i in range(groups - 1) if i // 3 == (i + 1) // 3]
    pairs = np.array([*duplicates, *others])
    index = DistinctQuestions([f"question {i}" for i in range(len(of))], pairs[:, 0], pairs[:, 1])
    labels = np.repeat([1, 0], [len(duplicates), len(others)])
    models = (noise * 0.55, (0.8 * noise + 0.6 * more) * 0.5)
    before, after = ((centres[of] + hardness * errors).astype(np.float32) for errors in models)
    return before, after, index, labels


@pytest.mark.slow
def test_intervals_are_as_wide_as_differences_vary_from_corpus_to_corpus() -> None:
    measured = []
    for seed in range(24):
        before, after, index, labels = a_corpus(seed)
        found = [task_metrics(embeddings, index, labels, 10_000) for embeddings in (before, after)]
        measured.append([(tasks, tasks.resampled) for tasks in found if tasks and tasks.resampled])
    for name in ("mining_ap", "recall_at_10"):
        differences, spreads = [], []
        for (before_, drawn_before), (after_, drawn_after) in measured:
            differences.append(getattr(after_, name) - getattr(before_, name))
            spreads.append(np.nanstd(drawn_after.figure(name) - drawn_before.figure(name)))
        # The standard deviation of 24 figures is itself known to about 15 %.
        assert np.mean(spreads) == pytest.approx(np.std(differences, ddof=1), rel=0.35)
