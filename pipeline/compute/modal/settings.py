"""What is chosen for Modal: names, GPUs and limits, by environment variables."""

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from pipeline.compute.base import Variable
from pipeline.core.errors import PipelineError, excerpt, reason_of
from pipeline.core.values import FrozenModel

_PRICES = Path(__file__).with_name("prices.json")

KIND = "modal"
SCHEME = "modal-volume"
"""Locations in a Volume are `modal-volume://<Volume>/<path>`."""

INPUTS_VOLUME = "sentence-transformers-ft-inputs"
"""Splits and base models, by content: each is uploaded once, whatever runs use it."""

HUB_VOLUME = "sentence-transformers-ft-hub-cache"
"""The Hugging Face cache of all containers."""

RUN_MOUNT, INPUTS_MOUNT, HUB_MOUNT = "/training-run", "/training-inputs", "/hub-cache"
"""Where containers see the run's Volume (its root is the run folder) and the other two."""

RETRIES = 3
"""Attempts after the first. Each goes on from the newest checkpoint, so a crash costs minutes; a bug, four starts."""

CPU_CORES = 4.0
"""For tokenising and evaluating beside the GPU."""

_DEFAULT_GPUS = "H100!,A100-80GB"
"""The first that is free. `!`: not upgraded to an H200, whose larger memory would choose another token budget, which
checkpoints depend on; both have 80 GB for the same reason."""

_DEFAULT_HOURS = 8.0
_MOST_HOURS = 24.0

VARIABLES = (
    Variable(
        "PIPELINE_MODAL_GPU",
        _DEFAULT_GPUS,
        "GPU types in order of preference, one GPU each, such as `L4` or `A100-40GB`; `none` for CPUs",
    ),
    Variable("PIPELINE_MODAL_TIMEOUT_HOURS", f"{_DEFAULT_HOURS:g}", "most hours that one attempt may take"),
    Variable("PIPELINE_MODAL_HF_SECRET", "none", "name of a Modal secret that holds HF_TOKEN, for private models"),
    Variable("PIPELINE_MODAL_PRICES", "`pipeline/compute/modal/prices.json`", "a price table of your own"),
)


@dataclass(frozen=True)
class ModalSettings:
    """How containers are made.

    Attributes:
        gpus: types in order of preference; empty for CPUs.
        timeout: seconds that one attempt may take.
        hf_secret: name of a Modal secret with HF_TOKEN; None for public models.
    """

    gpus: tuple[str, ...]
    timeout: int
    hf_secret: str | None

    @classmethod
    def from_environment(cls) -> "ModalSettings":
        """As the environment variables say.

        Raises:
            PipelineError: for a value that makes no sense, or more than one GPU.
        """
        wanted = os.environ.get("PIPELINE_MODAL_GPU") or _DEFAULT_GPUS
        gpus = tuple(gpu.strip() for gpu in wanted.split(","))
        if not all(gpus):
            raise PipelineError(
                f"PIPELINE_MODAL_GPU is {excerpt(wanted)}: list GPU types as in {_DEFAULT_GPUS}, or none"
            )
        for gpu in gpus:
            model, colon, count = gpu.partition(":")
            if colon and count.strip() != "1":
                raise PipelineError(
                    f"PIPELINE_MODAL_GPU asks for {excerpt(gpu)}, but a training uses one GPU, and the others would be "
                    f"paid for idly: write {model}"
                )
        gpus = tuple(gpu.partition(":")[0] for gpu in gpus)
        return cls(
            gpus=() if gpus == ("none",) else gpus,
            timeout=_timeout(os.environ.get("PIPELINE_MODAL_TIMEOUT_HOURS")),
            hf_secret=os.environ.get("PIPELINE_MODAL_HF_SECRET") or None,
        )

    def as_environment(self) -> dict[str, str]:
        """The variables that say the same to `from_environment`."""
        return {
            "PIPELINE_MODAL_GPU": ",".join(self.gpus) or "none",
            "PIPELINE_MODAL_TIMEOUT_HOURS": repr(self.timeout / 3600),
            "PIPELINE_MODAL_HF_SECRET": self.hf_secret or "",
        }


def _timeout(text: str | None) -> int:
    try:
        hours = float(text) if text else _DEFAULT_HOURS
    except ValueError:
        hours = 0.0
    if not 0 < hours <= _MOST_HOURS:
        raise PipelineError(
            f"PIPELINE_MODAL_TIMEOUT_HOURS is {excerpt(text or '')}: it must be above 0 and at most {_MOST_HOURS:g}, "
            "Modal's limit for an attempt"
        )
    return max(1, round(hours * 3600))


def uploaded_model(version: str) -> str:
    """Where containers see a model of the client's machine."""
    return f"{INPUTS_MOUNT}/models/{version}"


def volume_location(volume: str) -> str:
    """The location of a Volume's root."""
    return f"{SCHEME}://{volume}"


# --- prices -----------------------------------------------------------------------------------------------------


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
        path = Path(os.environ.get("PIPELINE_MODAL_PRICES") or _PRICES)
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise PipelineError(
                f"the price table {path} can't be read ({reason_of(error)}): write it like {_PRICES.name}, or unset "
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
