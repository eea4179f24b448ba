"""Which thresholds, calibration and gains a report has, and which comparisons are refused."""

from dataclasses import replace

import numpy as np
import pytest
from made_reports import (
    FINE_TUNED,
    MODEL,
    a_training,
    as_an_earlier_release_stored_it,
    before_and_after,
    made,
    tasks_found,
)
from sklearn.metrics import brier_score_loss

from pipeline.core.errors import MismatchError
from pipeline.evaluation.decision import decision_from, platt
from pipeline.evaluation.measurement import SIMILARITIES
from pipeline.evaluation.report_builder import build_report, measured_calibration
from pipeline.models.decision import DecisionCalibration
from pipeline.question_pairs.schema import Splits


def test_thresholds_are_the_dev_splits_and_no_better_than_the_oracles() -> None:
    measured, data = made(0.1)
    report = build_report("pre_train", MODEL, measured, data)
    assert report.threshold_kind == "dev"
    assert report.calibration is not None
    for name in SIMILARITIES:
        assert report.operating[name].f1 <= report.oracle[name].f1
        assert report.operating[name].ap == pytest.approx(report.oracle[name].ap)
    np.testing.assert_array_equal(report.scores, measured.eval_scores["cosine"])


def test_without_a_dev_split_thresholds_are_oracle_and_there_is_no_probability() -> None:
    measured, data = made(0)
    report = build_report("pre_train", MODEL, measured, data)
    assert (report.threshold_kind, report.calibration) == ("oracle", None)
    assert report.cosine.f1 == pytest.approx(report.oracle["cosine"].f1)


def test_every_pair_is_in_one_slice_of_each_kind_and_a_model_gains_nothing_over_itself() -> None:
    measured, data = made(0.1)
    baseline = build_report("pre_train", MODEL, measured, data)
    report = build_report("post_train", MODEL, measured, data, baseline)
    for name in {part.name for part in report.slices}:
        assert sum(part.pairs for part in report.slices if part.name == name) == report.pairs
    assert report.ap_gain is not None
    assert (report.ap_gain.low, report.ap_gain.high) == (0, 0)


def test_a_report_keeps_the_scores_and_labels_of_its_pairs_and_the_baseline_that_it_beats() -> None:
    measured, data = made(0.1, likeness=2)
    baseline, report = before_and_after()
    np.testing.assert_array_equal(report.is_duplicate, data.eval.labels == 1)
    np.testing.assert_array_equal(report.scores, measured.eval_scores["cosine"])
    assert report.baseline == baseline
    assert report.gains["ap"].estimate == pytest.approx(report.cosine.ap - baseline.cosine.ap)
    assert report.gains["ap"].low > 0


def test_a_model_that_was_trained_on_other_rows_is_not_examined_on_these() -> None:
    measured, data = made(0.1)
    with pytest.raises(MismatchError) as caught:
        build_report("post_train", FINE_TUNED, measured, data, training=a_training("t9"))
    assert caught.value.make_again == "model"
    assert caught.value.values == {"trained_on": "t9", "current": data.train.data_version}


def test_a_calibrated_probability_is_right_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    cosine = random.uniform(0, 1, 20_000).astype(np.float32)
    labels = (random.random(20_000) < 1 / (1 + np.exp(-(8 * cosine - 5)))).astype(np.int64)
    slope, intercept = platt(cosine[:10_000], labels[:10_000])
    fitted = DecisionCalibration(slope=slope, intercept=intercept, fitted_on=10_000, positive_rate=0.4)
    found = measured_calibration(fitted, cosine[10_000:], labels[10_000:])
    assert found.slope == pytest.approx(8, abs=0.5)
    assert found.intercept == pytest.approx(-5, abs=0.4)
    assert found.expected_calibration_error < 0.03
    assert found.brier == pytest.approx(brier_score_loss(labels[10_000:], fitted.probability(cosine[10_000:])))
    assert sum(part.pairs for part in found.bins) == 10_000
    assert [part.probability for part in found.bins] == sorted(part.probability for part in found.bins)


def test_a_report_uses_the_decision_that_the_model_carries_and_chooses_nothing_of_its_own() -> None:
    measured, data = made(0.1)
    other = {name: scores[::-1] + 0.25 for name, scores in measured.dev_scores.items()}
    decision = decision_from(other, data.dev.labels, "m2", data.dev.data_version)
    training = a_training(data.train.data_version).model_copy(update={"decision": decision})
    report = build_report("post_train", FINE_TUNED, measured, data, training=training)
    assert report.threshold_kind == "dev"
    for name in SIMILARITIES:
        assert report.operating[name].f1_threshold == decision.thresholds[name].f1
        assert report.operating[name].accuracy_threshold == decision.thresholds[name].accuracy
    assert report.calibration is not None
    assert (report.calibration.slope, report.calibration.intercept, report.calibration.fitted_on) == (
        decision.calibration.slope,
        decision.calibration.intercept,
        len(data.dev),
    )
    own = build_report("post_train", FINE_TUNED, measured, data, training=a_training(data.train.data_version))
    assert own.cosine.f1_threshold != report.cosine.f1_threshold


def test_mining_and_retrieval_have_gains_with_intervals_on_the_same_draws() -> None:
    baseline, report = before_and_after()
    assert report.tasks is not None
    assert baseline.tasks is not None
    assert baseline.task_gains == {}
    assert set(report.task_gains) == set(report.task_intervals) == set(baseline.task_intervals)
    for name, gain in report.task_gains.items():
        assert gain.estimate == pytest.approx(getattr(report.tasks, name) - getattr(baseline.tasks, name))
        own = report.task_intervals[name]
        assert own.low <= getattr(report.tasks, name) == own.estimate <= own.high
    assert report.task_gains["mining_ap"].low > 0
    # What is hard for both models cancels out.
    before, after = baseline.task_intervals["mining_ap"], report.task_intervals["mining_ap"]
    widths = [interval.high - interval.low for interval in (before, after, report.task_gains["mining_ap"])]
    assert widths[2] < min(widths[:2])


def test_a_model_gains_nothing_over_itself_at_mining_and_retrieval() -> None:
    _, same = before_and_after(noise=0.5)
    assert {(gain.low, gain.estimate, gain.high) for gain in same.task_gains.values()} == {(0, 0, 0)}


def test_mining_among_other_questions_is_not_compared() -> None:
    measured, data = made(0.1)
    baseline = before_and_after()[0]
    fewer = Splits(data.train, data.dev, data.eval.take(np.arange(200)))
    report = build_report("post_train", MODEL, replace(measured, tasks=tasks_found(fewer, 0.4)), data, baseline)
    assert (report.baseline_tasks, report.task_gains) == (None, {})
    assert report.task_intervals


def test_a_report_of_an_earlier_release_keeps_its_version_and_has_no_interval_of_mining() -> None:
    _, report = before_and_after()
    older = as_an_earlier_release_stored_it(report)
    assert older.data_version == report.data_version
    assert (older.task_intervals, older.task_gains) == ({}, {})
    assert older.tasks is not None
    assert older.baseline_tasks is not None
    measured, data = made(0.1, likeness=2)
    new = build_report("post_train", MODEL, replace(measured, tasks=tasks_found(data, 0.4)), data, older.baseline)
    assert (len(new.task_intervals), new.task_gains) == (7, {})
