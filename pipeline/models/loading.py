"""Loads a model in fp32, safetensors only and never another one than asked for, and says which device there is."""

import os
from pathlib import Path

import torch
from datasets.utils import logging as datasets_logging
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.model_card import SentenceTransformerModelCardData
from transformers.utils import logging as transformers_logging

from pipeline.core.errors import PipelineError, Product
from pipeline.core.locations import remote_location
from pipeline.models.base_model import download_model, model_folder_version
from pipeline.models.bundled import BUNDLED_VERSION
from pipeline.models.info import ModelInfo
from pipeline.models.options import Device


def load_model(info: ModelInfo, device: str, max_seq_length: int | None = None) -> SentenceTransformer:
    """Load the referenced model on a device, in fp32.

    Args:
        device: a torch device name, as `resolve_device` gives.
        max_seq_length: tokens a question is cut to; None keeps the model's own limit.

    Raises:
        PipelineError: when the folder is gone or its files are not those that were referenced.
    """
    if place := remote_location(info.location):
        raise PipelineError(f"the model {info.name} lies at {place}, not on this machine: {place.way_out}")
    if info.kind == "bundled" and info.version != BUNDLED_VERSION:
        raise PipelineError(
            f"{info.name} {info.version} is not the bundled model that this project knows: {BUNDLED_VERSION}",
            "base model",
        )
    folder = download_model(info.location, info.revision)[0] if info.kind == "hub" else Path(info.location)
    if info.kind != "hub":
        if not folder.is_dir():
            raise PipelineError(f"the model folder {folder} is gone", _made_by(info))
        if (version := model_folder_version(folder)) != info.version:
            raise PipelineError(
                f"the files in {folder} have changed (version {version} instead of {info.version})", _made_by(info)
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


def _made_by(info: ModelInfo) -> Product:
    return "model" if info.kind == "fine_tuned" else "base model"


def resolve_device(device: Device) -> str:
    """The torch device to use; `auto` takes a GPU where there is one.

    Raises:
        PipelineError: when the wanted device is not there. Nothing falls back to another.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if available[name])
    if not available[device]:
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise PipelineError(f"device {device!r} is not available on this machine, which has: {there}; use `auto`")
    return device


def describe_device(device: str) -> str:
    """What a person calls the device: `cuda (NVIDIA H100)`, or `cpu (2 threads)`."""
    if device == "cuda":
        return f"cuda ({torch.cuda.get_device_name()})"
    return f"cpu ({torch.get_num_threads()} threads)" if device == "cpu" else device


def quiet_libraries() -> None:
    """Keep progress bars and tokenizer fork warnings of the libraries out of logs that have events of their own."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    datasets_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
