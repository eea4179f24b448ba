"""Check a model's folder by its files alone, without torch: every file that it names exists, and sizes fit.

Libraries fill in what is missing without a word or fail with a traceback: a part of the weights, a pooling's settings,
a tokenizer.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors

from pipeline.core.errors import ModelError, PipelineError, reason_of

_LIBRARY = "sentence_transformers."
_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_INDEX = f"{_WEIGHTS}.index.json"
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "bpe.codes", "*.tiktoken")
_WITHOUT_VOCABULARY = ("ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer")
"""They write bytes or characters."""

_HAVE_SETTINGS = ("Pooling", "Dense")
_HAVE_WEIGHTS = ("Dense", "StaticEmbedding")


@dataclass(frozen=True)
class ModuleFolder:
    """A module of a sentence-embedding model.

    Attributes:
        kind: the name of its class, such as `Pooling`.
        folder: where its files are.
    """

    kind: str
    folder: Path


def module_folders(root: Path) -> list[ModuleFolder] | None:
    """The modules that `modules.json` names, in order; None for a folder without one.

    Raises:
        PipelineError: when it can't be read, or names code that is not the library's.
    """
    path = root / "modules.json"
    if not path.is_file():
        return None
    named = _read(path)
    try:
        modules = [(str(module["type"]), root / str(module["path"])) for module in named]
    except (TypeError, KeyError) as error:
        raise _refusal(path, "doesn't list modules with `type` and `path`") from error
    if not modules:
        raise _refusal(path, "lists no modules")
    for kind, _ in modules:
        if not kind.startswith(_LIBRARY):
            raise ModelError(
                f"{path} names custom code ({kind[:60]}), which this project doesn't run: choose a model "
                "that is made of the library's modules",
                path=path,
            )
    return [ModuleFolder(kind.rpartition(".")[2], folder) for kind, folder in modules]


def transformer_folder(root: Path) -> Path:
    """The folder of a model's transformer: in its first module, or at the root.

    Raises:
        PipelineError: when `modules.json` can't be read, or names code that is not the library's.
    """
    modules = module_folders(root)
    return modules[0].folder if modules and modules[0].kind == "Transformer" else root


def library_class(root: Path) -> str:
    """Which of the library's classes a folder was saved from, such as `CrossEncoder`.

    Raises:
        PipelineError: when the file that says so can't be read.
    """
    path = root / "config_sentence_transformers.json"
    settings = _read(path) if path.is_file() else {}
    return str(settings.get("model_type", "SentenceTransformer")) if isinstance(settings, dict) else ""


def refuse_incomplete(root: Path) -> None:
    """Refuse a model folder in which a file is missing or doesn't fit the others.

    Raises:
        PipelineError: that names the file.
    """
    library_class(root)
    modules = module_folders(root)
    if modules is None:
        _refuse_transformer(root)
        return
    for module in modules:
        if module.kind in _HAVE_SETTINGS:
            _read(_required(module.folder / _CONFIG, root, f"the settings of its module {module.kind}"))
        if module.kind in _HAVE_WEIGHTS:
            _required(module.folder / _WEIGHTS, root, f"the weights of its module {module.kind}")
        if module.kind == "Transformer":
            _refuse_transformer(module.folder)
        elif module.kind == "StaticEmbedding":
            _required(module.folder / "tokenizer.json", root, "its tokenizer")
        elif module.kind == "Dense":
            _refuse_dense(module.folder)


def _refuse_transformer(folder: Path) -> None:
    """Check the files of a transformers model."""
    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"{folder} holds an adapter (adapter_config.json) and not a whole model: merge it into its base model "
            "(`merge_and_unload` of peft) and save that",
            path=folder,
        )
    config = _read(_required(folder / _CONFIG, folder, "the description of its architecture"))
    if not isinstance(config, dict) or not config.get("model_type"):
        raise _refusal(folder / _CONFIG, "names no architecture (`model_type`)")
    if "quantization_config" in config:
        raise ModelError(
            f"{folder / _CONFIG} says that the weights are quantised, which can't be trained: choose the model's "
            "weights in full or half precision",
            path=folder / _CONFIG,
        )
    index = folder / _INDEX
    if index.is_file() and not (folder / _WEIGHTS).is_file():
        shards = _read(index).get("weight_map")
        if not isinstance(shards, dict):
            raise _refusal(index, "has no `weight_map`")
        for shard in sorted(set(map(str, shards.values()))):
            _required(folder / shard, folder, f"a part of the weights that {_INDEX} names")
    _refuse_tokenizer(folder)


def _refuse_tokenizer(folder: Path) -> None:
    settings = folder / "tokenizer_config.json"
    named = _read(settings) if settings.is_file() else {}
    if isinstance(named, dict) and named.get("tokenizer_class") in _WITHOUT_VOCABULARY:
        return
    there = [name for name in _VOCABULARIES if any(folder.glob(name))]
    if not there:
        raise ModelError(
            f"{folder} has no vocabulary of a tokenizer ({', '.join(_VOCABULARIES[:3])} or *.model): copy the "
            "tokenizer's files of the same model into it",
            path=folder,
        )
    if there == ["vocab.json"]:
        _required(folder / "merges.txt", folder, "the half of the tokenizer that belongs to vocab.json")


def _refuse_dense(folder: Path) -> None:
    config, weights = _read(folder / _CONFIG), folder / _WEIGHTS
    with safetensors.safe_open(weights, framework="np") as tensors:
        shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    wanted = (config.get("out_features"), config.get("in_features"))
    found = shapes.get("linear.weight")
    if found != wanted:
        what = "no tensor linear.weight" if found is None else f"linear.weight of shape {found}"
        raise ModelError(
            f"{weights} has {what}, but {_CONFIG} next to it asks for {wanted}: copy both from the same model",
            path=weights,
        )


def _required(path: Path, root: Path, what: str) -> Path:
    if not path.is_file():
        raise ModelError(f"{path} is missing, {what}: copy it into {root.name}, or save the model again", path=path)
    return path


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is no JSON ({reason_of(error)[:80]}): copy or save it again", path=path) from error


def _refusal(path: Path, what: str) -> PipelineError:
    return ModelError(f"{path} {what}: name a folder that `save_pretrained` wrote", path=path)
