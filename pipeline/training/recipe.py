"""Every knob of a fine-tuning run with its range, the names of the losses included."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from pipeline.core.values import FrozenModel
from pipeline.models.options import Device, PrecisionChoice

ArchitectureName = Literal["bi_encoder", "cross_encoder"]

LossName = Literal[
    "online_contrastive",
    "contrastive",
    "cosent",
    "angle",
    "binary_cross_entropy",
    "multiple_negatives_ranking",
    "distillation_mse",
    "distillation_cross_entropy",
    "distillation_embeddings",
]

DISTILLATION_LOSSES: tuple[LossName, ...] = ("distillation_mse", "distillation_cross_entropy")
"""The losses that read a teacher's probability instead of a label."""

EMBEDDING_DISTILLATION: LossName = "distillation_embeddings"
"""The loss that reads a teacher's vectors of single questions."""

CROSS_ENCODER_LOSSES: tuple[LossName, ...] = ("binary_cross_entropy", "cosent")
"""The losses that need a score for each pair and no embeddings."""


class Recipe(FrozenModel):
    """How a model is fine-tuned. The defaults are the reference system's, but for one epoch instead of ten, the best
    checkpoint instead of the last, and the precision."""

    architecture: ArchitectureName = Field(
        default="bi_encoder",
        description="`bi_encoder` embeds single questions; `cross_encoder` reads both questions of a pair at once and "
        "can only score pairs.",
    )
    epochs: int = Field(default=1, ge=1, le=1_000, description="Passes over the training pairs; the reference made 10.")
    batch_size: int = Field(
        default=32,
        ge=2,
        le=65_536,
        description="Pairs in an optimiser step, over all processes and accumulated batches. It changes the loss too.",
    )
    gradient_accumulation: int = Field(
        default=1, ge=1, le=1_024, description="Batches that an optimiser step is cut into, to save memory."
    )
    token_budget: int | None = Field(
        default=None,
        ge=64,
        le=100_000_000,
        description="Most tokens in a forward pass; a step whose pairs have more ends early. Empty (auto): as many as "
        "the memory holds.",
    )
    learning_rate: float = Field(default=2e-5, gt=0, le=1, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(
        default=0.01, ge=0, le=1, description="AdamW's weight decay; biases and layer norms have none."
    )
    warmup_fraction: float = Field(
        default=0.1, ge=0, le=1, description="Share of all steps over which the learning rate rises linearly."
    )
    max_warmup_steps: int = Field(
        default=10_000, ge=0, le=10_000_000, description="Upper bound of the warm-up, in steps."
    )
    scheduler: Literal["linear", "cosine"] = Field(
        default="linear", description="How the learning rate falls to 0 after the warm-up."
    )
    max_grad_norm: float = Field(default=1.0, gt=0, le=1_000, description="Gradients are clipped to this norm.")
    dropout: float | None = Field(
        default=None, ge=0, lt=1, description="Dropout of all layers; empty keeps the base model's (BERT: 0.1)."
    )
    loss: LossName = Field(
        default="online_contrastive",
        description="What a batch costs; docs/training.md explains each. The reference: online_contrastive.",
    )
    loss_weights: dict[str, float] = Field(
        default_factory=dict,
        description="Further losses by name, with their weights beside the first one's 1.",
    )
    learn_from: Literal["gold", "silver", "both"] = Field(
        default="gold",
        description="Which pairs are trained on: `gold`, the labelled ones; `silver`, mined ones that a teacher has "
        "scored; or `both`. Distillation losses read the scores, of labelled pairs too.",
    )
    closure_cluster: int = Field(
        default=0,
        ge=0,
        le=1_000,
        description="Train on pairs too that follow from the labels, in clusters of at most so many questions that ask "
        "the same; 0: on none. Needs a division that keeps every question on one side.",
    )
    closure_others: int = Field(
        default=1,
        ge=0,
        le=1_000,
        description="With closure_cluster: at most so many pairs of different questions between two clusters of which "
        "one such pair is labelled.",
    )
    vector_epochs: int = Field(
        default=0,
        ge=0,
        le=1_000,
        description="Epochs before all others, in which the model learns a teacher's vectors of the training questions "
        "and no labels; 0: none.",
    )
    vector_learning_rate: float | None = Field(
        default=None, gt=0, le=1, description="Peak learning rate of the vector_epochs; empty: learning_rate."
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
        description="All other losses: cosines are multiplied by it (1 / temperature). Of a cross-encoder, cosent "
        "multiplies scores between 0 and 1.",
    )
    center: float = Field(
        default=0.75,
        ge=-1,
        le=1,
        description="Binary cross-entropy and distillation: cosine at which a pair is as likely as not.",
    )
    max_seq_length: int | None = Field(
        default=None,
        ge=4,
        le=8_192,
        description="Tokens a question is cut to, or both of a pair for a cross-encoder; empty keeps the base model's "
        "limit.",
    )
    precision: PrecisionChoice = Field(
        default="auto", description="`auto`: bf16 where it is faster, else fp32. Weights are fp32 always."
    )
    evaluations_per_epoch: int = Field(
        default=1, ge=1, le=1_000, description="How often an epoch the model is evaluated on the dev split."
    )
    keep: Literal["best", "last"] = Field(
        default="best",
        description="Which model is the result: the best on the dev split (with one), or the last. Both stay as "
        "checkpoints.",
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        le=1_000,
        description="Stop early after so many evaluations without a new best; empty: never.",
    )
    average_decay: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Decay a step of an exponential moving average of the weights, which then is the model; empty: "
        "none.",
    )
    swap_pairs: bool = Field(
        default=False,
        description="Cross-encoders: in each epoch a random half of the pairs is read second question first.",
    )
    soup_size: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Trainings with the seeds `seed`, `seed` + 1 and so on, which start from the same model; their "
        "weights are averaged (a model soup), and the result is as large and as quick as one of them.",
    )
    seed: int = Field(
        default=42, ge=0, le=2**32 - 1, description="Seed of the shuffle, of dropout and of a cross-encoder's head."
    )
    device: Device = Field(default="auto", description="Where to train: `auto` takes a GPU where there is one.")
    checkpoint_steps: int = Field(
        default=500,
        ge=1,
        le=10_000_000,
        description="Steps between two checkpoints; the last step and each new best always have one.",
    )
    keep_checkpoints: int = Field(
        default=2, ge=1, le=1_000, description="How many of the newest checkpoints stay, and the best one."
    )
    allow_slow: bool = Field(
        default=False,
        description="Train on a CPU even if it is estimated to take more than 12 hours.",
    )

    @field_validator("token_budget", mode="before")
    @classmethod
    def _auto_is_none(cls, value: Any) -> Any:
        return None if value == "auto" else value

    @field_validator("loss_weights")
    @classmethod
    def _known_losses(cls, weights: dict[str, float]) -> dict[str, float]:
        names = get_args(LossName)
        for name, weight in weights.items():
            if name not in names:
                raise ValueError(f"there is no loss {name!r}; there are: {', '.join(names)}")
            if not 0 <= weight <= 1_000:
                raise ValueError(f"the weight of {name} is {weight}: it must be at least 0 and at most 1,000")
        return weights

    @model_validator(mode="after")
    def _batch_can_be_cut(self) -> "Recipe":
        if self.batch_size % self.gradient_accumulation:
            raise ValueError(
                f"batch_size {self.batch_size} can't be cut into {self.gradient_accumulation} batches "
                "(gradient_accumulation): choose a multiple"
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
    def _has_epochs_for_its_learning_rate(self) -> "Recipe":
        if self.vector_learning_rate is not None and not self.vector_epochs:
            raise ValueError(
                f"vector_learning_rate is {self.vector_learning_rate:g}, but vector_epochs is 0: leave it out, or set "
                "vector_epochs"
            )
        return self

    @model_validator(mode="after")
    def _suits_the_architecture(self) -> "Recipe":
        if self.architecture == "bi_encoder":
            if self.swap_pairs:
                raise ValueError(
                    "swap_pairs is true, but a bi_encoder reads each question by itself: leave it out, or set "
                    "architecture: cross_encoder"
                )
            return self
        if self.vector_epochs:
            raise ValueError(
                f"vector_epochs is {self.vector_epochs}, but a cross_encoder makes no vectors: leave it out, or set "
                "architecture: bi_encoder"
            )
        for name in self.all_losses:
            if name not in CROSS_ENCODER_LOSSES:
                raise ValueError(
                    f"the loss {name} compares embeddings, and a cross_encoder makes none: choose "
                    f"{' or '.join(CROSS_ENCODER_LOSSES)}"
                )
        return self

    @model_validator(mode="after")
    def _has_losses_for_its_pairs(self) -> "Recipe":
        names = [name for name, weight in self.all_losses.items() if weight]
        distils = [name for name in names if name in DISTILLATION_LOSSES]
        if self.learn_from != "gold" and not distils:
            raise ValueError(
                f"learn_from is {self.learn_from}, and silver pairs have no labels for the loss {self.loss}: weigh "
                f"{' or '.join(DISTILLATION_LOSSES)} in loss_weights"
            )
        wrong = next((name for name in names if name not in (*DISTILLATION_LOSSES, EMBEDDING_DISTILLATION)), None)
        if self.learn_from == "silver" and wrong:
            raise ValueError(
                f"learn_from is silver, and silver pairs have no labels for the loss {wrong}: choose "
                f"{' or '.join(DISTILLATION_LOSSES)}, or learn_from: both"
            )
        if self.closure_cluster == 1:
            raise ValueError("closure_cluster is 1, and nothing follows from one question: set it to 0 or to 2")
        return self

    @property
    def needs_scored_pairs(self) -> bool:
        """Whether it reads what a teacher has scored."""
        return any(weight and name in DISTILLATION_LOSSES for name, weight in self.all_losses.items())

    @property
    def needs_target_vectors(self) -> bool:
        """Whether it reads a teacher's vectors of the training questions."""
        return self.vector_epochs > 0 or bool(self.all_losses.get(EMBEDDING_DISTILLATION))

    @property
    def all_losses(self) -> dict[LossName, float]:
        """Every loss and its weight."""
        return {self.loss: 1.0, **self.loss_weights}  # type: ignore[dict-item]  # the validator knows the names

    def warmup_steps(self, total_steps: int) -> int:
        """Steps of linear warm-up: the share of all steps, at most `max_warmup_steps`."""
        return min(self.max_warmup_steps, int(total_steps * self.warmup_fraction))


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
        description="On a remote compute: train again where the same recipe, data, base model and code have given a "
        "result already, which stands otherwise.",
    )
    download_model: bool = Field(
        default=False,
        description="On a remote compute: bring the fine-tuned model to this machine too, into the runs folder.",
    )

    @field_validator("architecture")
    @classmethod
    def _embeds_single_questions(cls, architecture: ArchitectureName) -> ArchitectureName:
        if architecture != "bi_encoder":
            raise ValueError(
                f"a {architecture} can only score pairs, and this model must embed single questions: leave it at "
                "bi_encoder"
            )
        return architecture

    @property
    def recipe(self) -> Recipe:
        """The recipe alone."""
        return Recipe.model_validate(self.model_dump(include=set(Recipe.model_fields)))

    @property
    def orders(self) -> Orders:
        """What is beside the recipe."""
        return Orders(train_anew=self.train_anew, download_model=self.download_model)
