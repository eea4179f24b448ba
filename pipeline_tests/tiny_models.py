"""Sentence-embedding models of many architectures with random weights, each made in a moment and the same each time."""

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    StaticEmbedding,
    Transformer,
)
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn

WIDTH = 16
POSITIONS = 128
LIMIT = 64
"""Tokens that a question is cut to."""

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORDS = ("how", "do", "i", "what", "is", "the", "best", "way", "to", "learn", "play", "guitar", "why", "query", "one")
_LETTERS = string.ascii_lowercase + string.digits + "?!.,:"

_SIZES = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 2 * WIDTH}
_BERT = {**_SIZES, "max_position_embeddings": POSITIONS, "initializer_range": 0.3, "pad_token_id": 0}
_SMALL_TABLE = {**_BERT, "embedding_size": 8}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", _BERT),
    "roberta": ("Roberta", _BERT),
    "xlm-roberta": ("XLMRoberta", _BERT),
    "mpnet": ("MPNet", _BERT),
    "distilbert": (
        "DistilBert",
        {"dim": WIDTH, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": POSITIONS},
    ),
    # Every third layer sees all, the others 4 tokens on each side.
    "modernbert": ("ModernBert", {**_BERT, "num_hidden_layers": 3, "local_attention": 8, "cls_token_id": 2}),
    "albert": ("Albert", _SMALL_TABLE),
    "deberta": ("DebertaV2", {**_BERT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
    "electra": ("Electra", _SMALL_TABLE),
    "t5": ("T5", {"d_model": WIDTH, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}),
    "qwen": ("Qwen3", {**_SIZES, "num_key_value_heads": 1, "head_dim": 8, "initializer_range": 0.3}),
}
"""transformers' name of each, and its sizes."""


def tiny_tokenizer(**settings: Any) -> hf.PreTrainedTokenizerFast:
    """A WordPiece tokenizer of a hundred pieces that can write every English question."""
    pieces = dict.fromkeys([*_SPECIAL, *_WORDS, *_LETTERS, *(f"##{letter}" for letter in _LETTERS)])
    vocabulary = {piece: at for at, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]",
        "[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    names = {f"{name[1:-1].lower()}_token": name for name in _SPECIAL}
    return hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{**names, **settings})


def make_transformer(folder: Path, architecture: str, changed: dict[str, Any] | None = None, **tokenizer: Any) -> Path:
    """Write a plain transformers folder, as the hub has most of them.

    Args:
        changed: of the architecture's sizes.
        tokenizer: settings of the tokenizer.
    """
    torch.manual_seed(0)
    name, sizes = ARCHITECTURES[architecture]
    pieces = tiny_tokenizer(**tokenizer)
    config = getattr(hf, f"{name}Config")(**{"vocab_size": len(pieces), **sizes, **(changed or {})})
    getattr(hf, f"{name}Model")(config).save_pretrained(folder)
    pieces.save_pretrained(folder)
    return folder


def make_model(
    folder: Path,
    architecture: str = "bert",
    pooling: str | Sequence[str] = "mean",
    after: Sequence[nn.Module] = (),
    include_prompt: bool = True,
    limit: int | None = LIMIT,
    **settings: Any,
) -> Path:
    """Write a sentence-embedding model: the architecture, or `static`, its pooling, and further modules.

    Args:
        settings: of `SentenceTransformer`, such as `prompts` and `truncate_dim`.
    """
    torch.manual_seed(0)
    if architecture == "static":
        modules: list[nn.Module] = [StaticEmbedding(tiny_tokenizer(), embedding_dim=WIDTH)]
    else:
        plain = make_transformer(folder.with_name(f"{folder.name}.plain"), architecture)
        transformer = Transformer(str(plain))
        if limit:
            transformer.max_seq_length = limit
        width = WIDTH * (1 if isinstance(pooling, str) else len(pooling))
        modules = [transformer, Pooling(WIDTH, pooling_mode=pooling, include_prompt=include_prompt)]
        assert modules[1].get_embedding_dimension() == width
    model = SentenceTransformer(modules=[*modules, *after], device="cpu", **settings)
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


def dense(width: int = 8) -> Dense:
    """A dense layer that makes embeddings of 8 dimensions, the same one each time."""
    torch.manual_seed(0)
    return Dense(WIDTH, width)


def query_prompt() -> dict[str, Any]:
    """The settings of a model that has a prompt for all that it encodes."""
    return {"prompts": {"query": "What is the query: "}, "default_prompt_name": "query"}


KINDS: dict[str, dict[str, Any]] = {
    **{name: {"architecture": name, "after": (Normalize,)} for name in ARCHITECTURES if name != "qwen"},
    "qwen": {"architecture": "qwen", "pooling": "lasttoken", "after": (Normalize,)},
    "static": {"architecture": "static"},
    "static with a prompt": {"architecture": "static", **query_prompt()},
    "not normalised": {},
    "cls": {"pooling": "cls"},
    "two poolings": {"pooling": ("mean", "max")},
    "weighted mean": {"pooling": "weightedmean"},
    "dense": {"after": (dense, Normalize)},
    "prompt": query_prompt(),
    "prompt that pooling leaves out": {**query_prompt(), "include_prompt": False},
    "prompt that cls pooling leaves out": {**query_prompt(), "include_prompt": False, "pooling": "cls"},
    "prompt in MPNet": {"architecture": "mpnet", **query_prompt(), "include_prompt": False},
    "prompt in RoBERTa": {"architecture": "roberta", **query_prompt(), "include_prompt": False},
    "prompt in a decoder": {"architecture": "qwen", "pooling": "lasttoken", **query_prompt()},
    "prompts, none by default": {"prompts": {"query": "query: ", "document": "one: "}},
    "truncated": {"after": (Normalize,), "truncate_dim": 5},
    "truncated, padded": {"architecture": "mpnet", "truncate_dim": 5},
    "dot product": {"similarity_fn_name": "dot"},
}
"""Arguments of `make_model`, for every kind of model that is trained here; modules by what makes them."""


def make_kind(folder: Path, kind: str) -> Path:
    """Write the model of that kind of `KINDS`."""
    settings = {**KINDS[kind]}
    after = [make() for make in settings.pop("after", ())]
    return make_model(folder, after=after, **settings)
