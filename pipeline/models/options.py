"""Settings of the base model, the device and the precision."""

from typing import Literal

from pydantic import Field

from pipeline.core.values import FrozenModel

Device = Literal["auto", "cpu", "cuda", "mps"]
PrecisionChoice = Literal["auto", "fp32", "bf16"]

TOKEN_BUDGET = 4_096
"""Most tokens of a forward pass when embedding. It changes the speed only."""


class BaseModelChoice(FrozenModel):
    """Which model to start from."""

    model: str = Field(
        default="bundled",
        min_length=1,
        description="`bundled` (all-MiniLM-L6-v2 from an installed package, no download), a folder that "
        "sentence-transformers can load, or a Hugging Face id such as BAAI/bge-small-en-v1.5.",
    )
    revision: str | None = Field(
        default=None,
        description="Branch, tag or commit of a Hugging Face model; by default its newest commit.",
    )
