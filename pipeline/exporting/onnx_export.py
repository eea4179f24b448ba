"""Write a sentence-embedding model as one ONNX graph, from token ids to an embedding of length 1, in fp32 or int8.

The graph includes pooling, dense layers, the truncation to fewer dimensions and the normalisation. The tokenizer
handles the prompt and the truncation of texts. `sentence-transformers[onnx]` does the same with optimum, which can't be
installed together with transformers 5.

The int8 graph comes from onnxruntime's dynamic quantisation: weights of matrix products are 8-bit by output channel,
and activations are scaled when they are computed. Weights use 7 of the 8 bits, because CPUs without VNNI add two
products in 16 bits, which 8-bit weights overflow. Embedding tables stay fp32: a lookup takes no time, and rounding them
costs most of the precision (docs/export.md).
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

from pipeline.core.errors import ModelError, NotInstalledError, reason_of
from pipeline.exporting.onnx_model import EXTRA
from pipeline.models.embedding import embeddings_of, features_of
from pipeline.models.info import PROBE_QUESTIONS
from pipeline.models.loading import short_reason

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OUTPUT = "sentence_embedding"
_ADVICE_OF_QUANTIZER = "Please consider to run pre-processing before quantization"
_QUICK_WITHOUT = {"StaticEmbedding", "WordEmbeddings", "BoW"}
"""Modules that only look embeddings up, which no graph makes faster."""


def refuse_unexportable(model: SentenceTransformer, label: str) -> None:
    """Refuse a model without a graph from the tokens of a text to its embedding.

    Raises:
        ModelError: it names the module.
    """
    first, name = model[0], type(model[0]).__name__
    if name in _QUICK_WITHOUT:
        raise ModelError(
            f"{label} begins with {name}, which only looks embeddings up, so a graph wouldn't be faster: use the model "
            "as it is",
            model=label,
            module=name,
        )
    if not isinstance(first, Transformer):
        raise ModelError(
            f"{label} begins with {name}, which can't be exported: export a model that begins with one Transformer for "
            "all texts",
            model=label,
            module=name,
        )
    if "text" not in getattr(first, "modalities", ("text",)):
        raise ModelError(
            f"{label} takes {', '.join(first.modalities)}, not text, and can't be exported: choose a text model",
            model=label,
            modalities=tuple(first.modalities),
        )
    if getattr(first.tokenizer, "backend_tokenizer", None) is None:
        raise ModelError(
            f"the tokenizer of {label} ({type(first.tokenizer).__name__}) is written in Python and can't be exported: "
            "save the model with a fast one (tokenizer.json)",
            model=label,
            tokenizer=type(first.tokenizer).__name__,
        )


def export_graph(model: SentenceTransformer, label: str, path: Path) -> tuple[tuple[str, ...], int]:
    """Write the fp32 graph of a model on the CPU. Weights of more than 2 GB go into a separate file.

    Returns:
        The names of its inputs, and its opset.

    Raises:
        PipelineError: when torch's exporter can't follow the model, or the extra isn't installed.
    """
    try:
        # Torch's exporter needs both; its own error has three lines.
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise NotInstalledError(
            f"exporting needs onnx and onnxscript ({reason_of(error)}): {EXTRA}", packages=("onnx", "onnxscript")
        ) from error
    model.eval()
    features = features_of(model, PROBE_QUESTIONS[:2])
    inputs = tuple(name for name in _INPUTS if name in features)
    others = {name: value for name, value in features.items() if name not in inputs}
    if tensors := [name for name, value in others.items() if isinstance(value, torch.Tensor)]:
        raise ModelError(
            f"{label} takes {', '.join(tensors)} in addition to tokens and can't be exported: use it as it is",
            model=label,
            inputs=tuple(tensors),
        )
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with _traceable(model), _quiet():
        try:
            program = torch.onnx.export(
                _Graph(model, inputs, others).eval(),
                tuple(features[name] for name in inputs),
                dynamo=True,
                input_names=list(inputs),
                output_names=[_OUTPUT],
                dynamic_shapes=(tuple(dynamic for _ in inputs),),
                verbose=False,
            )
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:
            # The exporter's own text is about reporting bugs; the cause is in the model's code.
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            raise ModelError(
                f"{label} can't be exported: torch's exporter can't follow its {_described(model)} "
                f"({short_reason(cause)}); use the model as it is",
                model=label,
                modules=module_names(model),
            ) from error
        assert program is not None
        program.save(str(path))
        return inputs, int(program.model.opset_imports[""])


def export_tokenizer(model: SentenceTransformer, path: Path) -> None:
    """Write the tokenizer, which truncates and pads texts as the model's own does."""
    tokenizer = model.tokenizer
    backend = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    if model.max_seq_length is not None:
        backend.enable_truncation(model.max_seq_length, direction=tokenizer.truncation_side)
    backend.enable_padding(
        direction=tokenizer.padding_side,
        pad_id=tokenizer.pad_token_id,
        pad_type_id=tokenizer.pad_token_type_id,
        pad_token=tokenizer.pad_token,
    )
    backend.save(str(path))


def quantize(source: Path, target: Path, external_data: bool = False) -> None:
    """Write the int8 graph of an fp32 one.

    Args:
        external_data: write the weights into a separate file, as needed beyond 2 GB.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    root.addFilter(_is_no_advice)
    try:
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=external_data,
        )
    finally:
        root.removeFilter(_is_no_advice)


def _is_no_advice(record: logging.LogRecord) -> bool:
    """False for the advice to pre-process: torch's exporter has fused the graph already."""
    return _ADVICE_OF_QUANTIZER not in record.getMessage()


def module_names(model: SentenceTransformer) -> tuple[str, ...]:
    """The modules of a model, in order."""
    return tuple(
        f"{type(module).__name__} ({type(module.model).__name__})"
        if isinstance(module, Transformer)
        else type(module).__name__
        for module in model
    )


def _described(model: SentenceTransformer) -> str:
    return " → ".join(module_names(model))


class _Graph(torch.nn.Module):
    """A model as a function of tensors only."""

    def __init__(self, model: SentenceTransformer, inputs: tuple[str, ...], others: dict[str, Any]) -> None:
        super().__init__()
        self.model, self._inputs, self._others = model, inputs, others

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        outputs = self.model({**dict(zip(self._inputs, tensors, strict=True)), **self._others})
        return torch.nn.functional.normalize(embeddings_of(outputs, self.model.truncate_dim), dim=-1)


@contextmanager
def _traceable(model: SentenceTransformer) -> Iterator[None]:
    """Have a model compute what it does in ways that the exporter can follow for every length.

    Attention is written out (T5's fused one fixes a layout), and the tokens of a prompt are left out of pooling without
    asking whether any text is padded, which depends on the texts.
    """
    transformer = model[0].model
    before = transformer.config._attn_implementation
    transformer.set_attn_implementation("eager")
    poolings = [module for module in model if isinstance(module, Pooling) and not module.include_prompt]
    for pooling in poolings:
        pooling._exclude_prompt_from_mask = _mask_without_prompt
    try:
        yield
    finally:
        for pooling in poolings:
            del pooling._exclude_prompt_from_mask
        transformer.set_attn_implementation(before)


def _mask_without_prompt(attention_mask: torch.Tensor, prompt_length: int) -> torch.Tensor:
    """As `Pooling._exclude_prompt_from_mask`, whatever the padding."""
    padding = attention_mask.to(torch.int32).argmax(dim=1, keepdim=True)
    positions = torch.arange(attention_mask.shape[1], device=attention_mask.device)[None]
    return torch.where(positions < padding + prompt_length, 0, attention_mask)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings about itself: missing operators of torchvision, and its own use of torch."""
    names = ("torch.onnx._internal.exporter._registration", "onnxscript.optimizer._constant_folding")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\)", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
