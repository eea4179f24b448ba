"""Settings: limits of the checks, what a model must achieve to be promoted, and what pruning keeps."""

from typing import Literal

from pydantic import Field

from pipeline.core.values import FrozenModel


class DatasetLimits(FrozenModel):
    """Limits of the checks on the dataset."""

    max_rejected_share: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Maximum share of rejected rows. More stop the run, even if the dataset's own limit allows them.",
    )
    max_positive_rate_drift: float = Field(
        default=0.05, ge=0, le=1, description="Warn when the share of duplicates changed by more since last time."
    )
    max_length_drift: float = Field(
        default=0.25,
        ge=0,
        le=100,
        description="Warn when the mean length of a question changed by a larger share since last time.",
    )


class SplitLimits(FrozenModel):
    """Limits of the checks on the splits."""

    min_train_pairs: int = Field(
        default=100,
        ge=1,
        le=1_000_000_000,
        description="Minimum number of pairs in the training split. Fewer stop the run.",
    )
    min_held_out_pairs: int = Field(
        default=20,
        ge=1,
        le=1_000_000_000,
        description="Minimum number of pairs in the eval split, and in the dev split unless it is empty. Fewer stop "
        "the run.",
    )


class ModelLimits(FrozenModel):
    """Limits of the checks on the fine-tuned model."""

    max_norm_error: float = Field(
        default=1e-3,
        ge=0,
        le=1_000_000,
        description="Maximum difference of an embedding's length from 1, if those of the base model have length 1.",
    )
    max_training_hours: float = Field(default=24.0, gt=0, le=10_000, description="Warn when the training took longer.")
    max_cost: float = Field(
        default=50.0,
        ge=0,
        le=1_000_000,
        description="Warn when the training cost more, in the currency of the price table.",
    )


class ReportLimits(FrozenModel):
    """Limits of the checks on the report of the fine-tuned model."""

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
        description="Warn when mining AP is lower than the baseline's by more than this: when the whole 95 % interval "
        "of the difference is below minus this.",
    )
    max_recall_loss: float = Field(default=0.0, ge=0, le=1, description="The same for recall@10 of retrieval.")


class PromotionRules(FrozenModel):
    """What a model must achieve to be promoted."""

    run_id: str | None = Field(
        default=None,
        min_length=8,
        max_length=36,
        pattern="^[0-9a-f-]+$",
        description="Roll back: promote the model of this earlier run, whatever its figures (the first 8 characters of "
        "the run id are enough). Empty: promote the newest model, if it is accepted.",
    )
    min_ap_gain: float = Field(
        default=0.005,
        ge=0,
        le=1,
        description="Minimum gain in average precision over the baseline. Its 95 % interval must be above 0 too.",
    )
    max_ap_loss: float = Field(
        default=0.005,
        ge=0,
        le=1,
        description="Maximum loss in average precision compared with the model in production, on the eval pairs that "
        "neither was trained on. A model whose whole interval is below 0 is refused in any case.",
    )
    on_other_eval_pairs: Literal["refuse", "replace"] = Field(
        default="refuse",
        description="If the two can't be compared (the record, the model or its training pairs are missing, or too few "
        "eval pairs are new to both): `refuse` the new model, or let it `replace` the other if it gains enough over "
        "its baseline.",
    )
    allow_other_kind_of_data: bool = Field(
        default=False,
        description="Let a model trained on generated pairs replace one trained on real pairs. The reverse needs no "
        "setting.",
    )


class RetentionRules(FrozenModel):
    """What pruning keeps of old trainings and old values."""

    keep: int = Field(
        default=10,
        ge=0,
        le=10_000,
        description="How many of the newest trainings, and of the newest values of each asset, are kept in any case.",
    )
    top: int = Field(
        default=3,
        ge=0,
        le=10_000,
        description="How many of the first models on the leaderboard keep their trainings.",
    )
