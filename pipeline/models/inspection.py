"""Inspect a base model before it is used: load it, and run a few questions forwards and backwards through it.

The libraries fill in what is missing, such as random weights, a vocabulary or a pooling, and only log it, or fail in
the middle of a training. An inspection finds this first. What is special about a usable model becomes its
`ModelProperties`.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, StaticEmbedding, Transformer

from pipeline.core.errors import ModelError, PipelineError
from pipeline.models.embedding import embeddings_of, features_of, prompt_of
from pipeline.models.encoding import embed_questions
from pipeline.models.folder import library_class, module_folders, transformer_folder
from pipeline.models.info import DIFFERENT, PROBE_QUESTIONS, ModelInfo, ModelProperties
from pipeline.models.loading import (
    count_positions,
    count_prompt_tokens,
    limit_length,
    located,
    open_model,
    quiet_libraries,
    short_reason,
)
from pipeline.models.options import TOKEN_BUDGET
from pipeline.models.packing import tokenize

_LARGEST_LIMIT = 1_000_000
"""A tokenizer without a limit gives a number beyond this one."""

_UNIT_ERROR = 1e-3
_SAME_EMBEDDING = 1e-5
"""Of the largest component: rounding gives 1e-7."""

_SAME_AS_ENCODE = 1e-3
_FAULTS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError)
"""What libraries raise for models that don't fit together."""


def inspect_model(info: ModelInfo) -> ModelProperties:
    """Inspect a model. The random state stays as it was.

    Raises:
        ModelError: when the model can't be used, or its weights are not those of its files; it names the file.
    """
    quiet_libraries()
    folder = located(info)
    with torch.random.fork_rng(devices=[]):
        # Sizes that don't fit are reported below, by name.
        model = open_model(info, folder, "cpu", ignore_mismatched_sizes=True)
        _refuse_tokenizer(info, model)
        positions, prompt_tokens = count_positions(model), count_prompt_tokens(model)
        limit_length(model, info.label, None, positions, prompt_tokens)
        _refuse_other_weights(info, model, folder, _trained_weights(info, model))
        embeddings = _embeddings(info, model)
        return ModelProperties(
            modules=tuple(_described(module) for module in model),
            chosen_for=_chosen_for(model, folder),
            dimensions=embeddings.shape[1],
            dimensions_before_cut=_dimensions_before_cut(model),
            max_seq_length=_limit(model),
            stated_length=_stated_length(model),
            positions=positions,
            unit_length=bool(np.abs(np.linalg.norm(embeddings, axis=1) - 1).max() < _UNIT_ERROR),
            prompt=prompt_of(model) or "",
            prompt_tokens=prompt_tokens,
            other_prompts=tuple(
                name for name, text in model.prompts.items() if text and name != model.default_prompt_name
            ),
            similarity=model.similarity_fn_name,
        )


# --- the tokenizer ---------------------------------------------------------------------------------------------


def _refuse_tokenizer(info: ModelInfo, model: SentenceTransformer) -> None:
    """Refuse a tokenizer that is missing, can't pad a batch, or belongs to other weights."""
    tokenizer = getattr(model[0], "tokenizer", None)
    if tokenizer is None:
        raise ModelError(f"{info.label} has no tokenizer: choose a model that embeds texts", model=info.label)
    if isinstance(model[0], Transformer) and tokenizer.pad_token_id is None:
        raise ModelError(
            f"the tokenizer of {info.label} has no token to pad with: name one in its tokenizer_config.json, such as "
            f'"pad_token": "{tokenizer.eos_token or tokenizer.unk_token or "[PAD]"}"',
            model=info.label,
        )
    if (rows := _embedding_rows(model[0])) is None:
        return
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if highest >= rows:
        raise ModelError(
            f"the tokenizer of {info.label} has {highest + 1:,} tokens, but its weights have embeddings for {rows:,}: "
            "take the tokenizer's files and model.safetensors of the same model, or resize the table and save it",
            model=info.label,
        )
    if (highest + 1) * 2 < rows:
        raise ModelError(
            f"the tokenizer of {info.label} has only {highest + 1:,} tokens, its weights have embeddings for {rows:,}: "
            "copy the tokenizer's files (tokenizer.json) of the same model into it",
            model=info.label,
        )
    unknown = getattr(tokenizer, "unk_token_id", None)
    if unknown is not None:
        words = tokenizer(PROBE_QUESTIONS[0], add_special_tokens=False)["input_ids"]
        if all(token == unknown for token in words):
            raise ModelError(
                f"the tokenizer of {info.label} knows no word of {PROBE_QUESTIONS[0]!r}: copy the tokenizer's files "
                "(tokenizer.json) of the same model into it",
                model=info.label,
            )


def _embedding_rows(module: torch.nn.Module) -> int | None:
    """For how many token ids a model has embeddings; None where they are not in a table."""
    if isinstance(module, StaticEmbedding):
        return int(module.embedding.num_embeddings)
    try:
        weight = module.model.get_input_embeddings().weight if isinstance(module, Transformer) else None
    except _FAULTS:
        return None
    return len(weight) if isinstance(weight, torch.Tensor) else None


# --- the weights -----------------------------------------------------------------------------------------------


def _trained_weights(info: ModelInfo, model: SentenceTransformer) -> set[torch.nn.Parameter]:
    """The weights that an embedding depends on, by a pass forwards and backwards."""
    model.eval()
    try:
        tokenize(model, PROBE_QUESTIONS[:DIFFERENT])
        outputs = model(features_of(model, PROBE_QUESTIONS[:DIFFERENT]))
        embeddings = embeddings_of(outputs, model.truncate_dim)
    except PipelineError:
        raise
    except _FAULTS as error:
        raise ModelError(
            f"{info.label} can't embed a question ({short_reason(error)}): its modules or files don't fit together; "
            "take all of them from the same model",
            model=info.label,
        ) from error
    _refuse_broken(info, bool(embeddings.isfinite().all()))
    try:
        # Another weight for each component: the sum of a normalised embedding hardly changes.
        (embeddings * torch.linspace(1, 2, embeddings.numel()).view_as(embeddings)).sum().backward()
    except _FAULTS as error:
        raise ModelError(
            f"{info.label} can't be trained ({short_reason(error)}): choose another model", model=info.label
        ) from error
    trained = {parameter for parameter in model.parameters() if parameter.grad is not None}
    model.zero_grad()
    return trained


def _refuse_broken(info: ModelInfo, is_finite: bool) -> None:
    if not is_finite:
        raise ModelError(
            f"{info.label} gives NaN or infinite embeddings: its weights (model.safetensors) are damaged; copy them "
            "again",
            model=info.label,
        )


def _refuse_other_weights(
    info: ModelInfo, model: SentenceTransformer, folder: Path, trained: set[torch.nn.Parameter]
) -> None:
    """Refuse a model with weights that are in no file: the library initialises them at random each time."""
    first = model[0].model if isinstance(model[0], Transformer) else model
    used = {name for name, parameter in first.named_parameters() if parameter in trained}
    second, account = _loaded_by_transformers(first, folder) if first is not model else (None, {})
    if second is None or used <= account["missing_keys"]:
        # Some encoders are taken out of larger models, whose names sentence-transformers alone knows.
        again = open_model(info, folder, "cpu", ignore_mismatched_sizes=True)
        second = again if first is model else again[0].model
        account = account if _differ(first, second, used) else {}
    if account:
        _refuse_account(info, first, account, used)
    if name := _differ(first, second, used):
        raise ModelError(
            f"two loads of {info.label} give different weights ({name}), so they are not in its files: save the model "
            "again, or choose another one",
            model=info.label,
        )


def _loaded_by_transformers(first: torch.nn.Module, folder: Path) -> tuple[torch.nn.Module | None, dict[str, set[Any]]]:
    """The model loaded once more, and the library's account of the weights; (None, {}) where it can't do that alone."""
    try:
        second, account = type(first).from_pretrained(
            str(transformer_folder(folder)),
            config=first.config,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            dtype=torch.float32,
            local_files_only=True,
        )
    except (*_FAULTS, OSError):
        return None, {}
    return second, account


def _differ(first: torch.nn.Module, second: torch.nn.Module, names: set[str]) -> str:
    """The first of these weights that two models don't have in common; empty where they have all."""
    once, again = dict(first.named_parameters()), dict(second.named_parameters())
    return next((name for name in sorted(names) if not torch.equal(once[name], again[name])), "")


def _refuse_account(info: ModelInfo, model: torch.nn.Module, account: dict[str, Any], used: set[str]) -> None:
    for name, in_file, wanted in sorted(account["mismatched_keys"]):
        raise ModelError(
            f"{name} in the weights of {info.label} has the shape {tuple(in_file)}, but its config.json asks for "
            f"{tuple(wanted)}: take config.json and the weights (model.safetensors) of the same model",
            model=info.label,
        )
    if missing := sorted(used & set(account["missing_keys"])):
        raise ModelError(
            f"{len(missing):,} of {len(used):,} weights of {info.label} are in no file (the first: {missing[0]}), and "
            "would be random: copy model.safetensors of the same model into it, or choose another model",
            model=info.label,
        )
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    known = {_layer_pattern(name) for name in model.state_dict()}
    surplus = [
        name for name in sorted(account["unexpected_keys"]) if _layer_pattern(name.removeprefix(prefix)) in known
    ]
    if surplus:
        raise ModelError(
            f"the weights of {info.label} have layers that its config.json doesn't have ({surplus[0]}): take "
            "config.json of the same model",
            model=info.label,
        )


def _layer_pattern(name: str) -> str:
    return re.sub(r"\.\d+\.", ".*.", name)


# --- the embeddings --------------------------------------------------------------------------------------------


def _embeddings(info: ModelInfo, model: SentenceTransformer) -> np.ndarray:
    """Embeddings of the probe questions, float32 of shape (questions, dimensions), compared with the library's."""
    try:
        embeddings = embed_questions(model, PROBE_QUESTIONS, TOKEN_BUDGET)
        # Two at once, because in some models an empty question alone has no token.
        expected = model.encode(PROBE_QUESTIONS, batch_size=2, show_progress_bar=False)
    except _FAULTS as error:
        raise ModelError(
            f"{info.label} can't embed questions of up to {_limit(model)} tokens, its limit ({short_reason(error)}): "
            "lower model_max_length in its tokenizer_config.json",
            model=info.label,
        ) from error
    _refuse_broken(info, bool(np.isfinite(embeddings).all()))
    scale = float(np.abs(embeddings).max())
    for one in range(DIFFERENT):
        for other in range(one):
            if np.abs(embeddings[one] - embeddings[other]).max() <= _SAME_EMBEDDING * scale:
                raise ModelError(
                    f"{info.label} gives {PROBE_QUESTIONS[other]!r} and {PROBE_QUESTIONS[one]!r} the same embedding: "
                    "its pooling (1_Pooling/config.json), limit or weights are not those of its architecture",
                    model=info.label,
                )
    difference = float(np.abs(embeddings - expected).max()) / scale
    if difference > _SAME_AS_ENCODE:
        raise ModelError(
            f"{info.label} is embedded here with a difference of {difference:.1%} to its own `encode`: choose "
            "another model, and report this one",
            model=info.label,
        )
    return embeddings


def _limit(model: SentenceTransformer) -> int | None:
    """Tokens that a question is cut to; None for no limit."""
    limit = model.max_seq_length
    return int(limit) if limit is not None and limit < _LARGEST_LIMIT else None


def _stated_length(model: SentenceTransformer) -> int | None:
    """The limit in the model's files if it is above the effective one. The library lowers some without a warning."""
    stated = getattr(getattr(model[0], "tokenizer", None), "init_kwargs", {}).get("model_max_length")
    limit = _limit(model)
    return int(stated) if stated and limit and limit < stated < _LARGEST_LIMIT else None


def _dimensions_before_cut(model: SentenceTransformer) -> int | None:
    if model.truncate_dim is None:
        return None
    with model.truncate_embeddings(None):
        whole = model.get_embedding_dimension()
    return whole if whole and whole > model.truncate_dim else None


def _chosen_for(model: SentenceTransformer, folder: Path) -> str:
    """The architecture for which the library chose the modules; empty if the folder names them."""
    if module_folders(folder) is None:
        architectures = getattr(model[0].config, "architectures", None) or ["transformers"]
        return str(architectures[0])
    kind = library_class(folder)
    return "" if kind == "SentenceTransformer" else kind


def _described(module: torch.nn.Module) -> str:
    """Describe a module with its main setting."""
    name = type(module).__name__
    if isinstance(module, Transformer):
        return f"{name} ({type(module.model).__name__})"
    if isinstance(module, Pooling):
        modes = (module.pooling_mode,) if isinstance(module.pooling_mode, str) else module.pooling_mode
        return f"{name} ({', '.join(modes)}{'' if module.include_prompt else ', without the prompt'})"
    if isinstance(module, Normalize):
        return name
    return f"{name} ({module.get_embedding_dimension()})" if hasattr(module, "get_embedding_dimension") else name
