"""How a teacher is trained, and how far ahead of the student it must be before it is used."""

from pydantic import Field, model_validator

from pipeline.models.options import BaseModelChoice
from pipeline.training.recipe import DISTILLATION_LOSSES, EMBEDDING_DISTILLATION, LossName, Orders, Recipe


class TeacherOptions(Recipe):
    """The recipe of a teacher's members, how many there are, and the gate.

    The knobs are those of any training; the defaults of some are those of configs/best.yaml.
    """

    loss: LossName = Field(default="cosent", description="See fine_tuned_model; a cross_encoder takes few of them.")
    learning_rate: float = Field(default=1e-4, gt=0, le=1, description="Peak learning rate of AdamW.")
    dropout: float | None = Field(
        default=0.0, ge=0, lt=1, description="Dropout of all layers; empty keeps the base model's (BERT: 0.1)."
    )

    base_model: str | None = Field(
        default=None,
        min_length=1,
        description="What the members start from, named as in base_model's `model`; one that is larger than the "
        "student's knows more. Empty: the student's base model.",
    )
    base_model_revision: str | None = Field(
        default=None, description="Branch, tag or commit of a Hugging Face model; by default its newest commit."
    )
    folds: int = Field(
        default=3,
        ge=2,
        le=20,
        description="Parts of the training pairs, by connected components of questions. Each is scored by members that "
        "were trained without it.",
    )
    fold_seed: int = Field(default=0, ge=0, le=2**32 - 1, description="Seed of the division into folds.")
    members: int = Field(
        default=1,
        ge=1,
        le=20,
        description="Trainings for each fold, with the seeds `seed`, `seed` + 1 and so on; their probabilities are "
        "averaged.",
    )
    min_lead: float = Field(
        default=0.02,
        ge=-1,
        le=1,
        description="Average precision on the dev split by which a teacher must be ahead of the student to be used.",
    )
    train_anew: bool = Field(
        default=False, description="On a remote compute: train again where the same member has been trained already."
    )

    @model_validator(mode="after")
    def _seeds_are_numbers(self) -> "TeacherOptions":
        if self.seed + self.members > 2**32:
            raise ValueError(f"seed {self.seed} leaves no seeds for {self.members} members: lower it")
        return self

    @model_validator(mode="after")
    def _revision_is_of_a_model(self) -> "TeacherOptions":
        if self.base_model_revision is not None and self.base_model is None:
            raise ValueError(
                f"base_model_revision is {self.base_model_revision!r}, and no model is named that it is of: name one"
            )
        return self

    @model_validator(mode="after")
    def _learns_from_labels(self) -> "TeacherOptions":
        if self.needs_scored_pairs or self.needs_target_vectors:
            raise ValueError(
                "a teacher learns from labels, not from another teacher: leave out vector_epochs and the losses "
                f"{', '.join((*DISTILLATION_LOSSES, EMBEDDING_DISTILLATION))}"
            )
        return self

    def recipe_of(self, member: int) -> Recipe:
        """The recipe of one member of each fold; members differ by their seeds."""
        knobs = self.model_dump(include=set(Recipe.model_fields))
        return Recipe.model_validate({**knobs, "seed": self.seed + member})

    @property
    def base_model_choice(self) -> BaseModelChoice | None:
        """What the members start from; None for the student's base model."""
        if self.base_model is None:
            return None
        return BaseModelChoice(model=self.base_model, revision=self.base_model_revision)

    @property
    def orders(self) -> Orders:
        """What is to be done about the members' trainings."""
        return Orders(train_anew=self.train_anew)
