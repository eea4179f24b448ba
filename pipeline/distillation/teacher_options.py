"""How a teacher is trained, and how far ahead of the student it must be before it is used."""

from pydantic import Field, model_validator

from pipeline.training.recipe import LossName, Orders, Recipe


class TeacherOptions(Recipe):
    """The recipe of a teacher's members, how many there are, and the gate.

    The knobs are those of any training; the defaults of some are those of configs/best.yaml.
    """

    loss: LossName = Field(default="cosent", description="See fine_tuned_model; a cross_encoder takes few of them.")
    learning_rate: float = Field(default=1e-4, gt=0, le=1, description="Peak learning rate of AdamW.")
    dropout: float | None = Field(
        default=0.0, ge=0, lt=1, description="Dropout of all layers; empty keeps the base model's (BERT: 0.1)."
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

    def recipe_of(self, member: int) -> Recipe:
        """The recipe of one member of each fold; members differ by their seeds."""
        knobs = self.model_dump(include=set(Recipe.model_fields))
        return Recipe.model_validate({**knobs, "seed": self.seed + member})

    @property
    def orders(self) -> Orders:
        """What is to be done about the members' trainings."""
        return Orders(train_anew=self.train_anew)
