"""The share of duplicates is found from scores, and corrects what a calibration on other pairs says."""

import numpy as np
import pytest
from deciding_model import made_decision
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.duplicates.prior import estimated_prior, given_prior, prior_on_dev, share_on_dev
from pipeline.models.decision import Decision

DECISION = made_decision(pairs=20_000)


def scores(share: float, pairs: int = 60_000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of pairs like the dev split's, but for the share of duplicates."""
    random = np.random.default_rng(seed)
    labels = random.random(pairs) < share
    return (0.55 + 0.25 * labels + 0.12 * random.normal(size=pairs)).astype(np.float32), labels


def above(decision: Decision, share: float, floor: float) -> tuple[np.ndarray, np.ndarray]:
    cosine, labels = scores(share)
    return cosine[cosine >= floor], labels[cosine >= floor]


@settings(max_examples=12, deadline=None)
@given(st.floats(0.02, 0.6), st.floats(0.5, 0.75))
def test_the_share_from_the_floor_on_is_estimated_from_the_scores_alone(share: float, floor: float) -> None:
    cosine, labels = above(DECISION, share, floor)
    found = estimated_prior(DECISION, floor, cosine)
    assert found.how == "estimated"
    assert found.share == pytest.approx(labels.mean(), abs=0.06)


def test_a_corrected_probability_is_right_as_often_as_it_says_where_duplicates_are_rare() -> None:
    floor = DECISION.threshold
    cosine, labels = above(DECISION, 0.03, floor)
    prior = estimated_prior(DECISION, floor, cosine)
    corrected = DECISION.calibration.probability(cosine, prior.equivalent)
    as_on_dev = DECISION.calibration.probability(cosine)
    assert abs(corrected.mean() - labels.mean()) < 0.05
    assert as_on_dev.mean() - labels.mean() > 0.3
    threshold = DECISION.calibration.cosine_of(0.5, prior.equivalent)
    # Fewer pairs are called wrongly than by the threshold of the dev split.
    assert ((cosine >= threshold) != labels).mean() < (~labels).mean()


def test_a_given_prior_is_taken_and_that_of_the_dev_split_changes_nothing() -> None:
    floor = DECISION.threshold
    on_dev = share_on_dev(DECISION, floor)
    same = given_prior(DECISION, floor, on_dev)
    assert same.equivalent == pytest.approx(DECISION.calibration.positive_rate)
    assert same.how == "given"
    assert prior_on_dev(DECISION, floor).equivalent == DECISION.calibration.positive_rate
    assert given_prior(DECISION, floor, 0.05).equivalent < same.equivalent
    assert on_dev > DECISION.calibration.positive_rate


def test_no_pair_at_all_leaves_the_prior_as_it_is_and_none_that_fits_is_told() -> None:
    nothing = estimated_prior(DECISION, 0.7, np.empty(0, dtype=np.float32))
    assert nothing.equivalent == DECISION.calibration.positive_rate
    assert not nothing.is_at_bound
    assert estimated_prior(DECISION, 0.6, np.full(5_000, 0.6, dtype=np.float32)).is_at_bound
