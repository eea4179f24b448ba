"""A training job: the pairs, the models and the recipe, and the run that it belongs to."""

from dataclasses import dataclass

from pipeline.core.errors import SettingError
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import PairTable
from pipeline.training.recipe import Recipe
from pipeline.training.reuse import training_fingerprint


@dataclass(frozen=True)
class RunIdentity:
    """What names a training run's folder.

    Attributes:
        owner: the same for all tries of a run, so that a retry finds its own folder and resumes.
        unix_time: creation time of the first try, in seconds.
    """

    owner: str
    unix_time: int


@dataclass(frozen=True)
class TrainingJob:
    """What is trained from what.

    Attributes:
        train: pairs to learn from.
        dev: pairs to watch and select on; may be empty.
        teacher: the model that the recipe names as its teacher; None where it names none.

    Raises:
        SettingError: when there is a teacher and the recipe names none, or the other way round.
    """

    train: PairTable
    dev: PairTable
    base_model: ModelInfo
    recipe: Recipe
    teacher: ModelInfo | None = None

    def __post_init__(self) -> None:
        if (self.teacher is None) != (self.recipe.teacher is None):
            given, named = (self.teacher.name if self.teacher else "none"), self.recipe.teacher_model or "none"
            raise SettingError(
                f"the recipe names the teacher {named}, but the training is given {given}: resolve teacher_model first",
                teacher_model=self.recipe.teacher_model,
                given=given,
            )

    @property
    def fingerprint(self) -> str:
        """See `training_fingerprint`."""
        return training_fingerprint(
            self.recipe,
            self.train.data_version,
            self.dev.data_version,
            self.base_model.version,
            self.teacher.version if self.teacher else None,
        )
