"""What was mined answers questions, and clusters don't chain strangers together."""

import numpy as np
import pytest
from effort import exhaustive, tries
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import SettingError
from pipeline.duplicates.clusters import clusters_of
from pipeline.vectors.pairs import CosinePairs

EDGES = st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14), st.integers(80, 100)), max_size=40)


def pairs_of(edges: list[tuple[int, int, int]], questions: int = 15, floor: float = 0.8) -> CosinePairs:
    once = {(min(a, b), max(a, b)): percent / 100 for a, b, percent in edges if a != b}
    first = np.array([a for a, _ in once], dtype=np.int64)
    second = np.array([b for _, b in once], dtype=np.int64)
    return CosinePairs.of(questions, floor, first, second, np.array(list(once.values()), dtype=np.float32))


def test_a_chain_is_no_cluster() -> None:
    chain = clusters_of(pairs_of([(i, i + 1, 90) for i in range(14)]))
    # Connected components would make one cluster of all fifteen.
    assert chain.sizes.max() == 3
    assert (chain.cosine >= np.float32(0.9)).all()


def test_every_member_goes_to_its_most_similar_representative() -> None:
    # Two stars, around 0 and 5, and a question between them.
    star = [(0, i, 90) for i in (1, 2, 3)] + [(5, i, 90) for i in (6, 7, 8)]
    clusters = clusters_of(pairs_of([*star, (0, 4, 85), (5, 4, 95)]))
    assert clusters.representative[4] == 5
    assert clusters.members(5).tolist() == [5, 4, 6, 7, 8]
    weakest, cosine = clusters.weakest_link(5)
    assert weakest == 8
    assert cosine == pytest.approx(0.9)
    assert clusters.largest_first.tolist() == [5, 0]
    assert (clusters.count, clusters.removable) == (2, 7)


@exhaustive
@settings(max_examples=tries(50), deadline=None)
@given(EDGES)
def test_clusters_part_the_questions_and_each_member_is_paired_with_its_representative(
    edges: list[tuple[int, int, int]],
) -> None:
    pairs = pairs_of(edges)
    clusters = clusters_of(pairs)
    cosine = {
        (a, b): c for a, b, c in zip(pairs.first.tolist(), pairs.second.tolist(), pairs.cosine.tolist(), strict=True)
    }
    for question, representative in enumerate(clusters.representative.tolist()):
        assert clusters.representative[representative] == representative
        if question == representative:
            assert clusters.cosine[question] == 1
        else:
            key = (min(question, representative), max(question, representative))
            assert clusters.cosine[question] == pytest.approx(cosine[key])
    # Who has duplicates and stands alone has none that stands alone.
    alone = clusters.sizes[clusters.representative] == 1
    assert not (alone[pairs.first] & alone[pairs.second]).any()
    assert clusters.sizes.sum() == pairs.questions


@exhaustive
@settings(max_examples=tries(50), deadline=None)
@given(EDGES, st.integers(80, 100))
def test_another_threshold_gives_what_mining_from_there_would_have_given(
    edges: list[tuple[int, int, int]], percent: int
) -> None:
    threshold = float(np.float32(percent / 100))
    pairs = pairs_of(edges)
    once = {(min(a, b), max(a, b)): p for a, b, p in edges if a != b}
    higher = [(a, b, p) for (a, b), p in once.items() if p >= percent]
    again, expected = pairs.at(max(threshold, 0.8)), pairs_of(higher)
    assert again.first.tolist() == expected.first.tolist()
    assert again.second.tolist() == expected.second.tolist()
    assert again.duplicate_ratio == expected.duplicate_ratio


def test_what_lies_below_the_floor_is_not_known() -> None:
    pairs = pairs_of([(0, 1, 90), (2, 3, 80)])
    with pytest.raises(SettingError) as caught:
        pairs.at(0.7)
    assert caught.value.values == {"threshold": 0.7, "floor": 0.8}
    assert pairs.least_similar(1).first.tolist() == [2]
    assert pairs.duplicate_ratio == pytest.approx(4 / 15)


def test_a_corpus_without_a_pair_has_no_cluster_and_one_that_is_all_the_same_has_one() -> None:
    nothing = clusters_of(pairs_of([]))
    assert (nothing.count, nothing.removable, nothing.largest_first.tolist()) == (0, 0, [])
    everything = clusters_of(pairs_of([(a, b, 100) for a in range(15) for b in range(a)]))
    assert (everything.count, everything.removable) == (1, 14)
    empty = CosinePairs.of(0, 0.8, *(np.empty(0) for _ in range(3)))
    assert (empty.duplicate_ratio, clusters_of(empty).count) == (0.0, 0)
