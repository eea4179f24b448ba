"""Checks that drawn silver pairs have scores as the labelled ones, where there are enough, and are candidates."""

import numpy as np
import pytest
from effort import tries
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import PipelineError
from pipeline.distillation.options import SilverOptions
from pipeline.distillation.resample import _density, resample, score_distance


def scores_of(seed: int, size: int, positive: float, sharpness: float = 1.0) -> np.ndarray:
    """Scores as a calibrated teacher gives: most near 0 or 1, some between."""
    generator = np.random.default_rng(seed)
    is_positive = generator.random(size) < positive
    return np.where(is_positive, generator.beta(4 * sharpness, 1, size), generator.beta(1, 4 * sharpness, size))


def shares(scores: np.ndarray, bins: int = 20) -> np.ndarray:
    counts: np.ndarray = np.histogram(scores, bins, (0, 1))[0] / len(scores)
    return counts


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 5.0])
@pytest.mark.parametrize(("in_gold", "in_silver"), [(0.4, 0.05), (0.4, 0.4), (0.1, 0.6), (1.0, 0.3)])
def test_the_histogram_of_what_is_kept_is_golds_where_silver_has_enough(
    in_gold: float, in_silver: float, sharpness: float
) -> None:
    gold, silver = scores_of(1, 5_000, in_gold, sharpness), scores_of(2, 60_000, in_silver, sharpness)
    drawn = resample(silver, gold, 2_000, seed=0)
    assert len(drawn.kept) == 2_000
    # Without resampling they are as far apart as the shares of positives make them.
    if abs(in_gold - in_silver) > 0.1:
        assert score_distance(silver, gold) > 0.15
    assert drawn.exhausted < 0.02
    assert drawn.distance < 0.08
    assert np.abs(shares(silver[drawn.kept]) - shares(gold)).max() < 0.04
    assert drawn.distance == score_distance(silver[drawn.kept], gold)


def test_where_silver_has_too_few_all_of_them_are_kept_and_the_rest_keeps_its_proportions() -> None:
    gold = scores_of(1, 5_000, 0.5)
    silver = np.concatenate([scores_of(2, 20_000, 0.0), np.linspace(0.9, 1, 300)])
    drawn = resample(silver, gold, 4_000, seed=0)
    assert len(drawn.kept) == 4_000
    assert set(range(20_050, 20_300)) <= set(drawn.kept.tolist())
    assert 0.3 < drawn.exhausted < 0.7
    assert drawn.distance > 0.2
    low, of_gold = silver[drawn.kept], gold[gold < 0.4]
    assert score_distance(low[low < 0.4], of_gold) < 0.06


@settings(derandomize=True, deadline=None, max_examples=tries(150))
@given(
    silver=st.lists(st.floats(0, 1), max_size=60),
    gold=st.lists(st.floats(0, 1), min_size=2, max_size=40),
    wanted=st.integers(1, 80),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_kept_are_so_many_candidates_each_once(
    silver: list[float], gold: list[float], wanted: int, seed: int
) -> None:
    drawn = resample(np.array(silver), np.array(gold), wanted, seed)
    kept = drawn.kept.tolist()
    assert drawn.kept.dtype == np.int64
    assert kept == sorted(set(kept))
    assert set(kept) <= set(range(len(silver)))
    assert len(kept) == min(wanted, len(silver))
    assert 0 <= drawn.exhausted <= 1
    again = resample(np.array(silver), np.array(gold), wanted, seed)
    np.testing.assert_array_equal(again.kept, drawn.kept)


def test_the_seed_decides_which_of_the_equals() -> None:
    gold, silver = scores_of(1, 500, 0.4), scores_of(2, 3_000, 0.4)
    draws = [resample(silver, gold, 300, seed).kept.tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    alike = resample(np.full(1_000, 0.5), np.full(10, 0.5), 100, seed=3).kept
    assert len(alike) == 100
    assert np.abs(np.histogram(alike, 4, (0, 1_000))[0] - 25).max() < 15


def test_scores_that_no_gold_pair_has_are_not_drawn() -> None:
    gold, silver = np.linspace(0, 0.1, 500), np.linspace(0, 1, 10_000)
    drawn = resample(silver, gold, 300, seed=0)
    assert silver[drawn.kept].max() < 0.2


def test_the_density_of_even_scores_is_even_up_to_0_and_1() -> None:
    even = np.linspace(0, 1, 20_001)
    for bandwidth in (0.01, 0.1):
        np.testing.assert_allclose(_density(even, bandwidth), 1, atol=0.01)
    # Scores at the very edge are in the density too, whole.
    np.testing.assert_allclose(_density(np.zeros(9), 0.05).mean(), 1, atol=0.01)


@pytest.mark.parametrize(
    ("silver", "gold", "wanted", "said"),
    [
        ([0.5, np.nan], [0.1, 0.2], 1, "silver pair 2 has the score nan, which is no probability"),
        ([0.5], [0.1, 1.5], 1, "gold pair 2 has the score 1.5"),
        ([0.5], [0.1], 1, "takes two gold scores or more, not 1"),
        ([0.5], [0.1, 0.2], 0, "0 silver pairs are wanted"),
    ],
)
def test_what_has_no_distribution_is_refused_in_one_line(
    silver: list[float], gold: list[float], wanted: int, said: str
) -> None:
    with pytest.raises(PipelineError, match=said) as caught:
        resample(np.array(silver), np.array(gold), wanted, seed=0)
    assert len(str(caught.value).splitlines()) == 1


def test_the_wanted_number_is_a_multiple_of_gold() -> None:
    assert [SilverOptions(pairs_per_gold=times).wanted_pairs(1_001) for times in (0.5, 1, 2.5)] == [500, 1_001, 2_502]
