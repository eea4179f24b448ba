"""Bootstrap intervals: weighted metrics are those of the resampled rows, and groups make intervals wider."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from pipeline.evaluation.bootstrap import Bootstrap, interval


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


def test_connected_pairs_make_an_interval_wider() -> None:
    scores, labels = scored()
    repeated_scores, repeated_labels = np.repeat(scores, 10), np.repeat(labels, 10)
    estimate = float(average_precision_score(labels, scores))
    widths = []
    for component in (np.arange(2_000), np.repeat(np.arange(200), 10)):
        found = interval(estimate, Bootstrap.draw(component, 300).average_precision(repeated_scores, repeated_labels))
        assert found.low <= found.estimate <= found.high
        widths.append(found.high - found.low)
    assert widths[1] > 2 * widths[0]
