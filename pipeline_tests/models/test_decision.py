"""The decision that a model carries: what its thresholds give, what a prior changes, and how it is read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deciding_model import made_decision
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import DamagedError, ModelError, SettingError
from pipeline.evaluation.decision import decision_from, precision_curve
from pipeline.evaluation.measurement import SIMILARITIES
from pipeline.models.decision import (
    DECISION_FILE_NAME,
    decision_of_probability,
    read_decision,
    write_decision,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=60), st.floats(0.05, 1))
def test_the_threshold_of_a_precision_is_the_lowest_that_has_it(rows: list[tuple[int, bool]], wanted: float) -> None:
    cosine = np.array([score / 12 for score, _ in rows], dtype=np.float32)
    labels = np.array([int(label) for _, label in rows])
    if not 0 < labels.sum() < len(labels):
        return
    curve = precision_curve(cosine, labels)
    reached = []
    for score in np.unique(cosine):
        called = cosine >= score
        if labels[called].mean() >= wanted:
            reached.append(int(called.sum()))
    rate = float(labels.mean())
    points = [point for point in curve if point.precision(rate) >= wanted - 1e-9]
    assert (points[0].called if points else None) == (max(reached) if reached else None)
    for point in curve:
        called = cosine >= point.threshold
        assert int(called.sum()) == point.called
        assert float(labels[called].sum() / labels.sum()) == pytest.approx(point.recall)
        assert point.precision(rate) == pytest.approx(labels[called].mean())


def test_a_rarer_duplicate_needs_a_higher_threshold_for_the_same_precision() -> None:
    decision = made_decision()
    here, rare = decision.at_precision(0.9), decision.at_precision(0.9, prior=0.05)
    assert rare.threshold > here.threshold
    assert rare.precision(0.05) >= 0.9
    assert here.precision(decision.calibration.positive_rate) >= 0.9


def test_a_prior_changes_a_probability_as_bayes_rule_says() -> None:
    calibration = made_decision().calibration
    cosine = np.array([0.3, 0.6, 0.7, 0.9])
    before = calibration.probability(cosine)
    after = calibration.probability(cosine, prior=0.01)
    likelihood_ratio = before / (1 - before) / (calibration.positive_rate / (1 - calibration.positive_rate))
    odds = likelihood_ratio * 0.01 / 0.99
    np.testing.assert_allclose(after, odds / (1 + odds), rtol=1e-9)
    np.testing.assert_allclose(calibration.probability(cosine, calibration.positive_rate), before, rtol=1e-9)
    assert calibration.probability(np.array([calibration.cosine_of(0.7, 0.01)]), 0.01)[0] == pytest.approx(0.7)


def test_a_precision_that_no_threshold_has_is_refused_with_the_highest_there_is() -> None:
    random = np.random.default_rng(1)
    labels, cosine = np.arange(50) % 2, random.random(50).astype(np.float32)
    cosine[labels == 0] += 0.5
    scores = dict.fromkeys(SIMILARITIES, cosine)
    decision = decision_from(scores, labels, "m1", "v1")
    with pytest.raises(SettingError) as caught:
        decision.at_precision(0.99)
    assert caught.value.values["precision"] == 0.99
    with pytest.raises(SettingError) as caught:
        decision.at_precision(1.5)
    assert caught.value.values == {"precision": 1.5}
    with pytest.raises(ModelError):
        decision.calibration.cosine_of(0.5)


def test_a_curve_of_many_pairs_stays_short_and_keeps_its_most_precise_point() -> None:
    decision = made_decision(pairs=20_000)
    assert len(decision.curve) <= 200
    precisions = [point.precision(0.4) for point in decision.curve]
    assert precisions == sorted(precisions)
    assert decision.at_precision(0.9).precision(decision.calibration.positive_rate) == pytest.approx(0.9, abs=0.01)


def test_a_decision_is_read_as_it_was_written_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert read_decision(tmp_path) is None
    decision = made_decision()
    write_decision(tmp_path, decision)
    assert read_decision(tmp_path) == decision
    path = tmp_path / DECISION_FILE_NAME
    assert "slope * cosine + intercept" in json.loads(path.read_text())["calibration"]["formula"]
    path.write_text("{}")
    with pytest.raises(DamagedError) as caught:
        read_decision(tmp_path)
    assert caught.value.values == {"path": path}
    path.write_text(json.dumps({"schema": 99}))
    with pytest.raises(DamagedError) as caught:
        read_decision(tmp_path)
    assert caught.value.values == {"path": path}


def test_the_probability_of_an_earlier_release_decides_where_it_is_one_half() -> None:
    decision = decision_of_probability({"slope": 10.0, "intercept": -8.0, "fitted_on": 90, "model": "m1", "brier": 0.1})
    assert decision.threshold == pytest.approx(0.8)
    assert decision.calibration.probability(np.array([0.8]))[0] == pytest.approx(0.5)
    wrongs: tuple[Any, ...] = ({}, {"slope": 0, "intercept": 1, "fitted_on": 2, "model": "m"}, [], None)
    for wrong in wrongs:
        with pytest.raises(DamagedError):
            decision_of_probability(wrong)
