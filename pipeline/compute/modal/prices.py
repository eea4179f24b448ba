"""What GPUs and CPUs cost and how much memory GPUs have: a dated table, to be replaced by `PIPELINE_MODAL_PRICES`.

The table in `prices.json` was transcribed by third parties. It is for estimates; Modal's bill is what counts.
"""

import os
from pathlib import Path

from pydantic import Field, ValidationError

from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.values import FrozenModel

_TABLE = Path(__file__).with_suffix(".json")


class Gpu(FrozenModel):
    """One GPU type.

    Attributes:
        per_second: price of one GPU, CPU and memory of its container left out.
        memory_gb: its memory in gigabytes.
    """

    per_second: float = Field(ge=0)
    memory_gb: int = Field(gt=0)


class PriceTable(FrozenModel):
    """Prices at a date.

    Attributes:
        as_of: the date, as exactly as it is known, such as mid-2026.
        currency: such as USD.
        gpus: by Modal's name of the type.
        cpu_core_second: price of a physical core; None where the table doesn't say.
        memory_gib_second, volume_gib_month: of memory beside it, and of what lies in Volumes; likewise.
    """

    as_of: str
    currency: str
    gpus: dict[str, Gpu]
    cpu_core_second: float | None = Field(default=None, ge=0)
    memory_gib_second: float | None = Field(default=None, ge=0)
    volume_gib_month: float | None = Field(default=None, ge=0)

    @classmethod
    def load(cls) -> "PriceTable":
        """The table that `PIPELINE_MODAL_PRICES` names, else the project's.

        Raises:
            PipelineError: when it can't be read.
        """
        path = Path(os.environ.get("PIPELINE_MODAL_PRICES") or _TABLE)
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise PipelineError(
                f"the price table {path} can't be read ({reason_of(error)}): write it like {_TABLE.name}, or unset "
                "PIPELINE_MODAL_PRICES"
            ) from error

    def find(self, gpu: str) -> Gpu | None:
        """A type as it is asked for, such as `H100!`."""
        return self.gpus.get(gpu.rstrip("!"))

    def cost(self, gpu: str, seconds: float) -> float | None:
        """Estimate for so many seconds of a GPU; None for a type that isn't listed."""
        if gpu == "none":
            return 0.0
        found = self.find(gpu)
        return found.per_second * seconds if found else None


def which_gpu(asked: tuple[str, ...], device: str) -> str:
    """Which of the types that were asked for CUDA's name of a device stands for; `none` without a GPU.

    CUDA says "NVIDIA H100 80GB HBM3" where Modal says `H100`; a name of neither is given back as it is.
    """
    words = device.replace("-", " ").split()
    for gpu in asked:
        model, _, memory = gpu.rstrip("!").partition("-")
        if model in words and (not memory or memory in words):
            return gpu
    return device


def require_same_memory(gpus: tuple[str, ...], table: PriceTable) -> None:
    """Refuse GPUs of different memory: the automatic token budget would differ, and with it the checkpoints that a
    restarted container could go on from.

    Raises:
        PipelineError: naming them.
    """
    memory = {gpu: found.memory_gb if (found := table.find(gpu)) else None for gpu in gpus}
    if len(set(memory.values())) > 1:
        sizes = ", ".join(f"{gpu} ({size or 'unknown'} GB)" for gpu, size in memory.items())
        raise PipelineError(
            f"PIPELINE_MODAL_GPU lists GPUs of different memory: {sizes}; a container restarted on another one can't "
            "go on from a checkpoint. List GPUs of one size, or set token_budget"
        )
