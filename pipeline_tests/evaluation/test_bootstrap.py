"""Intervals: weighted figures are those of the resampled rows, and groups make them wider."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from pipeline.core.errors import PipelineError
from pipeline.evaluation.bootstrap import Bootstrap, interval
from pipeline.evaluation.calibration import calibrate
from pipeline.evaluation.measurement import Measurement
from pipeline.evaluation.metric_values import SIMILARITIES


def scored(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    labels = (random.random(n) < 0.4).astype(np.int64)
    # Rounded, so that some are tied.
    return np.round(random.normal(size=n) + labels, 1).astype(np.float32), labels


def test_each_replicate_is_the_metric_of_its_rows_repeated() -> None:
    scores, labels = scored()
    component = np.arange(200) // 5
    bootstrap = Bootstrap.draw(component, replicates=7)
    called = (scores >= 0.5).astype(np.int64)
    ap, f1, accuracy = (
        bootstrap.average_precision(scores, labels),
        bootstrap.f1(called, labels),
        bootstrap.accuracy(called, labels),
    )
    for number, counts in enumerate(bootstrap.counts):
        rows = np.repeat(np.arange(200), counts[component])
        assert ap[number] == pytest.approx(average_precision_score(labels[rows], scores[rows]), abs=1e-9)
        assert f1[number] == pytest.approx(f1_score(labels[rows], called[rows]), abs=1e-9)
        assert accuracy[number] == pytest.approx((labels[rows] == called[rows]).mean(), abs=1e-9)


def test_pairs_that_hang_together_make_an_interval_wider() -> None:
    scores, labels = scored()
    repeated_scores, repeated_labels = np.repeat(scores, 10), np.repeat(labels, 10)
    estimate = float(average_precision_score(labels, scores))
    widths = []
    for component in (np.arange(2_000), np.repeat(np.arange(200), 10)):
        found = interval(estimate, Bootstrap.draw(component, 300).average_precision(repeated_scores, repeated_labels))
        assert found.low <= found.estimate <= found.high
        widths.append(found.high - found.low)
    assert widths[1] > 2 * widths[0]


def test_a_calibrated_probability_is_right_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    cosine = random.uniform(0, 1, 20_000).astype(np.float32)
    labels = (random.random(20_000) < 1 / (1 + np.exp(-(8 * cosine - 5)))).astype(np.int64)
    found = calibrate(cosine[:10_000], labels[:10_000], cosine[10_000:], labels[10_000:])
    assert found.slope == pytest.approx(8, abs=0.5)
    assert found.intercept == pytest.approx(-5, abs=0.4)
    assert found.expected_calibration_error < 0.03
    assert sum(part.pairs for part in found.bins) == 10_000


def test_a_measurement_survives_its_bytes_and_refuses_others() -> None:
    scores = {name: np.linspace(0, 1, 4, dtype=np.float32) + i for i, name in enumerate(SIMILARITIES)}
    measured = Measurement(scores, {name: values[:0] for name, values in scores.items()}, None, 1.5, 7, "cpu", "fp32")
    again = Measurement.from_bytes(measured.to_bytes())
    for name in SIMILARITIES:
        np.testing.assert_array_equal(again.eval_scores[name], scores[name])
        assert len(again.dev_scores[name]) == 0
    assert (again.seconds, again.questions, again.device, again.tasks) == (1.5, 7, "cpu", None)
    with pytest.raises(PipelineError, match="can't be read"):
        Measurement.from_bytes(measured.to_bytes()[:-40])
