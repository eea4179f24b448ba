"""A training that is asked for: the pairs, the model to start from and the recipe, and which run it belongs to."""

from dataclasses import dataclass

from pipeline.core.errors import PipelineError
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import PairTable
from pipeline.question_pairs.scored import ScoredPairs
from pipeline.question_pairs.target_vectors import TargetVectors
from pipeline.training.fingerprint import training_fingerprint
from pipeline.training.recipe import EMBEDDING_DISTILLATION, Recipe


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
        target_vectors: of the training questions, by a teacher; None where the recipe asks for none.
        starts_from: a model that was trained from the base model, whose weights are the first ones instead.

    Raises:
        PipelineError: when the recipe asks for what a teacher gives and it isn't there, or the vectors lie in the space
            of another base model.
    """

    train: PairTable
    dev: PairTable
    base_model: ModelInfo
    recipe: Recipe
    scored: ScoredPairs | None = None
    target_vectors: TargetVectors | None = None
    starts_from: ModelInfo | None = None

    def __post_init__(self) -> None:
        if self.recipe.needs_scored_pairs and self.scored is None:
            raise PipelineError(
                f"the recipe learns from a teacher (learn_from: {self.recipe.learn_from}, losses: "
                f"{', '.join(self.recipe.all_losses)}), and there are no scored pairs: launch the jobs `teacher` and "
                "`silver`, or choose other losses"
            )
        if not self.recipe.needs_target_vectors:
            return
        if self.target_vectors is None:
            asked = "vector_epochs" if self.recipe.vector_epochs else f"the loss {EMBEDDING_DISTILLATION}"
            raise PipelineError(
                f"the recipe has {asked}, and there are no vectors of a teacher: launch the jobs `teacher`, with "
                "architecture: bi_encoder, and `silver`, or leave that out"
            )
        if self.target_vectors.base_model_version != self.base_model.version:
            raise PipelineError(
                f"the teacher's vectors lie in the space of the base model {self.target_vectors.base_model_version}, "
                f"and {self.base_model.name} is {self.base_model.version}: launch the job `silver` again"
            )

    @property
    def lessons(self) -> tuple[ScoredPairs | TargetVectors, ...]:
        """What of a teacher the recipe reads."""
        scored = self.scored if self.recipe.needs_scored_pairs else None
        vectors = self.target_vectors if self.recipe.needs_target_vectors else None
        return tuple(each for each in (scored, vectors) if each is not None)

    @property
    def scored_version(self) -> str | None:
        """Data version of the scored pairs that the recipe reads; None where it reads none."""
        return self.scored.data_version if self.scored and self.recipe.needs_scored_pairs else None

    @property
    def vectors_version(self) -> str | None:
        """Data version of the teacher's vectors that the recipe reads; None where it reads none."""
        return self.target_vectors.data_version if self.target_vectors and self.recipe.needs_target_vectors else None

    @property
    def fingerprint(self) -> str:
        """See `training_fingerprint`."""
        return training_fingerprint(
            self.recipe,
            self.train.data_version,
            self.dev.data_version,
            self.base_model.version,
            self.scored_version,
            self.vectors_version,
            self.starts_from.version if self.starts_from else None,
        )
