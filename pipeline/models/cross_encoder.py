"""Makes a cross-encoder from a base model, and loads a fine-tuned one: safetensors only, in fp32.

A cross-encoder reads both questions of a pair at once, and gives the logit of *duplicate*. It can't embed a single
question (Reimers and Gurevych 2019, arXiv:1908.10084, compare both).
"""

from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder.model_card import CrossEncoderModelCardData
from sentence_transformers.sentence_transformer.modules import Transformer

from pipeline.core.errors import PipelineError
from pipeline.models.folder import library_class, module_folders, transformer_folder
from pipeline.models.info import ModelInfo
from pipeline.models.loading import count_positions, limit_length, located, not_loaded, short_reason

LIBRARY_CLASS = "CrossEncoder"
"""What the library writes into a cross-encoder's folder."""


def make_cross_encoder(info: ModelInfo, device: str, seed: int, max_seq_length: int | None = None) -> CrossEncoder:
    """Take a base model's transformer, and put a head on it that gives a logit for each pair.

    The weights that the base model's files lack, which are those of the head and often of the pooler, are drawn from
    the seed: the same ones on every machine. A base model that is a reranker with one output keeps its head. The random
    state stays as it was.

    Args:
        device: a torch device name, as `resolve_device` gives.
        max_seq_length: tokens a pair is cut to, the longer question first; None for as many as the tokenizer and the
            model's positions allow.

    Raises:
        PipelineError: when the folder is gone, its files are not those that were referenced, it has no transformer,
            can't be loaded, can't score pairs, or doesn't take that limit.
    """
    folder = located(info)
    modules = module_folders(folder)
    if modules and modules[0].kind != "Transformer":
        raise PipelineError(
            f"{info.label} begins with {modules[0].kind}, which can't read two questions at once: choose a base model "
            "that begins with Transformer"
        )
    local = {"local_files_only": True}
    try:
        with torch.random.fork_rng(devices=[]):
            # Drawn on the CPU, wherever the model is to be.
            torch.default_generator.manual_seed(seed)
            transformer = Transformer(
                str(transformer_folder(folder)),
                transformer_task="sequence-classification",
                model_kwargs={"use_safetensors": True, "dtype": torch.float32, **local},
                config_kwargs={"num_labels": 1, **local},
                processor_kwargs={**local},
            )
        model = CrossEncoder(modules=[transformer], device=device, local_files_only=True, model_card_data=_card())
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        raise not_loaded(info, folder, error) from error
    _refuse_broken_head(info, model)
    positions = info.properties.positions if info.properties else count_positions(model)
    limit_length(model, info.label, max_seq_length, positions, prompt_tokens=0)
    return model


def _refuse_broken_head(info: ModelInfo, model: CrossEncoder) -> None:
    """Refuse a transformer whose classification head asks for more than there is, such as a padding token."""
    try:
        model.predict([("Why?", "Why not?"), ("Is it so?", "Is it?")], show_progress_bar=False)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        raise PipelineError(
            f"{info.label} can't score pairs ({short_reason(error)}): choose another base model"
        ) from error


def load_cross_encoder(info: ModelInfo, device: str) -> CrossEncoder:
    """Load a cross-encoder that was fine-tuned.

    Raises:
        PipelineError: when the folder is gone, its files are not those that were referenced, it holds no cross-encoder
            with one output, or can't be loaded.
    """
    folder = located(info)
    if (kind := library_class(folder)) != LIBRARY_CLASS:
        # The library would put a head of random weights on it.
        raise PipelineError(
            f"{info.label} is a {kind} model, which has no head that scores pairs: train it with "
            "architecture: cross_encoder, or choose a cross-encoder"
        )
    model = open_cross_encoder(info, folder, device)
    if model.num_labels != 1:
        raise PipelineError(
            f"{info.label} gives {model.num_labels} numbers for a pair: choose a cross-encoder with one output"
        )
    return model


def open_cross_encoder(info: ModelInfo, folder: Path, device: str) -> CrossEncoder:
    """Load what lies in a folder of a cross-encoder, in fp32, without looking whether it is what was referenced.

    Raises:
        PipelineError: when the library can't load it.
    """
    settings: dict[str, Any] = {"use_safetensors": True, "dtype": torch.float32}
    try:
        return CrossEncoder(
            str(folder), device=device, local_files_only=True, model_card_data=_card(), model_kwargs=settings
        )
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        raise not_loaded(info, folder, error) from error


def _card() -> CrossEncoderModelCardData:
    # Our own card says what was done, without copying rows of the training data into it.
    return CrossEncoderModelCardData(local_files_only=True, generate_widget_examples=False)
