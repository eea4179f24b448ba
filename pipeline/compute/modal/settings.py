"""What is chosen for Modal: names, GPUs, limits, and which version of the code runs there.

Environment variables choose *where*, as everywhere in the project:

    PIPELINE_MODAL_GPU              GPU types in order of preference, such as `H100!,A100-80GB`; `none` for CPUs
    PIPELINE_MODAL_TIMEOUT_HOURS    most hours that one attempt may take
    PIPELINE_MODAL_HF_SECRET        name of a Modal secret that holds HF_TOKEN, for private models
    PIPELINE_MODAL_PRICES           a price table of your own (see `modal_prices.py`)
"""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import PipelineError, excerpt
from pipeline.core.storage import PROJECT_ROOT, content_version, file_sha256

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

_NOT_IN_CONTAINER = (
    "__main__.py",
    "command_line",
    "compute/local.py",
    "compute/modal/calls.py",
    "compute/modal/client.py",
    "compute/modal/errors.py",
    "compute/modal/prices.json",
    "compute/modal/prices.py",
    "compute/modal/pruning.py",
    "compute/modal/volumes.py",
    "compute/modal_app.py",
    "definitions.py",
    "orchestration",
    "quality",
    "reporting/hub_upload.py",
    "settings",
)
"""What only the machine that orders the work needs. A change there deploys nothing and trains nothing anew."""

_NOT_INSTALLED = {"dagster", "dagster-webserver", "modal", "click", "jinja2", "matplotlib", "pillow", "pyyaml", "rich"}
"""Dependencies that containers do without; Modal brings its own client."""


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
            PipelineError: for a value that makes no sense.
        """
        wanted = os.environ.get("PIPELINE_MODAL_GPU") or _DEFAULT_GPUS
        gpus = tuple(gpu.strip() for gpu in wanted.split(","))
        if not all(gpus):
            raise PipelineError(
                f"PIPELINE_MODAL_GPU is {excerpt(wanted)}: list GPU types as in {_DEFAULT_GPUS}, or none"
            )
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


def is_in_container(path: Path) -> bool:
    """Whether a file of the package `pipeline` is sent to containers."""
    name = path.relative_to(PROJECT_ROOT / "pipeline").as_posix()
    return path.suffix in (".py", ".json") and not any(
        name == other or name.startswith(f"{other}/") for other in _NOT_IN_CONTAINER
    )


def dependencies() -> list[str]:
    """The project's dependencies that containers install, as `pyproject.toml` names them."""
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [(line, line.split(">")[0].split("=")[0].strip()) for line in project["dependencies"]]
    return [line for line, name in named if name not in _NOT_INSTALLED]


def code_version() -> str:
    """Hash of all that decides what containers compute: the code, and the packages that it stands on."""
    package = PROJECT_ROOT / "pipeline"
    files = sorted(path for path in package.rglob("*") if path.is_file() and is_in_container(path))
    code = {path.relative_to(package).as_posix(): file_sha256(path) for path in files}
    return content_version([code, dependencies(), file_sha256(PROJECT_ROOT / "constraints.txt")])


def app_name(code: str, settings: ModalSettings) -> str:
    """The deployed app's name holds the version of its code and how its containers are made. What is deployed under a
    name never changes, so two people with different code don't replace each other's, and work that runs keeps the code
    it began with."""
    made = [settings.gpus, settings.timeout, settings.hf_secret]
    return f"sentence-transformers-ft-{content_version([code, made])}"
