"""Where the thresholds of a report come from, and what it compares."""

import numpy as np
import pytest

from pipeline.evaluation.build import EvaluationData, build_report
from pipeline.evaluation.measurement import Measurement
from pipeline.evaluation.metrics import LOWER_IS_BETTER, SIMILARITIES
from pipeline.question_pairs.sources import PairSource, load_pairs
from pipeline.question_pairs.splits import SplitPlan, split_pairs
from pipeline.references import ModelReference

MODEL = ModelReference(kind="folder", name="some-model", location="/somewhere", version="m1")


def made(dev_fraction: float) -> tuple[Measurement, EvaluationData]:
    """Splits of the bundled sample, and scores that grow with the label."""
    splits = split_pairs(load_pairs(PairSource()), SplitPlan(strategy="reference", dev_fraction=dev_fraction))
    random = np.random.default_rng(0)

    def scores(labels: np.ndarray) -> dict[str, np.ndarray]:
        likeness = (labels + random.normal(size=len(labels))).astype(np.float32)
        return {name: -likeness if name in LOWER_IS_BETTER else likeness for name in SIMILARITIES}

    measured = Measurement(scores(splits.eval.labels), scores(splits.dev.labels), None, 1.0, 9, "cpu", "fp32")
    return measured, EvaluationData(splits.eval, splits.dev, splits.train)


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
    assert "oracle" in report.to_markdown()


def test_every_pair_is_in_one_slice_of_each_kind_and_a_model_gains_nothing_over_itself() -> None:
    measured, data = made(0.1)
    baseline = build_report("pre_train", MODEL, measured, data)
    report = build_report("post_train", MODEL, measured, data, baseline)
    for name in {part.name for part in report.slices}:
        assert sum(part.pairs for part in report.slices if part.name == name) == report.pairs
    assert report.ap_gain is not None
    assert (report.ap_gain.low, report.ap_gain.high) == (0, 0)
