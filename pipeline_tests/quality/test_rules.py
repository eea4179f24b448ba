"""Checks the rules: each holds where it should, fails where it must, and says with which figure."""

import numpy as np
import pandas as pd
import pytest
from made_reports import as_an_earlier_release_stored_it, before_and_after

from pipeline.core.values import Cost, Interval
from pipeline.evaluation.report import SEEN, EvaluationReport, Slice
from pipeline.models.info import ModelProperties
from pipeline.quality import rules
from pipeline.quality.options import DatasetLimits, ModelLimits, ReportLimits, SplitLimits
from pipeline.quality.rules import Finding
from pipeline.question_pairs.schema import DataOrigin, PairTable, Splits

COLUMNS = ["pair_id", "question1_id", "question2_id", "question1", "question2", "is_duplicate"]


def table(*rows: tuple[int, int, int, str, str, bool | None]) -> PairTable:
    return PairTable(pd.DataFrame(rows, columns=COLUMNS), DataOrigin(source="made up", synthetic=True))


ONE = table((0, 0, 1, "Why?", "How?", True))
OTHER = table((1, 2, 3, "When?", "Where?", False))
EMPTY = PairTable(ONE.pairs.head(0), ONE.origin)


def cut(train: PairTable = ONE, dev: PairTable = EMPTY, evaluated: PairTable = OTHER) -> Splits:
    return Splits(train=train, dev=dev, eval=evaluated)


def outcome(finding: Finding) -> tuple[bool, float | int | None, float | int]:
    assert finding.message
    assert "\n" not in finding.message
    return finding.passed, finding.value, finding.threshold


def test_a_missing_value_or_column_breaks_the_schema() -> None:
    assert outcome(rules.schema_and_labels(ONE)) == (True, 0, 0)
    assert outcome(rules.schema_and_labels(table((0, 0, 1, "Why?", "How?", None)))) == (False, 1, 0)
    without = PairTable(ONE.pairs.drop(columns="question2"), ONE.origin)
    finding = rules.schema_and_labels(without)
    assert not finding.passed
    assert "question1, is_duplicate, not pair_id" in finding.message


def test_a_label_that_is_no_truth_value_breaks_the_schema() -> None:
    labelled = PairTable(ONE.pairs.assign(is_duplicate="maybe"), ONE.origin)
    assert outcome(rules.schema_and_labels(labelled)) == (False, 1, 0)


@pytest.mark.parametrize(("rejected", "passed"), [(0, True), (10, True), (11, False)])
def test_rejected_rows_are_a_share_of_those_read(rejected: int, passed: bool) -> None:
    finding = rules.rejected_share(1000, rejected, DatasetLimits())
    assert outcome(finding) == (passed, rejected / 1000, 0.01)


@pytest.mark.parametrize(("now", "passed"), [(0.37, True), (0.41, True), (0.31, False)])
def test_drift_of_the_positive_rate_counts_both_ways(now: float, passed: bool) -> None:
    assert rules.positive_rate_drift(now, 0.37, DatasetLimits()).passed is passed


@pytest.mark.parametrize(("now", "passed"), [(60.0, True), (74.0, True), (40.0, False), (80.0, False)])
def test_drift_of_the_length_is_relative(now: float, passed: bool) -> None:
    assert rules.length_drift(now, 60.0, DatasetLimits()).passed is passed


def test_a_side_needs_pairs_and_both_classes() -> None:
    limits = SplitLimits(min_train_pairs=2, min_held_out_pairs=1)
    assert outcome(rules.enough_pairs("train", cut(train=ONE), limits)) == (False, 1, 2)
    assert outcome(rules.enough_pairs("eval", cut(evaluated=ONE), limits)) == (True, 1, 1)
    assert outcome(rules.both_classes("eval", cut(evaluated=ONE))) == (False, 0, 1)
    assert outcome(rules.both_classes("eval", cut(evaluated=ONE.followed_by(OTHER)))) == (True, 1, 1)
    assert outcome(rules.both_classes("train", cut(train=EMPTY))) == (False, 0, 1)


def test_without_a_dev_split_its_rules_are_skipped_with_that_reason() -> None:
    for finding in (rules.enough_pairs("dev", cut(), SplitLimits()), rules.both_classes("dev", cut())):
        assert finding.is_skipped
        assert finding.message == "skipped: the dev split is empty (dev_fraction: 0)"
    assert not rules.enough_pairs("eval", cut(evaluated=EMPTY), SplitLimits()).passed


def test_a_pair_on_two_sides_is_found() -> None:
    assert outcome(rules.pairs_on_two_sides(cut(), "question_disjoint")) == (True, 0, 0)
    leaky = cut(train=ONE.followed_by(OTHER))
    assert outcome(rules.pairs_on_two_sides(leaky, "question_disjoint")) == (False, 1, 0)


def test_a_question_on_two_sides_is_found_whatever_its_case() -> None:
    assert outcome(rules.questions_on_two_sides(cut(), "question_disjoint")) == (True, 0, 0)
    leaky = cut(dev=table((5, 8, 9, " why? ", "What?", True)))
    assert outcome(rules.questions_on_two_sides(leaky, "question_disjoint")) == (False, 1, 0)


def test_the_published_split_may_leave_questions_on_both_sides() -> None:
    for rule in (rules.pairs_on_two_sides, rules.questions_on_two_sides):
        assert rule(cut(train=ONE, evaluated=ONE), "reference").is_skipped


def test_embeddings_must_be_finite_and_of_length_one() -> None:
    unit = np.eye(3, dtype=np.float32)
    assert rules.sound_embeddings(unit, ModelLimits()).passed
    assert outcome(rules.sound_embeddings(unit * 2, ModelLimits())) == (False, 1.0, 1e-3)
    assert rules.sound_embeddings(unit * 2, ModelLimits(max_norm_error=1)).passed
    assert "raise max_norm_error if that is meant" in rules.sound_embeddings(unit * 2, ModelLimits()).message
    unit[1, 1] = np.nan
    finding = rules.sound_embeddings(unit, ModelLimits(max_norm_error=1_000_000))
    assert not finding.passed
    assert "diverged" in finding.message


def test_embeddings_need_no_length_of_one_where_the_base_model_s_have_none() -> None:
    unit = np.eye(3, dtype=np.float32)
    longer, normalised = (
        ModelProperties(modules=(), dimensions=3, max_seq_length=64, unit_length=unit_length)
        for unit_length in (False, True)
    )
    finding = rules.sound_embeddings(unit * 2, ModelLimits(), longer)
    assert outcome(finding) == (True, 1.0, 1e-3)
    assert "from 2 to 2" in finding.message
    assert not rules.sound_embeddings(unit * 2, ModelLimits(), normalised).passed
    assert not rules.sound_embeddings(unit * np.nan, ModelLimits(), longer).passed


def test_time_and_cost_have_a_budget_and_nobody_bills_a_laptop() -> None:
    limits = ModelLimits(max_training_hours=2, max_cost=5)
    assert outcome(rules.training_time(3600, limits)) == (True, 1.0, 2)
    assert not rules.training_time(7201, limits).passed
    assert rules.training_cost(None, limits).is_skipped
    five, more = (Cost(amount=amount, currency="USD", prices_as_of="2026-01-01") for amount in (5.0, 5.01))
    assert rules.training_cost(five, limits).passed
    assert outcome(rules.training_cost(more, limits)) == (False, 5.01, 5)


def unseen(ap: float | None, eval_version: str = "e1") -> EvaluationReport:
    interval = None if ap is None else Interval(estimate=ap, low=0, high=1)
    part = Slice(name=SEEN, value="none", pairs=9, positive_rate=0.5, ap=interval)
    return REPORT.model_copy(update={"slices": [part], "eval_version": eval_version})


REPORT = before_and_after()[1]


def test_average_precision_on_unseen_questions_may_not_fall() -> None:
    assert rules.unseen_ap(unseen(0.80), unseen(0.80), ReportLimits()).passed
    assert rules.unseen_ap(unseen(0.90), unseen(0.80), ReportLimits()).passed
    finding = rules.unseen_ap(unseen(0.75), unseen(0.80), ReportLimits())
    assert finding.value == pytest.approx(0.05)
    assert (finding.passed, finding.threshold) == (False, 0.01)


def test_reports_on_other_pairs_are_not_held_against_each_other() -> None:
    for finding in (
        rules.unseen_ap(unseen(0.1), unseen(0.8, "e2"), ReportLimits()),
        rules.unseen_ap(unseen(0.1), None, ReportLimits()),
        rules.unseen_ap(unseen(None), unseen(0.8), ReportLimits()),
    ):
        assert finding.is_skipped


def test_a_model_that_surely_became_worse_at_mining_and_retrieval_is_warned_of() -> None:
    for rule, name in ((rules.mining_not_worse, "mining_ap"), (rules.retrieval_not_worse, "recall_at_10")):
        better = rule(REPORT, ReportLimits())
        assert outcome(better) == (True, REPORT.task_gains[name].estimate, 0)
        _, bad = before_and_after(noise=1.0)
        gain = bad.task_gains[name]
        worse = rule(bad, ReportLimits())
        assert outcome(worse) == (False, gain.estimate, 0)
        assert gain.signed in worse.message
        # Such a loss may be accepted.
        assert rule(bad, ReportLimits(max_mining_ap_loss=-gain.high, max_recall_loss=-gain.high)).passed


def test_a_difference_that_may_be_zero_is_no_warning() -> None:
    gain = Interval(estimate=-0.01, low=-0.03, high=0.01)
    unsure = REPORT.model_copy(update={"task_gains": {"mining_ap": gain, "recall_at_10": gain}})
    assert rules.mining_not_worse(unsure, ReportLimits()).passed
    assert rules.retrieval_not_worse(unsure, ReportLimits()).passed


def test_without_an_interval_or_figures_of_both_mining_is_not_judged() -> None:
    older = rules.mining_not_worse(as_an_earlier_release_stored_it(REPORT), ReportLimits())
    assert older.is_skipped
    assert REPORT.tasks is not None
    assert f"mining AP is {REPORT.tasks.mining_ap:.4f}, the baseline's" in older.message
    assert rules.mining_not_worse(REPORT.model_copy(update={"tasks": None}), ReportLimits()).is_skipped
    assert rules.retrieval_not_worse(REPORT.model_copy(update={"baseline": None}), ReportLimits()).is_skipped
