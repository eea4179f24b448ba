"""What must hold of the data, the splits, a model and its report: plain functions from a value to a finding.

The asset checks show their findings; every finding has the figure that was looked at and the bound it was held against.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from pipeline.core.references import Cost
from pipeline.evaluation.report import EvaluationReport
from pipeline.question_pairs.schema import PAIR_SCHEMA, PairTable


@dataclass(frozen=True)
class Finding:
    """What a rule found.

    Attributes:
        passed: does it hold? True also where the rule doesn't apply.
        value: the figure that was looked at; None where there is none, as the rule doesn't apply.
        threshold: the bound that it was held against.
        said: the finding in a sentence.
    """

    passed: bool
    value: float | int | None
    threshold: float | int
    said: str

    @property
    def is_skipped(self) -> bool:
        """Whether the rule doesn't apply; `said` has the reason."""
        return self.passed and self.value is None


def skipped(reason: str, threshold: float) -> Finding:
    """The finding of a rule that doesn't apply, with the reason."""
    return Finding(True, None, threshold, f"skipped: {reason}")


NO_DEV_SPLIT = "dev_split is empty (dev_fraction: 0)"


class DatasetLimits(BaseModel):
    """Bounds of the checks on the dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_rejected_share: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="More rejected rows than this share of those read stop the run, whatever raw_quora_dataset allows.",
    )
    max_positive_rate_drift: float = Field(
        default=0.05, ge=0, le=1, description="Warn when the share of duplicates moved further since the last time."
    )
    max_length_drift: float = Field(
        default=0.25,
        ge=0,
        le=100,
        description="Warn when the mean length of a question changed by a larger share since the last time.",
    )


class SplitLimits(BaseModel):
    """Bounds of the checks on the splits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_train_pairs: int = Field(
        default=100, ge=1, le=1_000_000_000, description="Fewer pairs in train_split stop the run."
    )
    min_held_out_pairs: int = Field(
        default=20, ge=1, le=1_000_000_000, description="Fewer pairs in eval_split, or in a dev_split, stop the run."
    )


class ModelLimits(BaseModel):
    """Bounds of the checks on the fine-tuned model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_norm_error: float = Field(
        default=1e-3,
        ge=0,
        le=1_000_000,
        description="How far the length of an embedding may be from 1. Raise it for a model that doesn't normalise.",
    )
    max_training_hours: float = Field(default=24.0, gt=0, le=10_000, description="Warn when the training took longer.")
    max_cost: float = Field(
        default=50.0,
        ge=0,
        le=1_000_000,
        description="Warn when the training cost more, in the currency of the price table.",
    )


class ReportLimits(BaseModel):
    """Bounds of the checks on the report of the fine-tuned model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_unseen_ap_drop: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Warn when average precision on unseen questions fell by more since the last report.",
    )


# --- the dataset -----------------------------------------------------------------------------------------------


def schema_and_labels(table: PairTable) -> Finding:
    """Every column is there, and no row lacks a value or has a label other than true and false."""
    if list(table.pairs.columns) != PAIR_SCHEMA.names:
        found = ", ".join(map(str, table.pairs.columns))
        return Finding(False, len(table), 0, f"the columns are {found}, not {', '.join(PAIR_SCHEMA.names)}")
    missing = table.pairs.isna().any(axis=1)
    bad_label = ~table.pairs["is_duplicate"].isin([True, False])
    bad = int((missing | bad_label).sum())
    return Finding(not bad, bad, 0, f"{bad:,} of {len(table):,} pairs lack a value or have no label true or false")


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
        f"{now:.1%} of the pairs are duplicates, {before:.1%} were the last time; average precision moves with it",
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


def enough_pairs(name: str, table: PairTable, limits: SplitLimits) -> Finding:
    """A side is large enough to train or measure on."""
    least = limits.min_train_pairs if name == "train_split" else limits.min_held_out_pairs
    if name == "dev_split" and not len(table):
        return skipped(NO_DEV_SPLIT, least)
    return Finding(len(table) >= least, len(table), least, f"{name} has {len(table):,} pairs; it needs {least:,}")


def both_classes(name: str, table: PairTable) -> Finding:
    """A side has duplicates and others; the value counts the rarer kind."""
    if name == "dev_split" and not len(table):
        return skipped(NO_DEV_SPLIT, 1)
    duplicates = int(table.labels.sum())
    rarer = min(duplicates, len(table) - duplicates)
    return Finding(rarer >= 1, rarer, 1, f"{duplicates:,} of the {len(table):,} pairs of {name} are duplicates")


_AS_PUBLISHED = "the strategy {!r} leaves questions on both sides, as published figures do"


def pairs_on_two_sides(sides: dict[str, PairTable], strategy: str) -> Finding:
    """No pair stands on two sides: none with the same id and the same questions."""
    if strategy != "question_disjoint":
        return skipped(_AS_PUBLISHED.format(strategy), 0)
    keys = [table.pairs[["pair_id", "question1_id", "question2_id"]].drop_duplicates() for table in sides.values()]
    together = pd.concat(keys)
    leaked = int(together.duplicated().sum())
    return Finding(not leaked, leaked, 0, f"{leaked:,} of {len(together):,} pairs stand on two sides")


def questions_on_two_sides(sides: dict[str, PairTable], strategy: str) -> Finding:
    """No question stands on two sides; letter case and outer blanks make no other question."""
    if strategy != "question_disjoint":
        return skipped(_AS_PUBLISHED.format(strategy), 0)
    texts = [
        pd.concat([table.pairs["question1"], table.pairs["question2"]]).str.strip().str.lower().drop_duplicates()
        for table in sides.values()
    ]
    together = pd.concat(texts)
    leaked = int(together.duplicated().sum())
    return Finding(not leaked, leaked, 0, f"{leaked:,} of {len(together):,} questions stand on two sides")


# --- the model -------------------------------------------------------------------------------------------------

PROBE_QUESTIONS = [
    "How do I learn to play the guitar?",
    "What is the best way to learn guitar?",
    "Why?",
    "Was kostet eine Fahrkarte nach Zürich?",
    "如何学习编程？",
    "",
    "Is it true that " + "the more one reads, the more one forgets, and " * 40 + "why?",
]
"""Short and long, with and without letters that the tokenizer knows: what a user may ask of a model."""


def sound_embeddings(embeddings: np.ndarray, limits: ModelLimits) -> Finding:
    """Embeddings of shape (questions, dimensions) are finite and of length 1."""
    finite = bool(np.isfinite(embeddings).all())
    error = float(np.abs(np.linalg.norm(embeddings, axis=1) - 1).max()) if finite else float("inf")
    said = (
        f"{len(embeddings)} questions have finite embeddings of {embeddings.shape[1]} dimensions, whose length is at "
        f"most {error:.1e} from 1"
        if finite
        else f"the embeddings of {len(embeddings)} questions are not finite: the training diverged"
    )
    return Finding(finite and error <= limits.max_norm_error, error, limits.max_norm_error, said)


def training_time(seconds: float, limits: ModelLimits) -> Finding:
    """The training was as quick as planned."""
    hours = seconds / 3600
    return Finding(
        hours <= limits.max_training_hours,
        hours,
        limits.max_training_hours,
        f"the training took {hours:.2f} hours; {limits.max_training_hours:g} are planned",
    )


def training_cost(cost: Cost | None, limits: ModelLimits) -> Finding:
    """The training was as cheap as planned; None where nobody bills it."""
    if cost is None:
        return skipped("the machine that trained bills nothing", limits.max_cost)
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
            f"the last report is on other pairs (eval data version {before.eval_version}, now {report.eval_version})",
            limits.max_unseen_ap_drop,
        )
    now, then = (part.unseen.ap if part.unseen else None for part in (report, before))
    if now is None or then is None:
        return skipped("too few eval pairs have only unseen questions", limits.max_unseen_ap_drop)
    drop = then.estimate - now.estimate
    return Finding(
        drop <= limits.max_unseen_ap_drop,
        drop,
        limits.max_unseen_ap_drop,
        f"average precision on unseen questions is {now.estimate:.4f}; it was {then.estimate:.4f}",
    )
