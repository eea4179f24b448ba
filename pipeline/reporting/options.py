"""Settings of the leaderboard and of publishing."""

from pydantic import Field

from pipeline.core.values import FrozenModel
from pipeline.evaluation.measurement import EvaluationOptions


class LeaderboardOptions(EvaluationOptions):
    """Which other models are on the leaderboard, and how they are evaluated."""

    base_models: list[str] = Field(
        default=[],
        description="More base models to evaluate on the eval pairs: `bundled`, folders or Hugging Face ids, as for "
        "`base_model.model`. A model that was already evaluated on these pairs is not evaluated again.",
    )


REPOSITORY_PLACEHOLDER = "owner/name"
"""The default, which is refused."""


class Publication(FrozenModel):
    """Where a model is published."""

    repository: str = Field(
        default=REPOSITORY_PLACEHOLDER,
        pattern=r"^[\w.-]+/[\w.-]+$",
        description="Id on the Hugging Face hub, `owner/name`. Created if it doesn't exist.",
    )
    private: bool = Field(
        default=True, description="Visible only to the owner. An existing public repository is then refused."
    )
