"""What must hold of the data, the splits, a model and its report: plain functions from a value to a finding.

The asset checks show the findings. Each has the figure that was measured and the limit that it was compared with.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.values import Cost
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.info import ModelProperties
from pipeline.quality.options import DatasetLimits, ModelLimits, ReportLimits, SplitLimits
from pipeline.question_pairs import sides
from pipeline.question_pairs.schema import DISJOINT, PAIR_SCHEMA, PairTable, Splits


@dataclass(frozen=True)
class Finding:
    """What a rule found.

    Attributes:
        passed: whether the rule holds. True also where it doesn't apply.
        value: the figure that was measured; None where there is none, because the rule doesn't apply.
        threshold: the limit that the figure was compared with.
        message: the finding in a sentence.
    """

    passed: bool
    value: float | int | None
    threshold: float | int
    message: str

    @property
    def is_skipped(self) -> bool:
        """Whether the rule doesn't apply; `message` has the reason."""
        return self.passed and self.value is None


def skipped(reason: str, threshold: float) -> Finding:
    """The finding of a rule that doesn't apply, with the reason."""
    return Finding(True, None, threshold, f"skipped: {reason}")


NO_DEV_SPLIT = "the dev split is empty (dev_fraction: 0)"


# --- the dataset -----------------------------------------------------------------------------------------------


def schema_and_labels(table: PairTable) -> Finding:
    """Every column is there, and no row lacks a value or has a label other than true and false."""
    if list(table.pairs.columns) != PAIR_SCHEMA.names:
        found = ", ".join(map(str, table.pairs.columns))
        return Finding(False, len(table), 0, f"the columns are {found}, not {', '.join(PAIR_SCHEMA.names)}")
    missing = table.pairs.isna().any(axis=1)
    bad_label = ~table.pairs["is_duplicate"].isin([True, False])
    bad = int((missing | bad_label).sum())
    return Finding(
        not bad, bad, 0, f"{bad:,} of {len(table):,} pairs lack a value, or have a label other than true and false"
    )


def rejected_share(read: int, rejected: int, limits: DatasetLimits) -> Finding:
    """Not too many rows of the source were broken."""
    share = rejected / read if read else 0.0
    return Finding(
        share <= limits.max_rejected_share,
        share,
        limits.max_rejected_share,
        f"{rejected:,} of {read:,} rows were rejected ({share:.2%}); at most {limits.max_rejected_share:.2%} may be",
    )


def positive_rate_drift(now: float, before: float, limits: DatasetLimits) -> Finding:
    """The share of duplicates is about what it was."""
    drift = abs(now - before)
    return Finding(
        drift <= limits.max_positive_rate_drift,
        drift,
        limits.max_positive_rate_drift,
        f"{now:.1%} of the pairs are duplicates, {before:.1%} were last time; average precision moves with it",
    )


def length_drift(now: float, before: float, limits: DatasetLimits) -> Finding:
    """Questions are about as long as they were."""
    drift = abs(now - before) / before if before else 0.0
    return Finding(
        drift <= limits.max_length_drift,
        drift,
        limits.max_length_drift,
        f"a question has {now:.0f} characters on average, {before:.0f} the last time",
    )


# --- the splits ------------------------------------------------------------------------------------------------


def sides_of_one_making(splits: Splits) -> Finding:
    """All sides come from one dataset and one division of it."""
    try:
        message = sides.require_one_making(
            {"the train split": splits.train, "the dev split": splits.dev, "the eval split": splits.eval}
        )
    except PipelineError as error:
        return Finding(False, 1, 0, error.message)
    return Finding(True, 0, 0, message or "all three sides come from one dataset and one division of it")


def enough_pairs(side: str, splits: Splits, limits: SplitLimits) -> Finding:
    """A side (`train`, `dev` or `eval`) is large enough to train or measure on."""
    pairs = len(_side(side, splits))
    least = limits.min_train_pairs if side == "train" else limits.min_held_out_pairs
    if side == "dev" and not pairs:
        return skipped(NO_DEV_SPLIT, least)
    return Finding(pairs >= least, pairs, least, f"the {side} split has {pairs:,} pairs; it needs {least:,}")


def both_classes(side: str, splits: Splits) -> Finding:
    """A side has duplicates and others; the value counts the rarer kind."""
    table = _side(side, splits)
    if side == "dev" and not len(table):
        return skipped(NO_DEV_SPLIT, 1)
    duplicates = int(table.labels.sum())
    rarer = min(duplicates, len(table) - duplicates)
    return Finding(
        rarer >= 1, rarer, 1, f"{duplicates:,} of the {len(table):,} pairs of the {side} split are duplicates"
    )


def _side(side: str, splits: Splits) -> PairTable:
    return {"train": splits.train, "dev": splits.dev, "eval": splits.eval}[side]


_AS_PUBLISHED = "the strategy {!r} leaves questions on both sides, as published figures do"


def pairs_on_two_sides(splits: Splits, strategy: str) -> Finding:
    """No pair is on two sides: none with the same id and the same questions."""
    if strategy not in DISJOINT:
        return skipped(_AS_PUBLISHED.format(strategy), 0)
    leaked, pairs = sides.pairs_on_two_sides(splits)
    return Finding(not leaked, leaked, 0, f"{leaked:,} of {pairs:,} pairs are on two sides")


def questions_on_two_sides(splits: Splits, strategy: str) -> Finding:
    """No question is on two sides."""
    if strategy not in DISJOINT:
        return skipped(_AS_PUBLISHED.format(strategy), 0)
    leaked, questions = sides.questions_on_two_sides(splits)
    return Finding(not leaked, leaked, 0, f"{leaked:,} of {questions:,} questions are on two sides")


# --- the model -------------------------------------------------------------------------------------------------


def sound_embeddings(embeddings: np.ndarray, limits: ModelLimits, base: ModelProperties | None = None) -> Finding:
    """Embeddings of shape (questions, dimensions) are finite, and of length 1 unless the base model's aren't either.

    Args:
        base: of the base model; None where it wasn't inspected.
    """
    finite = bool(np.isfinite(embeddings).all())
    if not finite:
        message = f"the embeddings of {len(embeddings)} questions are not finite: the training diverged"
        return Finding(False, float("inf"), limits.max_norm_error, message)
    lengths = np.linalg.norm(embeddings, axis=1)
    error = float(np.abs(lengths - 1).max())
    message = f"{len(embeddings)} questions have finite embeddings of {embeddings.shape[1]} dimensions, with a length "
    if base and not base.unit_length:
        message += f"from {lengths.min():.3g} to {lengths.max():.3g}; those of the base model aren't of length 1 either"
        return Finding(True, error, limits.max_norm_error, message)
    passed = error <= limits.max_norm_error
    message += f"at most {error:.1e} away from 1" + ("" if passed else "; raise max_norm_error if that is meant")
    return Finding(passed, error, limits.max_norm_error, message)


def training_time(seconds: float, limits: ModelLimits) -> Finding:
    """The training took no longer than planned."""
    hours = seconds / 3600
    return Finding(
        hours <= limits.max_training_hours,
        hours,
        limits.max_training_hours,
        f"the training took {hours:.2f} hours; {limits.max_training_hours:g} are planned",
    )


def training_cost(cost: Cost | None, limits: ModelLimits) -> Finding:
    """The training cost no more than planned.

    Args:
        cost: None where nobody bills the training.
    """
    if cost is None:
        return skipped("the machine that trained doesn't bill", limits.max_cost)
    return Finding(
        cost.amount <= limits.max_cost,
        cost.amount,
        limits.max_cost,
        f"the training cost {cost}; {limits.max_cost:,.2f} are planned",
    )


# --- the report ------------------------------------------------------------------------------------------------


def unseen_ap(report: EvaluationReport, before: EvaluationReport | None, limits: ReportLimits) -> Finding:
    """Average precision on pairs of which training saw neither question has not fallen since the last report."""
    if before is None:
        return skipped("there is no earlier report", limits.max_unseen_ap_drop)
    if before.eval_version != report.eval_version:
        return skipped(
            f"the last report is about other pairs (eval version {before.eval_version}, now {report.eval_version})",
            limits.max_unseen_ap_drop,
        )
    now, then = (part.unseen.ap if part.unseen else None for part in (report, before))
    if now is None or then is None:
        return skipped("too few eval pairs have unseen questions only", limits.max_unseen_ap_drop)
    drop = then.estimate - now.estimate
    return Finding(
        drop <= limits.max_unseen_ap_drop,
        drop,
        limits.max_unseen_ap_drop,
        f"average precision on unseen questions is {now.estimate:.4f}; it was {then.estimate:.4f}",
    )


def mining_not_worse(report: EvaluationReport, limits: ReportLimits) -> Finding:
    """Duplicate mining has not surely become worse than the baseline's."""
    return _not_worse(report, "mining_ap", "mining AP", limits.max_mining_ap_loss)


def retrieval_not_worse(report: EvaluationReport, limits: ReportLimits) -> Finding:
    """Retrieval has not surely become worse than the baseline's."""
    return _not_worse(report, "recall_at_10", "recall@10", limits.max_recall_loss)


def _not_worse(report: EvaluationReport, name: str, figure: str, most: float) -> Finding:
    """The 95 % interval of the difference reaches minus the accepted loss; the value is the difference."""
    bound = -most
    if report.tasks is None:
        return skipped("mining and retrieval were not measured (task_questions: 0, or no known duplicates)", bound)
    before = report.baseline_tasks
    if before is None:
        return skipped("the baseline has no figures for the same questions", bound)
    now, then = getattr(report.tasks, name), getattr(before, name)
    message = f"{figure} is {now:.4f}, the baseline's {then:.4f}"
    gain = report.task_gains.get(name)
    if gain is None:
        return skipped(f"{message}; the difference has no interval, as an earlier release measured one of them", bound)
    passed = gain.high >= bound
    message += f": {gain.signed}" + ("" if passed else f", the whole interval is below {bound:g}")
    return Finding(passed, gain.estimate, bound, message)
