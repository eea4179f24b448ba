"""A training that is asked for: the pairs, the model to start from and the recipe, and which run it belongs to."""

from dataclasses import dataclass

from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import PairTable
from pipeline.training.fingerprint import training_fingerprint
from pipeline.training.recipe import Recipe


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
    """

    train: PairTable
    dev: PairTable
    base_model: ModelInfo
    recipe: Recipe

    @property
    def fingerprint(self) -> str:
        """See `training_fingerprint`."""
        return training_fingerprint(
            self.recipe, self.train.data_version, self.dev.data_version, self.base_model.version
        )
