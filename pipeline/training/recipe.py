"""The recipe: every setting of a fine-tuning run with its range, and the names of the losses."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field, field_validator, model_validator

from pipeline.core.errors import excerpt
from pipeline.core.values import Renamed, Settings
from pipeline.models.fine_tuned import REMOVED_KNOBS
from pipeline.models.options import BaseModelChoice, Device, PrecisionChoice

LossName = Literal[
    "online_contrastive",
    "contrastive",
    "cosent",
    "angle",
    "binary_cross_entropy",
    "multiple_negatives_ranking",
    "distillation_embeddings",
]

TEACHER_LOSS: LossName = "distillation_embeddings"
"""The loss that compares embeddings with a teacher's vectors of the same questions."""

_ALL_STEPS = math.nextafter(1, 0)
"""The largest share of all steps."""

REMOVED_LOSSES = ("distillation_mse", "distillation_cross_entropy")
"""Losses of earlier releases, which read a teacher's scores of pairs."""


class Recipe(Settings):
    """How a model is fine-tuned. The defaults are the reference system's, but for one epoch instead of ten, the best
    checkpoint instead of the last, and the precision."""

    renamed: ClassVar[Mapping[str, Renamed]] = {
        "scheduler": Renamed("lr_scheduler_type"),
        # A share of 1 would now be one step.
        "warmup_fraction": Renamed("warmup_steps", dict.fromkeys((1, "1", "1.0"), _ALL_STEPS), at_most=1),
        "gradient_accumulation": Renamed("gradient_accumulation_steps"),
        "checkpoint_steps": Renamed("save_steps"),
        "keep_checkpoints": Renamed("save_total_limit"),
        "keep": Renamed("load_best_model_at_end", {"best": True, "last": False}),
    }
    removed: ClassVar[Mapping[str, Any]] = REMOVED_KNOBS

    epochs: int = Field(
        default=1, ge=1, le=1_000, description="Passes over the training pairs; the reference system made 10."
    )
    batch_size: int = Field(
        default=32,
        ge=2,
        le=65_536,
        description="Pairs in an optimiser step, over all processes and accumulated batches. It changes the loss too.",
    )
    gradient_accumulation_steps: int = Field(
        default=1, ge=1, le=1_024, description="Number of batches in an optimiser step, to save memory."
    )
    token_budget: int | None = Field(
        default=None,
        ge=64,
        le=100_000_000,
        description="Maximum tokens of a forward pass; a step with more tokens is cut short. Empty (auto): as many as "
        "fit into memory.",
    )
    learning_rate: float = Field(default=2e-5, gt=0, le=1, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(
        default=0.01, ge=0, le=1, description="AdamW's weight decay; biases and layer norms have none."
    )
    warmup_steps: float = Field(
        default=0.1,
        ge=0,
        le=10_000_000,
        description="Steps over which the learning rate rises linearly: a number of steps, or below 1 a share of all.",
    )
    max_warmup_steps: int = Field(
        default=10_000, ge=0, le=10_000_000, description="Upper bound of a warm-up that is given as a share, in steps."
    )
    lr_scheduler_type: Literal["linear", "cosine"] = Field(
        default="linear", description="How the learning rate falls to 0 after the warm-up."
    )
    max_grad_norm: float = Field(default=1.0, gt=0, le=1_000, description="Gradients are clipped to this norm.")
    dropout: float | None = Field(
        default=None, ge=0, lt=1, description="Dropout of all layers; empty keeps the base model's (BERT: 0.1)."
    )
    loss: LossName = Field(
        default="online_contrastive",
        description="The loss; docs/training.md explains each. The reference system uses online_contrastive.",
    )
    loss_weights: dict[str, float] = Field(
        default_factory=dict,
        description="Further losses and their weights; that of `loss` is 1.",
    )
    teacher_model: str | None = Field(
        default=None,
        min_length=1,
        description="For the loss distillation_embeddings: the model whose vectors of the training questions are "
        "learned. `bundled`, a folder, or a Hugging Face id, as the base model is named; usually a larger model.",
    )
    teacher_revision: str | None = Field(
        default=None,
        description="Branch, tag or commit of a teacher from Hugging Face; by default its newest commit.",
    )
    margin: float = Field(
        default=0.5,
        gt=0,
        le=2,
        description="Contrastive losses: cosine distance beyond which two different questions are far enough apart.",
    )
    group_size: int = Field(
        default=32,
        ge=2,
        le=65_536,
        description="Online contrastive loss: pairs among which the hard ones are picked, however large the batch.",
    )
    scale: float = Field(
        default=20.0,
        gt=0,
        le=1_000,
        description="All other losses but distillation_embeddings: cosines are multiplied by it (1 / temperature).",
    )
    center: float = Field(
        default=0.75,
        ge=-1,
        le=1,
        description="Binary cross-entropy: the cosine at which a pair is as likely a duplicate as not.",
    )
    max_seq_length: int | None = Field(
        default=None,
        ge=4,
        le=8_192,
        description="Tokens that a question is cut to; empty keeps the base model's limit.",
    )
    precision: PrecisionChoice = Field(
        default="auto", description="`auto`: bf16 where it is faster, else fp32. Weights are fp32 always."
    )
    evaluations_per_epoch: int = Field(
        default=1, ge=1, le=1_000, description="Number of evaluations on the dev split in each epoch."
    )
    load_best_model_at_end: bool = Field(
        default=True,
        description="Whether the result is the best model on the dev split, if there is one, or the last model. Both "
        "stay as checkpoints.",
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        le=1_000,
        description="Stop early after this number of evaluations without a new best; empty: never.",
    )
    average_decay: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Decay per step of an exponential moving average of the weights, which becomes the model; empty: "
        "no average.",
    )
    soup_size: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Number of trainings with the seeds `seed`, `seed` + 1 and so on, whose weights are averaged (a "
        "model soup). The result is as large and as fast as one of them.",
    )
    seed: int = Field(default=42, ge=0, le=2**32 - 1, description="Seed of the shuffle and of dropout.")
    device: Device = Field(default="auto", description="Where to train: `auto` takes a GPU where there is one.")
    save_steps: int = Field(
        default=500,
        ge=1,
        le=10_000_000,
        description="Steps between two checkpoints; the last step and each new best are always saved.",
    )
    save_total_limit: int = Field(
        default=2, ge=1, le=1_000, description="Number of newest checkpoints to keep, in addition to the best one."
    )
    allow_slow: bool = Field(
        default=False,
        description="Train on a CPU even if it is estimated to take more than 12 hours.",
    )

    @field_validator("loss", mode="before")
    @classmethod
    def _not_removed(cls, loss: Any) -> Any:
        if loss in REMOVED_LOSSES:
            raise ValueError(_removed_loss(loss))
        return loss

    @field_validator("token_budget", mode="before")
    @classmethod
    def _auto_is_none(cls, value: Any) -> Any:
        return None if value == "auto" else value

    @field_validator("warmup_steps")
    @classmethod
    def _whole_steps(cls, steps: float) -> float:
        if steps >= 1 and steps != int(steps):
            raise ValueError(f"{steps} is neither a share below 1 nor a whole number of steps")
        return steps

    @field_validator("loss_weights")
    @classmethod
    def _known_losses(cls, weights: dict[str, float]) -> dict[str, float]:
        names = get_args(LossName)
        # Without a weight, a loss that was removed changed nothing.
        weights = {name: weight for name, weight in weights.items() if weight or name not in REMOVED_LOSSES}
        for name, weight in weights.items():
            if name in REMOVED_LOSSES:
                raise ValueError(_removed_loss(name))
            if name not in names:
                raise ValueError(f"there is no loss {name!r}; there are: {', '.join(names)}")
            if not 0 <= weight <= 1_000:
                raise ValueError(f"the weight of {name} is {weight}: it must be at least 0 and at most 1,000")
        return weights

    @model_validator(mode="after")
    def _batch_can_be_cut(self) -> "Recipe":
        if self.batch_size % self.gradient_accumulation_steps:
            raise ValueError(
                f"batch_size {self.batch_size} can't be cut into {self.gradient_accumulation_steps} batches "
                "(gradient_accumulation_steps): choose a multiple"
            )
        if self.loss in self.loss_weights:
            raise ValueError(f"loss_weights weighs {self.loss}, which is the loss already: name other ones")
        return self

    @model_validator(mode="after")
    def _has_seeds_for_all(self) -> "Recipe":
        if self.seed + self.soup_size > 2**32:
            raise ValueError(f"seed {self.seed} leaves no seeds for soup_size {self.soup_size}: lower it")
        return self

    @model_validator(mode="after")
    def _has_a_teacher_where_a_loss_needs_one(self) -> "Recipe":
        needs_one = bool(self.all_losses.get(TEACHER_LOSS))
        if needs_one and self.teacher_model is None:
            raise ValueError(
                f"the loss {TEACHER_LOSS} needs teacher_model: name a model, such as a larger one that was fine-tuned "
                "before, or leave the loss out"
            )
        if self.teacher_model is not None and not needs_one:
            raise ValueError(
                f"teacher_model is {excerpt(self.teacher_model)}, but no loss reads a teacher's vectors: leave it out, "
                f"or set loss_weights: {{{TEACHER_LOSS}: 20.0}}"
            )
        if self.teacher_revision is not None and self.teacher_model is None:
            raise ValueError(
                f"teacher_revision is {excerpt(self.teacher_revision)} without teacher_model: leave it out"
            )
        return self

    @property
    def teacher(self) -> BaseModelChoice | None:
        """The teacher's name and revision; None without a teacher."""
        if self.teacher_model is None:
            return None
        return BaseModelChoice(model=self.teacher_model, revision=self.teacher_revision)

    @property
    def all_losses(self) -> dict[LossName, float]:
        """Every loss and its weight."""
        return {self.loss: 1.0, **self.loss_weights}  # type: ignore[dict-item]  # the validator knows the names

    def warmup_of(self, total_steps: int) -> int:
        """Steps of linear warm-up. A share is rounded down, as the reference system does, and is at most
        `max_warmup_steps`."""
        if self.warmup_steps >= 1:
            return int(self.warmup_steps)
        return min(self.max_warmup_steps, int(total_steps * self.warmup_steps))


def _removed_loss(name: str) -> str:
    return f"the loss {name}, which read a teacher's scores of pairs, was removed: use {TEACHER_LOSS}, or leave it out"


@dataclass(frozen=True)
class Orders:
    """What the caller wants done with a training's result.

    Attributes:
        train_anew: don't take a result that was used already.
        download_model: bring the fine-tuned model to this machine.
    """

    train_anew: bool = False
    download_model: bool = False


class TrainingOrder(Recipe):
    """A recipe, and what to do about its result."""

    train_anew: bool = Field(
        default=False,
        description="On a remote compute: train again even if there is a result of the same recipe, data, base model "
        "and code, which is reused otherwise.",
    )
    download_model: bool = Field(
        default=False,
        description="On a remote compute: also download the fine-tuned model into the runs folder of this machine.",
    )

    @property
    def recipe(self) -> Recipe:
        """The recipe alone."""
        return Recipe.model_validate(self.model_dump(include=set(Recipe.model_fields)))

    @property
    def orders(self) -> Orders:
        """The orders that are not part of the recipe."""
        return Orders(train_anew=self.train_anew, download_model=self.download_model)
