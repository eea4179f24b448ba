"""What is chosen for Modal: names, GPUs and limits, by environment variables."""

import os
from dataclasses import dataclass

from pipeline.compute.backend import Variable
from pipeline.core.errors import PipelineError, excerpt

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

JOIN_CORES, JOIN_MEMORY_MB = 4, 4_096
"""Of a container that joins shards: it holds a job's vectors and a block of others, whatever the corpus."""

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
    Variable(
        "PIPELINE_MODAL_STORAGE_SECRET",
        "none",
        "name of a Modal secret that lets containers read PIPELINE_SHARDS on object storage",
    ),
    Variable("PIPELINE_MODAL_PRICES", "`pipeline/compute/modal/prices.json`", "a price table of your own"),
)


@dataclass(frozen=True)
class ModalSettings:
    """How containers are made.

    Attributes:
        gpus: types in order of preference; empty for CPUs.
        timeout: seconds that one attempt may take.
        hf_secret: name of a Modal secret with HF_TOKEN; None for public models.
        storage_secret: name of a Modal secret with what object storage asks for, such as AWS_ACCESS_KEY_ID; None where
            shards lie in none.
    """

    gpus: tuple[str, ...]
    timeout: int
    hf_secret: str | None
    storage_secret: str | None = None

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
            storage_secret=os.environ.get("PIPELINE_MODAL_STORAGE_SECRET") or None,
        )

    def as_environment(self) -> dict[str, str]:
        """The variables that say the same to `from_environment`."""
        return {
            "PIPELINE_MODAL_GPU": ",".join(self.gpus) or "none",
            "PIPELINE_MODAL_TIMEOUT_HOURS": repr(self.timeout / 3600),
            "PIPELINE_MODAL_HF_SECRET": self.hf_secret or "",
            "PIPELINE_MODAL_STORAGE_SECRET": self.storage_secret or "",
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
