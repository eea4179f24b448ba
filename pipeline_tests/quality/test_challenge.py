"""A candidate against the model in production: on which pairs, by whose scores, and when nothing can be compared."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from made_reports import a_training, before_and_after, splits, with_average_precision
from sklearn.metrics import average_precision_score

from pipeline.compute.base import Compute, MeasuringJob, Work
from pipeline.core.errors import PipelineError
from pipeline.core.progress import OnProgress, ignore
from pipeline.evaluation.measurement import SIMILARITIES, Measurement
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.quality.challenge import StoredSplits, are_in, challenge
from pipeline.quality.production_record import ProductionModel
from pipeline.quality.promotion import Candidate, Comparison, NoComparison
from pipeline.question_pairs.schema import PairTable

SPLITS = splits()
REPORT = before_and_after()[1]
MODEL = a_training(REPORT.train_version).model_copy(update={"dev_version": SPLITS.dev.data_version})
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass
class _Measured(Work[Measurement]):
    scores: np.ndarray

    def follow(self, on_progress: OnProgress) -> None:
        return None

    def cancel(self) -> None:
        raise AssertionError("nothing interrupts it")

    def collect(self) -> Measurement:
        scores = dict.fromkeys(SIMILARITIES, self.scores)
        return Measurement(scores, dict.fromkeys(SIMILARITIES, np.zeros(0)), None, 1.0, 9, "cpu", "fp32")


class _Place:
    """Stands for a place to compute: the network's edge of this test. It notes what it is asked to measure."""

    def __init__(self, score: Callable[[PairTable], np.ndarray], damage: PipelineError | None = None) -> None:
        self.asked: list[MeasuringJob] = []
        self._score, self._damage = score, damage

    def verify(self, model: FineTunedModel) -> None:
        if self._damage:
            raise self._damage

    def start_measuring(self, job: MeasuringJob) -> Work[Measurement]:
        self.asked.append(job)
        return _Measured(self._score(job.eval_split))


def stored(*tables: PairTable) -> StoredSplits:
    """All of these sides are stored, and so are those of the reports."""
    known = {table.data_version: table for table in (SPLITS.train, SPLITS.dev, SPLITS.eval, *tables)}
    return StoredSplits(known.get, known.get, known.get)


def current(report: EvaluationReport = REPORT, model: FineTunedModel = MODEL) -> ProductionModel:
    return Candidate(model, report, "0123abcd").promoted(None, NOW, is_rollback=False)


def compared(place: _Place, splits: StoredSplits, report: EvaluationReport, against: ProductionModel) -> Any:
    return challenge(cast(Compute, place), splits, MODEL, report, against, ignore)


def perfect(pairs: PairTable) -> np.ndarray:
    return pairs.labels.astype(np.float32)


def no_place() -> _Place:
    def refuse(pairs: PairTable) -> np.ndarray:
        raise AssertionError("nothing was to be measured")

    return _Place(refuse)


def of_last_month(train: PairTable) -> ProductionModel:
    """A model in production that was trained on these pairs and measured on others than the eval pairs of now."""
    report = REPORT.model_copy(update={"eval_version": "last month", "train_version": train.data_version})
    return current(report, MODEL.model_copy(update={"train_version": train.data_version}))


def test_reports_on_the_same_pairs_are_compared_pair_by_pair_without_measuring_anything() -> None:
    weak, strong = (with_average_precision(REPORT, ap) for ap in (0.6, 0.8))
    found = compared(no_place(), stored(), strong, current(weak))
    assert isinstance(found, Comparison)
    assert (found.pairs, found.left_out, found.measured_now) == (len(SPLITS.eval), 0, False)
    assert found.candidate == pytest.approx(average_precision_score(SPLITS.eval.labels, strong.scores))
    assert found.difference.estimate == pytest.approx(found.candidate - found.current)
    assert found.difference.low > 0
    # A model is no better than itself.
    same = compared(no_place(), stored(), weak, current(weak))
    assert (same.difference.estimate, same.difference.low, same.difference.high) == (0, 0, 0)


def test_a_model_of_other_eval_pairs_is_measured_on_those_that_neither_was_trained_on() -> None:
    # Last month's training pairs have become eval pairs, some with the questions the other way round.
    seen = SPLITS.eval.take(np.arange(30)).pairs
    turned = seen.assign(question1=seen["question2"].str.upper(), question2=seen["question1"])
    old_train = PairTable(pd.concat([SPLITS.train.pairs, turned], ignore_index=True), SPLITS.train.origin)
    place = _Place(perfect)
    found = compared(place, stored(old_train), REPORT, of_last_month(old_train))
    assert isinstance(found, Comparison)
    assert (found.pairs, found.left_out, found.measured_now) == (len(SPLITS.eval) - 30, 30, True)
    (job,) = place.asked
    assert not are_in(job.eval_split, [old_train]).any()
    assert job.model == MODEL.model
    assert found.current == 1.0
    labels = SPLITS.eval.labels[30:]
    assert found.candidate == pytest.approx(average_precision_score(labels, REPORT.scores[30:]))
    assert found.difference.high < 0
    assert "30 that one of them was trained on left out" in found.message


def test_pairs_that_chose_the_checkpoint_are_left_out_too() -> None:
    dev = SPLITS.eval.take(np.arange(10))
    model = MODEL.model_copy(update={"dev_version": dev.data_version})
    found = compared(no_place(), stored(dev), REPORT, current(model=model))
    assert (found.pairs, found.left_out) == (len(SPLITS.eval) - 10, 10)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("eval pairs", "the eval pairs of the new model's report"),
        ("training pairs", "are not stored, and some of them may be eval pairs now"),
        ("model", "can't be measured (its folder is gone)"),
        ("few", "0 eval pairs of"),
    ],
)
def test_what_cannot_be_compared_says_why(case: str, said: str) -> None:
    place, splits, report, against = _Place(perfect), stored(), REPORT, of_last_month(SPLITS.train)
    match case:
        case "eval pairs":
            report = REPORT.model_copy(update={"eval_version": "gone"})
        case "training pairs":
            against = of_last_month(SPLITS.train.take(np.arange(50)))
        case "model":
            place = _Place(perfect, PipelineError("its folder is gone", make_again="model"))
        case "few":
            splits, against = stored(SPLITS.eval), of_last_month(SPLITS.eval)
    found = compared(place, splits, report, against)
    assert isinstance(found, NoComparison)
    assert said in found.reason
    assert "\n" not in found.reason


def test_a_place_that_cannot_be_reached_fails_the_run_instead_of_the_comparison() -> None:
    """Else `replace` would let the gain alone decide where trying again would have compared them."""
    place = _Place(perfect, PipelineError("Modal can't be reached (timed out): run it again"))
    with pytest.raises(PipelineError, match="can't be reached"):
        compared(place, stored(), REPORT, of_last_month(SPLITS.train))
