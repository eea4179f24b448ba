"""Every knob of a fine-tuning run, with its range."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.embedding_models import Device
from pipeline.storage import content_version

_NOT_IN_FINGERPRINT = {"allow_slow", "keep_checkpoints"}
"""Knobs that change neither the weights nor what a checkpoint holds."""


class Recipe(BaseModel):
    """How a model is fine-tuned. The defaults are the reference system's, but for one epoch instead of ten."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=1, ge=1, le=1_000, description="Passes over the training pairs; the reference made 10.")
    batch_size: int = Field(
        default=32,
        ge=2,
        le=65_536,
        description="Pairs in an optimiser step. It changes the loss too: hard pairs are picked within a batch.",
    )
    learning_rate: float = Field(default=2e-5, gt=0, le=1, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(
        default=0.01, ge=0, le=1, description="AdamW's weight decay; biases and layer norms have none."
    )
    warmup_fraction: float = Field(
        default=0.1, ge=0, le=1, description="Share of all steps over which the learning rate rises linearly."
    )
    max_warmup_steps: int = Field(
        default=10_000,
        ge=0,
        le=10_000_000,
        description="Upper bound of the warm-up, in steps; then linear decay to 0.",
    )
    max_grad_norm: float = Field(default=1.0, gt=0, le=1_000, description="Gradients are clipped to this norm.")
    loss: Literal["online_contrastive"] = Field(
        default="online_contrastive",
        description="OnlineContrastiveLoss of sentence-transformers: learns from the hard pairs of a batch.",
    )
    margin: float = Field(
        default=0.5,
        gt=0,
        le=2,
        description="Cosine distance beyond which two different questions are far enough apart.",
    )
    max_seq_length: int | None = Field(
        default=None,
        ge=4,
        le=8_192,
        description="Tokens a question is cut to; empty keeps the base model's limit.",
    )
    seed: int = Field(default=42, ge=0, le=2**32 - 1, description="Seed of the shuffle and of dropout.")
    device: Device = Field(default="auto", description="Where to train: `auto` takes a GPU where there is one.")
    checkpoint_steps: int = Field(
        default=500,
        ge=1,
        le=10_000_000,
        description="Steps between two checkpoints; the last step always has one.",
    )
    keep_checkpoints: int = Field(default=2, ge=1, le=1_000, description="How many of the newest checkpoints stay.")
    allow_slow: bool = Field(
        default=False,
        description="Train on a CPU even if it is estimated to take more than 12 hours.",
    )

    def warmup_steps(self, total_steps: int) -> int:
        """Steps of linear warm-up: the share of all steps, at most `max_warmup_steps`."""
        return min(self.max_warmup_steps, int(total_steps * self.warmup_fraction))

    def fingerprint(self, train_version: str, dev_version: str, base_model_version: str) -> str:
        """Hash of all that decides the weights; a checkpoint is resumed only under the same one."""
        knobs = self.model_dump(exclude=_NOT_IN_FINGERPRINT)
        return content_version([knobs, train_version, dev_version, base_model_version])
