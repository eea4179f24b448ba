"""Bounds of the checks, and what a model must hold to be promoted: the settings of quality."""

from typing import Literal

from pydantic import Field

from pipeline.core.values import FrozenModel


class DatasetLimits(FrozenModel):
    """Bounds of the checks on the dataset."""

    max_rejected_share: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="More rejected rows than this share of those read stop the run, whatever the dataset's own limit "
        "allows.",
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


class SplitLimits(FrozenModel):
    """Bounds of the checks on the splits."""

    min_train_pairs: int = Field(
        default=100, ge=1, le=1_000_000_000, description="Fewer pairs in the training split stop the run."
    )
    min_held_out_pairs: int = Field(
        default=20,
        ge=1,
        le=1_000_000_000,
        description="Fewer pairs in the eval split, or in a dev split, stop the run.",
    )


class ModelLimits(FrozenModel):
    """Bounds of the checks on the fine-tuned model."""

    max_norm_error: float = Field(
        default=1e-3,
        ge=0,
        le=1_000_000,
        description="How far the length of an embedding may be from 1, where the base model's have length 1.",
    )
    max_training_hours: float = Field(default=24.0, gt=0, le=10_000, description="Warn when the training took longer.")
    max_cost: float = Field(
        default=50.0,
        ge=0,
        le=1_000_000,
        description="Warn when the training cost more, in the currency of the price table.",
    )


class ReportLimits(FrozenModel):
    """Bounds of the checks on the report of the fine-tuned model."""

    max_unseen_ap_drop: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Warn when average precision on unseen questions fell by more since the last report.",
    )
    max_mining_ap_loss: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Warn when mining AP is surely lower than the baseline's by more: when the whole 95 % interval of "
        "the difference lies below minus this.",
    )
    max_recall_loss: float = Field(default=0.0, ge=0, le=1, description="The same of the retrieval's recall@10.")


class PromotionRules(FrozenModel):
    """What a model must hold to become the one in production."""

    run_id: str | None = Field(
        default=None,
        min_length=8,
        max_length=36,
        pattern="^[0-9a-f-]+$",
        description="Roll back: put what this earlier run made into production, whatever its figures (the first 8 "
        "characters of its id are enough). Empty: the newest model, if it is accepted.",
    )
    min_ap_gain: float = Field(
        default=0.005,
        ge=0,
        le=1,
        description="Least gain in average precision over the baseline; its 95 % interval must lie above 0 too.",
    )
    max_ap_loss: float = Field(
        default=0.005,
        ge=0,
        le=1,
        description="How much less average precision than that of the model in production is accepted, on the eval "
        "pairs that neither was trained on. A model that is surely worse (its whole interval) is refused in any case.",
    )
    on_other_eval_pairs: Literal["refuse", "replace"] = Field(
        default="refuse",
        description="Where the two can't be compared (the record, the model or what it was trained on is gone, or too "
        "few eval pairs are new to both): `refuse`, or `replace` by a model that gains enough over its own baseline.",
    )
    allow_other_kind_of_data: bool = Field(
        default=False,
        description="Let a model of generated pairs replace one of real pairs. The other way round needs no setting.",
    )


class RetentionRules(FrozenModel):
    """What stays of old trainings and old values when they are pruned."""

    keep: int = Field(
        default=10,
        ge=0,
        le=10_000,
        description="So many of the newest trainings, and of the newest values of each asset, stay in any case.",
    )
    top: int = Field(
        default=3,
        ge=0,
        le=10_000,
        description="The trainings of so many of the first models on the leaderboard stay.",
    )
