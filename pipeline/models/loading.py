"""Load a model in fp32 from safetensors, verify that it is the one that was referenced, and choose a device."""

import math
import os
import re
from pathlib import Path
from typing import Any

import torch
from datasets.utils import logging as datasets_logging
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.model_card import SentenceTransformerModelCardData
from sentence_transformers.sentence_transformer.modules import Transformer
from torch.overrides import TorchFunctionMode
from transformers.utils import logging as transformers_logging

from pipeline.core.errors import (
    MismatchError,
    ModelError,
    NotFoundError,
    NotInstalledError,
    PipelineError,
    Product,
    SettingError,
    reason_of,
)
from pipeline.core.foreign_text import shortened
from pipeline.core.locations import remote_location
from pipeline.models.base_model import download_model, model_folder_version
from pipeline.models.bundled import BUNDLED_VERSION
from pipeline.models.embedding import features_of, prompt_of, to_device
from pipeline.models.folder import library_class
from pipeline.models.info import ModelInfo, require_length
from pipeline.models.options import Device

_REASON = 100


def load_model(info: ModelInfo, device: str, max_seq_length: int | None = None) -> SentenceTransformer:
    """Load the referenced model on a device, in fp32.

    Args:
        device: a torch device name, as `resolve_device` gives.
        max_seq_length: tokens a question is cut to; None keeps the model's own limit, as far as it has positions.

    Raises:
        PipelineError: when the folder is gone, its files are not those that were referenced, it can't be loaded,
            doesn't take that limit, or is a fine-tuned cross-encoder.
    """
    folder = located(info)
    if info.kind == "fine_tuned" and library_class(folder) == "CrossEncoder":
        # The library would take its encoder, which was never trained to embed.
        raise ModelError(
            f"{info.label} is a cross-encoder, which can't embed single questions: score pairs with it",
            model=info.label,
        )
    model = open_model(info, folder, device)
    if info.properties:
        positions, prompt_tokens = info.properties.positions, info.properties.prompt_tokens
    else:
        positions, prompt_tokens = count_positions(model), count_prompt_tokens(model)
    limit_length(model, info.label, max_seq_length, positions, prompt_tokens)
    return model


def located(info: ModelInfo) -> Path:
    """The folder of a model on this machine.

    Raises:
        PipelineError: when it is gone, or its files are not those that were referenced.
    """
    if place := remote_location(info.location):
        raise NotFoundError(
            f"the model {info.name} is at {place}, not on this machine: {place.way_out}",
            model=info.name,
            location=info.location,
        )
    if info.kind == "bundled" and info.version != BUNDLED_VERSION:
        raise MismatchError(
            f"{info.name} {info.version} is not the bundled model that this project knows: {BUNDLED_VERSION}",
            "base model",
            version=info.version,
        )
    if info.kind == "hub":
        return download_model(info.location, info.revision)[0]
    folder = Path(info.location)
    if not folder.is_dir():
        raise NotFoundError(f"the model folder {folder} is gone", _made_by(info), path=folder)
    if (version := model_folder_version(folder)) != info.version:
        raise MismatchError(
            f"the files in {folder} have changed (version {version} instead of {info.version})",
            _made_by(info),
            path=folder,
            version=version,
            expected=info.version,
        )
    return folder


def open_model(info: ModelInfo, folder: Path, device: str, **model_kwargs: Any) -> SentenceTransformer:
    """Load the model in a folder in fp32, without checking that it is the referenced one.

    Args:
        folder: of that model, as `located` gives it.
        model_kwargs: further settings of transformers' `from_pretrained`.

    Raises:
        PipelineError: when the library can't load it.
    """
    # Our own card says what was done, without copying rows of the training data into it.
    card = SentenceTransformerModelCardData(local_files_only=True, generate_widget_examples=False)
    try:
        return SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            model_card_data=card,
            # Half-precision weights would be trained and scored in half precision.
            model_kwargs={"use_safetensors": True, "dtype": torch.float32, **model_kwargs},
        )
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        raise not_loaded(info, folder, error) from error


def not_loaded(info: ModelInfo, folder: Path, error: Exception) -> PipelineError:
    """The line for what the library raised. It may be anything, and its advice is about settings of its own."""
    if code := next((path for path in folder.rglob("config.json") if '"auto_map"' in path.read_text("utf-8")), None):
        return ModelError(
            f"{info.label} can't be loaded: {code.relative_to(folder)} names custom code (auto_map), which "
            "this project doesn't run; choose a model whose architecture transformers has",
            model=info.label,
        )
    if isinstance(error, ImportError):
        return NotInstalledError(
            f"{info.label} needs a package that isn't installed ({short_reason(error)}): install it, or choose another "
            "model",
            model=info.label,
        )
    return ModelError(
        f"{info.label} can't be loaded ({short_reason(error)}): save it again with sentence-transformers, or choose "
        "another model",
        model=info.label,
    )


def short_reason(error: Exception) -> str:
    """The first sentence of a library's error, without the advice after it. At most 100 characters."""
    said = reason_of(error)
    first = re.split(r"(?<=[a-z\])])[.:] ", said, maxsplit=1)[0].rstrip(".")
    return shortened(first, _REASON)


def limit_length(
    model: SentenceTransformer, label: str, wanted: int | None, positions: int | None, prompt_tokens: int
) -> None:
    """Set the tokens that a question is cut to: as wanted, or else the model's own limit as far as it has positions.

    Raises:
        PipelineError: when it doesn't take what is wanted.
    """
    require_length(label, wanted, positions, prompt_tokens)
    if wanted is not None:
        if not isinstance(model[0], Transformer):
            raise SettingError(
                f"max_seq_length is {wanted:,}, but {label} takes questions of any length ({type(model[0]).__name__}): "
                "leave it empty",
                max_seq_length=wanted,
                model=label,
            )
        model.max_seq_length = wanted
    elif positions is not None and (model.max_seq_length or math.inf) > positions:
        model.max_seq_length = positions


def count_prompt_tokens(model: SentenceTransformer) -> int:
    """How many tokens the model's prompt has, special ones not counted; 0 without one."""
    prompt = prompt_of(model)
    if not prompt or not isinstance(model[0], Transformer):
        return 0
    return len(model.tokenizer(prompt, add_special_tokens=False)["input_ids"])


def count_positions(model: SentenceTransformer) -> int | None:
    """Most tokens that a model has positions for; None where there is no such bound.

    Read off what it does: of two questions, the longer one reaches as many rows further into a table of positions as it
    has more tokens. So it holds for every architecture, wherever it counts from (RoBERTa's family begins behind its
    padding) and whatever it calls the table; positions that are computed have none.
    """
    if not isinstance(model[0], Transformer):
        return None
    was_training = model.training
    model.eval()
    try:
        reached = []
        for times in (2, 5):
            features = to_device(features_of(model, ["why? " * times]), model.device)
            tables = _Tables(features["input_ids"].shape[1])
            with torch.inference_mode(), tables:
                model(features)
            reached.append(tables)
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError):
        # Whether the model works at all is another question.
        return None
    finally:
        model.train(was_training)
    short, long = reached
    if long.tokens == short.tokens:
        return None
    left = [
        rows - last - 1
        for table, (rows, last) in long.last_rows.items()
        if table in short.last_rows and last - short.last_rows[table][1] == long.tokens - short.tokens
    ]
    return min(left) + long.tokens if left else None


class _Tables(TorchFunctionMode):
    """Notes which row of each table of embeddings is the last that is looked up, where it is one for each token.

    Attributes:
        tokens: of the question that the model is run on.
        last_rows: by the table's place in memory, its rows and the last one that was looked up.
    """

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.last_rows: dict[int, tuple[int, int]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.embedding and args[0].numel() == self.tokens:
            self.last_rows[args[1].data_ptr()] = len(args[1]), int(args[0].max())
        return func(*args, **(kwargs or {}))


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
        raise SettingError(
            f"device {device!r} is not available on this machine, which has: {there}; use `auto`", device=device
        )
    return device


def describe_device(device: str) -> str:
    """The device for people: `cuda (NVIDIA H100)`, or `cpu (2 threads)`."""
    if device == "cuda":
        return f"cuda ({torch.cuda.get_device_name()})"
    return f"cpu ({torch.get_num_threads()} threads)" if device == "cpu" else device


def quiet_libraries() -> None:
    """Keep progress bars and tokenizer fork warnings of the libraries out of logs that have events of their own."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    datasets_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
