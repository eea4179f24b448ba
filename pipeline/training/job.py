"""A training that is asked for: the pairs, the model to start from and the recipe, and which run it belongs to."""

from dataclasses import dataclass

from pipeline.core.errors import PipelineError
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import PairTable
from pipeline.question_pairs.scored import ScoredPairs
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
        scored: pairs of training questions that a teacher has scored; None where the recipe asks for none.

    Raises:
        PipelineError: when the recipe asks for scored pairs and there are none.
    """

    train: PairTable
    dev: PairTable
    base_model: ModelInfo
    recipe: Recipe
    scored: ScoredPairs | None = None

    def __post_init__(self) -> None:
        if self.recipe.needs_scored_pairs and self.scored is None:
            raise PipelineError(
                f"the recipe learns from a teacher (learn_from: {self.recipe.learn_from}, losses: "
                f"{', '.join(self.recipe.all_losses)}), and there are no scored pairs: launch the jobs `teacher` and "
                "`silver`, or choose other losses"
            )

    @property
    def scored_version(self) -> str | None:
        """Data version of the scored pairs that the recipe reads; None where it reads none."""
        return self.scored.data_version if self.scored and self.recipe.needs_scored_pairs else None

    @property
    def fingerprint(self) -> str:
        """See `training_fingerprint`."""
        return training_fingerprint(
            self.recipe,
            self.train.data_version,
            self.dev.data_version,
            self.base_model.version,
            self.scored_version,
        )
