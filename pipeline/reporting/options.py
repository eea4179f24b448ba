"""Which models stand on the leaderboard, and where a model is published: the settings of what people are shown."""

from pydantic import Field

from pipeline.core.values import FrozenModel
from pipeline.evaluation.options import EvaluationOptions


class LeaderboardOptions(EvaluationOptions):
    """Which models stand on the leaderboard beside those that have a report, and how they are measured."""

    base_models: list[str] = Field(
        default=[],
        description="Further base models to measure on the eval pairs: `bundled`, folders or Hugging Face ids, as "
        "`model` of the base model takes them. A model that has been measured on these pairs isn't measured again.",
    )


REPOSITORY_PLACEHOLDER = "owner/name"
"""What stands for the id of a repository until someone writes it."""


class Publication(FrozenModel):
    """Where a model is published."""

    repository: str = Field(
        default=REPOSITORY_PLACEHOLDER,
        pattern=r"^[\w.-]+/[\w.-]+$",
        description="Id on the Hugging Face hub, `owner/name`. Created if it doesn't exist.",
    )
    private: bool = Field(
        default=True, description="Only the owner can see it. A repository that is public already is refused then."
    )
