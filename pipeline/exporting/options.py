"""How a model is exported, and what an export must hold: settings."""

from typing import Literal

from pydantic import Field

from pipeline.core.values import FrozenModel

ExportPrecision = Literal["fp32", "int8"]


class ExportOptions(FrozenModel):
    """How a model is exported."""

    precision: ExportPrecision = Field(
        default="fp32",
        description="`fp32` gives the embeddings of the model itself; `int8` has 8-bit weights and activations: "
        "quicker and smaller, with thresholds and a calibration of its own.",
    )


class ParityLimits(FrozenModel):
    """How far an export may be from the model that it was made from."""

    min_cosine: float = Field(
        default=0.9999,
        ge=-1,
        le=1,
        description="Least cosine between an embedding of an fp32 export and the model's own, over the questions that "
        "are compared.",
    )
    max_ap_loss: float = Field(
        default=0.003,
        ge=0,
        le=1,
        description="Most average precision that an int8 export may lose against the model, on the same pairs.",
    )


class ExportJobOptions(ExportOptions, ParityLimits):
    """How the model in production is exported, and what the export must hold."""
