"""The settings of Modal: names, GPUs and limits, from environment variables, and the prices of GPUs."""

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from pipeline.compute.base import Variable
from pipeline.core.errors import SettingError, excerpt, reason_of
from pipeline.core.values import FrozenModel

_PRICES = Path(__file__).with_name("prices.json")

KIND = "modal"
SCHEME = "modal-volume"
"""Scheme of locations in a Volume: `modal-volume://<Volume>/<path>`."""

INPUTS_VOLUME = "sentence-transformers-ft-inputs"
"""The Volume of splits and base models, by content: each is uploaded once, for all runs."""

HUB_VOLUME = "sentence-transformers-ft-hub-cache"
"""The Volume with the Hugging Face cache of all containers."""

RUN_MOUNT, INPUTS_MOUNT, HUB_MOUNT = "/training-run", "/training-inputs", "/hub-cache"
"""Mount points of the run's Volume, whose root is the run folder, and of the other two."""

RETRIES = 3
"""Attempts after the first. Each resumes from the newest checkpoint, so a crash costs minutes; a bug, four starts."""

CPU_CORES = 4.0
"""For tokenising and evaluating while the GPU computes."""

_DEFAULT_GPUS = "H100!,A100-80GB"
"""The first available one is used. `!` declines an upgrade to an H200: checkpoints depend on the token budget, which
depends on the memory. Both have 80 GB for the same reason."""

_DEFAULT_HOURS = 8.0
_MAX_HOURS = 24.0

VARIABLES = (
    Variable(
        "PIPELINE_MODAL_GPU",
        _DEFAULT_GPUS,
        "GPU types in order of preference, one GPU each, such as `L4` or `A100-40GB`; `none` for CPUs",
    ),
    Variable("PIPELINE_MODAL_TIMEOUT_HOURS", f"{_DEFAULT_HOURS:g}", "time limit of one attempt, at most 24"),
    Variable("PIPELINE_MODAL_HF_SECRET", "none", "name of a Modal secret with HF_TOKEN, for private models"),
    Variable("PIPELINE_MODAL_PRICES", "`pipeline/compute/modal/prices.json`", "your own price table"),
)


@dataclass(frozen=True)
class ModalSettings:
    """How containers are configured.

    Attributes:
        gpus: types in order of preference; empty for CPUs.
        timeout: time limit of one attempt, in seconds.
        hf_secret: name of a Modal secret with HF_TOKEN; None for public models.
    """

    gpus: tuple[str, ...]
    timeout: int
    hf_secret: str | None

    @classmethod
    def from_environment(cls) -> "ModalSettings":
        """Read the environment variables.

        Raises:
            SettingError: for an invalid value, or more than one GPU.
        """
        wanted = os.environ.get("PIPELINE_MODAL_GPU") or _DEFAULT_GPUS
        gpus = tuple(gpu.strip() for gpu in wanted.split(","))
        if not all(gpus):
            raise SettingError(
                f"PIPELINE_MODAL_GPU is {excerpt(wanted)}: list GPU types as in {_DEFAULT_GPUS}, or none",
                setting="PIPELINE_MODAL_GPU",
                value=wanted,
            )
        for gpu in gpus:
            model, colon, count = gpu.partition(":")
            if colon and count.strip() != "1":
                raise SettingError(
                    f"PIPELINE_MODAL_GPU asks for {excerpt(gpu)}, but a training uses one GPU, and the others would "
                    f"cost money for nothing: write {model}",
                    setting="PIPELINE_MODAL_GPU",
                    value=gpu,
                )
        gpus = tuple(gpu.partition(":")[0] for gpu in gpus)
        return cls(
            gpus=() if gpus == ("none",) else gpus,
            timeout=_timeout(os.environ.get("PIPELINE_MODAL_TIMEOUT_HOURS")),
            hf_secret=os.environ.get("PIPELINE_MODAL_HF_SECRET") or None,
        )

    def as_environment(self) -> dict[str, str]:
        """The variables from which `from_environment` reads the same settings."""
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
    if not 0 < hours <= _MAX_HOURS:
        raise SettingError(
            f"PIPELINE_MODAL_TIMEOUT_HOURS is {excerpt(text or '')}: it must be above 0 and at most {_MAX_HOURS:g}, "
            "Modal's limit for an attempt",
            setting="PIPELINE_MODAL_TIMEOUT_HOURS",
            value=text,
        )
    return max(1, round(hours * 3600))


def uploaded_model(version: str) -> str:
    """The path in containers of a model that was uploaded from the client's machine."""
    return f"{INPUTS_MOUNT}/models/{version}"


def volume_location(volume: str) -> str:
    """The location of a Volume's root."""
    return f"{SCHEME}://{volume}"


# --- prices -----------------------------------------------------------------------------------------------------


class Gpu(FrozenModel):
    """One GPU type.

    Attributes:
        per_second: price of the GPU alone, without CPU and memory of its container.
        memory_gb: in gigabytes.
    """

    per_second: float = Field(ge=0)
    memory_gb: int = Field(gt=0)


class PriceTable(FrozenModel):
    """A dated price table, for estimates: Modal's bill is what counts.

    The one in `prices.json` was transcribed by third parties. `PIPELINE_MODAL_PRICES` names another.

    Attributes:
        as_of: the date, as exactly as it is known, such as mid-2026.
        currency: such as USD.
        gpus: by Modal's name of the type.
        cpu_core_second: of a physical core; None if unknown.
        memory_gib_second, volume_gib_month: of main memory and of Volumes; None if unknown.
    """

    as_of: str
    currency: str
    gpus: dict[str, Gpu]
    cpu_core_second: float | None = Field(default=None, ge=0)
    memory_gib_second: float | None = Field(default=None, ge=0)
    volume_gib_month: float | None = Field(default=None, ge=0)

    @classmethod
    def load(cls) -> "PriceTable":
        """Read the table that `PIPELINE_MODAL_PRICES` names, else the project's.

        Raises:
            SettingError: when it can't be read.
        """
        path = Path(os.environ.get("PIPELINE_MODAL_PRICES") or _PRICES)
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise SettingError(
                f"the price table {path} can't be read ({reason_of(error)}): write it like {_PRICES.name}, or unset "
                "PIPELINE_MODAL_PRICES",
                setting="PIPELINE_MODAL_PRICES",
                path=path,
            ) from error

    def find(self, gpu: str) -> Gpu | None:
        """Look up a requested type, such as `H100!`."""
        return self.gpus.get(gpu.rstrip("!"))

    def cost(self, gpu: str, seconds: float) -> float | None:
        """Estimate the cost of a GPU for some seconds; None for a type that isn't listed."""
        if gpu == "none":
            return 0.0
        found = self.find(gpu)
        return found.per_second * seconds if found else None


def which_gpu(asked: tuple[str, ...], device: str) -> str:
    """Return the requested type that has CUDA's name of a device; `none` without a GPU.

    CUDA's "NVIDIA H100 80GB HBM3" is Modal's `H100`. An unknown name is returned unchanged.
    """
    words = device.replace("-", " ").split()
    for gpu in asked:
        model, _, memory = gpu.rstrip("!").partition("-")
        if model in words and (not memory or memory in words):
            return gpu
    return device


def require_same_memory(gpus: tuple[str, ...], table: PriceTable) -> None:
    """Refuse GPUs of different memory: their automatic token budgets differ, so a container that is restarted on
    another type couldn't resume from the checkpoints.

    Raises:
        SettingError: it names them.
    """
    memory = {gpu: found.memory_gb if (found := table.find(gpu)) else None for gpu in gpus}
    if len(set(memory.values())) > 1:
        sizes = ", ".join(f"{gpu} ({size or 'unknown'} GB)" for gpu, size in memory.items())
        raise SettingError(
            f"PIPELINE_MODAL_GPU lists GPUs of different memory: {sizes}; a container restarted on another one can't "
            "resume from a checkpoint. List GPUs of one size, or set token_budget",
            setting="PIPELINE_MODAL_GPU",
            memory=memory,
        )
