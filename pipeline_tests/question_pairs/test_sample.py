"""Checks the bundled sample: its form and its graph, and that counting words doesn't solve it."""

import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.questions import question_components
from pipeline.question_pairs.sources import load_audited


@pytest.fixture(scope="module")
def pairs() -> pd.DataFrame:
    return load_audited(PairSource()).table.pairs


@pytest.fixture(scope="module")
def topics(pairs: pd.DataFrame) -> np.ndarray:
    """Number of each pair's topic: the pairs of one hang together, and no two share a question."""
    return question_components(pairs)


@pytest.fixture(scope="module")
def overlap(pairs: pd.DataFrame) -> np.ndarray:
    """Share of common words among those of each pair."""
    sides = zip(pairs["question1"].map(words), pairs["question2"].map(words), strict=True)
    return np.array([len(one & two) / len(one | two) for one, two in sides])


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def test_size_and_share_of_duplicates_are_as_promised(pairs: pd.DataFrame) -> None:
    assert len(pairs) == 4_002
    assert 0.37 <= pairs["is_duplicate"].mean() <= 0.42
    audit = load_audited(PairSource()).audit
    assert audit.kept == audit.read
    assert set(audit.found.values()) == {0}


def test_there_are_many_topics_of_varied_size_in_shuffled_rows(topics: np.ndarray) -> None:
    sizes = np.bincount(topics)
    assert len(sizes) == 178
    assert (sizes.min(), sizes.max()) == (10, 35)
    assert (topics[1:] == topics[:-1]).mean() < 0.05


def test_duplicates_are_transitive(pairs: pd.DataFrame) -> None:
    # If A asks the same as B and B the same as C, no row may say that A and C differ.
    leader: dict[str, str] = {}

    def find(text: str) -> str:
        while leader.setdefault(text, text) != text:
            text = leader[text]
        return text

    for one, two, is_duplicate in pairs[["question1", "question2", "is_duplicate"]].to_numpy():
        if is_duplicate:
            leader[find(one.lower())] = find(two.lower())
    different = pairs[~pairs["is_duplicate"]][["question1", "question2"]].to_numpy()
    assert [(one, two) for one, two in different if find(one.lower()) == find(two.lower())] == []


def test_texts_are_filled_and_tidy(pairs: pd.DataFrame) -> None:
    texts = {*pairs["question1"], *pairs["question2"]}
    for broken in (
        r"[{}\[\]|=]",
        r"\s\s|^\s|\s$",
        r"\ba (?!one\b)(8|11\b|18\b|[aeio])",
        r"\ban [b-df-gj-np-tv-z]",
    ):
        assert [text for text in texts if re.search(broken, text)] == []


def test_both_labels_have_near_identical_and_reworded_pairs(pairs: pd.DataFrame, overlap: np.ndarray) -> None:
    duplicate = pairs["is_duplicate"].to_numpy()
    for label in (True, False):
        assert (overlap[duplicate == label] > 0.65).mean() > 0.2
        assert (overlap[duplicate == label] < 0.4).mean() > 0.3
        assert average_precision_score(duplicate, overlap if label else -overlap) < 0.6


def test_pairs_with_the_same_words_in_another_order_have_both_labels(pairs: pd.DataFrame) -> None:
    labels = set()
    for first, second, is_duplicate in pairs[["question1", "question2", "is_duplicate"]].to_numpy():
        one, two = (re.findall(r"\w+", text.lower()) for text in (first, second))
        if one != two and Counter(one) == Counter(two):
            labels.add(is_duplicate)
    assert labels == {True, False}


def test_bag_of_words_does_not_solve_it(pairs: pd.DataFrame, topics: np.ndarray, overlap: np.ndarray) -> None:
    # 0.8 would make the sample a counting exercise; a clear distance from it is part of the promise.
    fold = np.random.default_rng(0).permutation(topics.max() + 1)[topics] % 3
    duplicate = pairs["is_duplicate"].to_numpy()
    one, two = pairs["question1"].tolist(), pairs["question2"].tolist()
    lengths = np.array([abs(len(a.split()) - len(b.split())) / 10 for a, b in zip(one, two, strict=True)])
    scores = []
    for number in range(3):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, token_pattern=r"\b\w+\b")
        vectorizer.fit([text for row in train for text in (one[row], two[row])])
        left, right = vectorizer.transform(one), vectorizer.transform(two)
        common = left.multiply(right)
        cosine = np.asarray(common.sum(axis=1)).ravel()
        similarities = np.column_stack([cosine, cosine**2, overlap, overlap**2, lengths])
        plain = sp.hstack([abs(left - right), common]).tocsr()
        for features in (plain, sp.hstack([plain, sp.csr_matrix(similarities)]).tocsr()):
            model = LogisticRegression(max_iter=1000, random_state=0).fit(features[train], duplicate[train])
            scores.append(average_precision_score(duplicate[test], model.predict_proba(features[test])[:, 1]))
    assert max(np.mean(scores[0::2]), np.mean(scores[1::2])) < 0.72
