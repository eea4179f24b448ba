"""Known questions are found by their cosines, however they came and went, and whether or not there is an index."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pipeline.question_pairs.questions import question_key
from pipeline.serving.known_questions import KnownQuestions
from pipeline.vectors.blocks import ArrayVectors
from pipeline.vectors.index import why_no_index

DIMENSIONS = 6
NEVER = 1 << 40


def vector_of(text: str) -> np.ndarray:
    """A direction for each question; texts that ask the same have the same."""
    seed = list(question_key(text).encode())
    vector = np.random.default_rng(seed).normal(size=DIMENSIONS)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def vectors_of(texts: list[str]) -> np.ndarray:
    return np.stack([vector_of(text) for text in texts]) if texts else np.empty((0, DIMENSIONS), dtype=np.float32)


def known(texts: list[str], index_from: int = NEVER) -> KnownQuestions:
    return KnownQuestions(texts, ArrayVectors(vectors_of(texts)) if texts else None, index_from)


def check_against_comparing_with_all(found: KnownQuestions, expected: dict[str, str], query: str, top: int) -> None:
    (answer,) = found.nearest(vector_of(query)[None], top)
    cosines = {text: float(vector_of(text) @ vector_of(query)) for text in expected.values()}
    assert len(answer.questions) == min(top, len(expected))
    assert set(answer.questions) <= set(expected.values())
    np.testing.assert_allclose(answer.cosine, [cosines[text] for text in answer.questions], atol=1e-5)
    np.testing.assert_allclose(answer.cosine, sorted(cosines.values(), reverse=True)[:top], atol=1e-5)


class Coming(RuleBasedStateMachine):
    """Questions are added and removed, against a dictionary."""

    texts = st.lists(st.sampled_from([f"{word} {n}?" for word in ("How", "HOW", "Why") for n in range(8)]), max_size=12)

    def __init__(self) -> None:
        super().__init__()
        self.found = known(["How 1?", "Why 2?"])
        self.expected = {"how 1?": "How 1?", "why 2?": "Why 2?"}
        self.wordings = dict(self.expected)

    @rule(texts=texts)
    def add(self, texts: list[str]) -> None:
        new = 0
        for text in texts:
            key = question_key(text)
            new += key not in self.expected
            # The first wording stays, as in a corpus.
            self.wordings.setdefault(key, text)
            self.expected[key] = self.wordings[key]
        assert self.found.add(texts, vectors_of(texts)) == new

    @rule(texts=texts)
    def remove(self, texts: list[str]) -> None:
        gone = {question_key(text) for text in texts} & set(self.expected)
        assert self.found.remove(texts) == len(gone)
        for key in gone:
            del self.expected[key]

    @rule(query=st.sampled_from(["How 1?", "Who 9?"]), top=st.integers(1, 30))
    def search(self, query: str, top: int) -> None:
        check_against_comparing_with_all(self.found, self.expected, query, top)

    @invariant()
    def counts(self) -> None:
        assert len(self.found) == len(self.expected)
        assert self.found.are_known(["how 1?", "nobody"]) == ["how 1?" in self.expected, False]


TestComing = Coming.TestCase
TestComing.settings = settings(deadline=None, max_examples=60, stateful_step_count=15)


@pytest.mark.skipif(why_no_index() is not None, reason="needs faiss: the extra `serve`")
def test_an_index_finds_what_was_added_and_nothing_that_was_removed() -> None:
    texts = [f"question {n}" for n in range(2_000)]
    found = known(texts, index_from=1_000)
    assert found.kind == "index"
    assert found.recall > 0.9
    added = [f"added {n}" for n in range(300)]
    assert found.add(added, vectors_of(added)) == 300
    gone = texts[::3] + added[::3]
    assert found.remove(gone) == len(gone)
    hits = 0
    for text in [*texts, *added]:
        (answer,) = found.nearest(vector_of(text)[None], 3)
        assert not set(answer.questions) & set(gone)
        assert list(answer.cosine) == sorted(answer.cosine, reverse=True)
        hits += answer.questions[0] == text
    # Each lies in the list whose centre is nearest to it, which is the first to be looked through.
    assert hits == len(texts) + len(added) - len(gone)
    assert found.add(gone, vectors_of(gone)) == len(gone)
    assert len(found) == len(texts) + len(added)


@pytest.mark.parametrize("make", [lambda: known([]), lambda: emptied()])
def test_where_nothing_is_known_nothing_is_found(make: Callable[[], KnownQuestions]) -> None:
    found = make()
    (answer,) = found.nearest(vector_of("How?")[None], 5)
    assert (answer.questions, len(answer.cosine), len(found)) == ([], 0, 0)
    found.add(["How?"], vectors_of(["How?"]))
    assert found.nearest(vector_of("How?")[None], 5)[0].questions == ["How?"]


def emptied() -> KnownQuestions:
    found = known(["Who?", "What?"])
    found.remove(["who?", "what?"])
    return found
