"""How a model is measured: the settings of an evaluation."""

from pydantic import Field

from pipeline.core.values import FrozenModel
from pipeline.models.options import Device, PrecisionChoice


class EvaluationOptions(FrozenModel):
    """How a model is measured for a report."""

    device: Device = Field(default="auto", description="Where to embed: `auto` takes a GPU where there is one.")
    precision: PrecisionChoice = Field(
        default="auto",
        description="Of the embedding: `auto` takes bf16 (autocast) where it is faster. Scores are fp32 always.",
    )
    token_budget: int = Field(
        default=4_096, ge=64, le=1_048_576, description="Most tokens of a forward pass. It changes the speed only."
    )
    task_questions: int = Field(
        default=10_000,
        ge=0,
        le=100_000,
        description="Duplicate mining and retrieval are measured on the eval pairs with the first so many distinct "
        "questions; 0 leaves them out. The work grows with the square.",
    )
