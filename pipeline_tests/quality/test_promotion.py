"""Checks the rules of promotion: what is accepted, what is refused, and with which figures."""

from datetime import UTC, datetime
from typing import Any

import pytest
from made_reports import a_training, before_and_after

from pipeline.core.errors import PipelineError
from pipeline.core.values import Interval
from pipeline.quality.options import PromotionRules
from pipeline.quality.production_record import InProduction, ProductionModel, UnreadableRecord
from pipeline.quality.promotion import Candidate, Comparison, NoComparison, judge

REPORT = before_and_after()[1]
MODEL = a_training(REPORT.train_version)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def candidate(ap: float = 0.80, gain: tuple[float, float, float] = (0.1, 0.05, 0.15), **changes: Any) -> Candidate:
    """A model with this average precision, and this gain with its interval."""
    estimate, low, high = gain
    operating = {**REPORT.operating, "cosine": REPORT.cosine.model_copy(update={"ap": ap})}
    gains = {**REPORT.gains, "ap": Interval(estimate=estimate, low=low, high=high)}
    synthetic = changes.pop("synthetic", True)
    report = REPORT.model_copy(update={"operating": operating, "gains": gains, **changes})
    origin = MODEL.origin.model_copy(update={"synthetic": synthetic})
    return Candidate(MODEL.model_copy(update={"origin": origin}), report, run_id="0123abcd")


def in_production(**changes: Any) -> ProductionModel:
    return candidate(**changes).promoted(None, NOW, is_rollback=False)


Compared = Comparison | NoComparison | None


def compared(difference: float, low: float = -1.0, high: float = 1.0) -> Comparison:
    return Comparison(500, 20, 0.80 + difference, 0.80, Interval(estimate=difference, low=low, high=high), True)


def against(found: Candidate, current: InProduction = None, against_it: Compared = None, **rules: Any) -> set[str]:
    """The names of the rules that refuse it."""
    findings = judge(found, current, PromotionRules(**rules), against_it)
    return {name for name, finding in findings.items() if not finding.passed}


@pytest.mark.parametrize(
    ("gain", "accepted"),
    [
        ((0.10, 0.05, 0.15), True),
        ((0.005, 0.001, 0.01), True),
        ((0.004, 0.001, 0.01), False),  # below the margin
        ((0.10, -0.01, 0.21), False),  # may be chance
        ((-0.2, -0.3, -0.1), False),
    ],
)
def test_the_gain_must_reach_the_margin_and_be_clear_of_zero(gain: tuple[float, float, float], accepted: bool) -> None:
    assert against(candidate(gain=gain)) == (set() if accepted else {"gain_over_baseline"})


def test_a_report_without_a_baseline_is_refused() -> None:
    bare = Candidate(MODEL, REPORT.model_copy(update={"gains": {}}), "0123abcd")
    assert against(bare) == {"gain_over_baseline"}


@pytest.mark.parametrize(
    ("difference", "accepted"),
    [
        (compared(0.05), True),
        (compared(0.0), True),
        (compared(-0.004), True),
        (compared(-0.01), False),
        (compared(-0.004, low=-0.006, high=-0.001), False),  # little, but surely worse: a step down each month
    ],
)
def test_a_model_worse_beyond_the_tolerance_or_surely_worse_is_refused(difference: Comparison, accepted: bool) -> None:
    current = in_production()
    assert against(candidate(), current, difference) == (set() if accepted else {"not_worse_than_current"})
    finding = judge(candidate(), current, PromotionRules(), difference)["not_worse_than_current"]
    assert finding.value == difference.difference.estimate
    for word in ("500 eval pairs", "20 that one of them was trained on left out", "0.8000", "measured now"):
        assert word in finding.message
    if difference.difference.high > 0:
        assert against(candidate(), current, difference, max_ap_loss=0.02) == set()


def test_models_that_cannot_be_compared_are_not_compared_silently() -> None:
    current, reason = in_production(), NoComparison("what it was trained on is not stored")
    finding = judge(candidate(), current, PromotionRules(), reason)["not_worse_than_current"]
    assert not finding.passed
    assert finding.value is None
    for word in (reason.reason, "on_other_eval_pairs: replace", "the gain over the baseline alone"):
        assert word in finding.message
    assert against(candidate(), current, reason, on_other_eval_pairs="replace") == set()
    replaced = judge(candidate(), current, PromotionRules(on_other_eval_pairs="replace"), reason)
    assert reason.reason in replaced["not_worse_than_current"].message
    # The gain over the baseline is still asked for.
    weak = candidate(gain=(0.0, -0.1, 0.1))
    assert against(weak, current, reason, on_other_eval_pairs="replace") == {"gain_over_baseline"}


def test_a_record_that_cannot_be_read_is_replaced_when_that_is_asked_for_and_by_hand() -> None:
    unreadable = UnreadableRecord("0123456789abcdef", "no such file")
    found = candidate()
    finding = judge(found, unreadable, PromotionRules(), None)["not_worse_than_current"]
    assert not finding.passed
    assert "no such file" in finding.message
    assert against(found, unreadable) == {"not_worse_than_current"}
    assert against(found, unreadable, on_other_eval_pairs="replace") == set()
    assert against(found, unreadable, run_id="0123abcd") == set()
    weak = candidate(gain=(0.0, -0.1, 0.1))
    assert against(weak, unreadable, on_other_eval_pairs="replace") == {"gain_over_baseline"}
    assert not found.is_in(unreadable)
    assert found.promoted(unreadable, NOW, is_rollback=False).previous == "0123456789abcdef"
    assert found.promoted(UnreadableRecord(None, "damaged"), NOW, is_rollback=False).previous is None


def test_generated_pairs_do_not_replace_real_ones_unless_that_is_asked_for() -> None:
    current, found = in_production(synthetic=False), candidate(synthetic=True)
    assert against(found, current, compared(0.1)) == {"same_kind_of_data"}
    # A roll-back is no way around it.
    assert against(found, current, run_id="0123abcd") == {"same_kind_of_data"}
    assert against(found, current, compared(0.1), allow_other_kind_of_data=True) == set()


def test_real_pairs_replace_generated_ones_without_any_setting() -> None:
    current, found = in_production(synthetic=True, eval_version="other"), candidate(synthetic=False)
    assert against(found, current) == set()
    findings = judge(found, current, PromotionRules(), None)
    assert "which real pairs replace" in findings["not_worse_than_current"].message
    assert "(real pairs) replaces" in findings["same_kind_of_data"].message
    # The setting of earlier releases stays valid.
    assert against(found, current, allow_other_kind_of_data=True) == set()
    assert against(candidate(synthetic=False, gain=(0, -1, 1)), current) == {"gain_over_baseline"}


def test_a_roll_back_asks_for_no_figures() -> None:
    worse = candidate(ap=0.2, gain=(-0.5, -0.6, -0.4))
    assert against(worse, in_production(), compared(-0.6)) == {"gain_over_baseline", "not_worse_than_current"}
    assert against(worse, in_production(), run_id="0123abcd") == set()


def test_a_report_of_another_model_is_refused() -> None:
    other = REPORT.model_copy(update={"model": REPORT.model.model_copy(update={"version": "m9"})})
    with pytest.raises(PipelineError, match="measure the model again"):
        Candidate(MODEL, other, "0123abcd")


def test_records_form_a_chain_and_differ_by_what_they_replace() -> None:
    first = in_production()
    second = candidate().promoted(first, NOW, is_rollback=True)
    assert second.previous == first.data_version != second.data_version
    assert candidate().is_in(first)
    assert not candidate(ap=0.5).is_in(first)
    assert not candidate().is_in(None)
    assert ProductionModel.from_stored_json(second.model_dump_json()) == second


@pytest.mark.parametrize("run_id", ["", "short", "../../etc/passwd", "0123abcd*"])
def test_what_is_no_run_id_is_no_setting(run_id: str) -> None:
    with pytest.raises(ValueError, match="run_id"):
        PromotionRules(run_id=run_id)
