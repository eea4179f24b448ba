"""Settings of exports."""

from typing import Literal

from pydantic import Field

from pipeline.core.values import FrozenModel

ExportPrecision = Literal["fp32", "int8"]


class ExportOptions(FrozenModel):
    """How a model is exported."""

    precision: ExportPrecision = Field(
        default="fp32",
        description="`fp32` gives the embeddings of the model itself; `int8` has 8-bit weights and activations: "
        "faster and smaller, with its own thresholds and calibration.",
    )


class ParityLimits(FrozenModel):
    """How far an export may differ from its model."""

    min_cosine: float = Field(
        default=0.9999,
        ge=-1,
        le=1,
        description="Minimum cosine between the embeddings of an fp32 export and of the model, over all compared "
        "questions.",
    )
    max_ap_loss: float = Field(
        default=0.003,
        ge=0,
        le=1,
        description="Maximum average precision that an int8 export may lose, on the same pairs.",
    )


class ExportJobOptions(ExportOptions, ParityLimits):
    """How the model in production is exported, and how far the export may differ from it."""
