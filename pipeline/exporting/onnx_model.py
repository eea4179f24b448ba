"""Run an export: embed texts with onnxruntime and tokenizers alone, without torch or transformers.

An fp32 export embeds texts of similar length in batches. An int8 export embeds each text alone: onnxruntime scales
activations by the largest value in a batch, so a vector would depend on the other texts.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.errors import DamagedError, InputError, NotInstalledError, excerpt, reason_of
from pipeline.core.progress import Advanced, OnProgress, ignore
from pipeline.exporting.options import ExportPrecision
from pipeline.exporting.record import AGAIN, GRAPH_FILE, TOKENIZER_FILE, read_record, require_intact
from pipeline.models.decision import Decision, read_decision
from pipeline.models.options import TOKEN_BUDGET
from pipeline.vectors.blocks import unit
from pipeline.vectors.options import PART_SIZE

EXTRA = 'install the extra: pip install -e ".[export]"'
_TOKENIZED_AT_ONCE = 1_024


class OnnxEncoder:
    """Embeds with an exported model, as `SentenceTransformer.encode` of the model does, with vectors of length 1.

    Attributes:
        record: the export's `export.json`.
        model_version: of the exported model.
        precision: of its weights.
        dimensions: of a vector.
        decision: its own thresholds and calibration; None for an export without them.
        cache_name: of the folder of its cached vectors.
        part_size: texts of a corpus to embed at once.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        """Load an export.

        Args:
            threads: of onnxruntime; None for the number of cores that this process may use.

        Raises:
            PipelineError: when it is missing or damaged, or the extra isn't installed.
        """
        self.record = read_record(folder)
        require_intact(folder, self.record)
        self.model_version: str = self.record.model_version
        self.precision: ExportPrecision = self.record.precision
        self.dimensions: int = self.record.dimensions
        self.decision: Decision | None = read_decision(folder)
        self.part_size: int = PART_SIZE
        # Of the export: its vectors differ from the model's own in the last digits.
        self.cache_name: str = f"onnx-{self.record.identity}"
        self._session = _session(folder / GRAPH_FILE, threads or usable_cores())
        self._tokenizer = _tokenizer(folder / TOKENIZER_FILE)
        self._padding = self._tokenizer.padding
        # `_run` pads each batch to its longest text.
        self._tokenizer.no_padding()

    def embed_parts(self, parts: Sequence[list[str]], on_progress: OnProgress = ignore) -> Iterator[np.ndarray]:
        """Yield the vectors of each part, in order: float32 of shape (len(part), dimensions)."""
        for part in parts:
            yield self.embed(part, on_progress)

    def embed(
        self, texts: list[str], on_progress: OnProgress = ignore, stage: str = "embedding questions"
    ) -> np.ndarray:
        """Return vectors of length 1 (0 for a zero vector): float32 of shape (len(texts), dimensions).

        A vector doesn't depend on the other texts: for fp32 up to the last digits, for int8 bit for bit.

        Raises:
            PipelineError: when a text isn't valid Unicode, or the model gives values that are not finite.
        """
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        on_progress(Advanced(stage, 0, len(texts)))
        encodings = self._encodings(texts)
        order = np.argsort([len(encoding) for encoding in encodings], kind="stable")
        done = 0
        for batch in self._batches(order, encodings):
            vectors[batch] = self._run([encodings[i] for i in batch])
            done += len(batch)
            on_progress(Advanced(stage, done, len(texts)))
        return unit(vectors)

    def _encodings(self, texts: list[str]) -> list[Any]:
        found: list[Any] = []
        for start in range(0, len(texts), _TOKENIZED_AT_ONCE):
            chunk = [self.record.prompt + text for text in texts[start : start + _TOKENIZED_AT_ONCE]]
            try:
                # `encode` starts no threads, which would cost more than a single question.
                found += [self._tokenizer.encode(chunk[0])] if len(chunk) == 1 else self._tokenizer.encode_batch(chunk)
            except (TypeError, UnicodeError):
                broken = next((text for text in chunk if not _is_unicode(text)), chunk[0])
                raise InputError(f"{excerpt(broken)} is no text: write it in valid Unicode", text=broken) from None
        return found

    def _batches(self, order: np.ndarray, encodings: list[Any]) -> Iterator[list[int]]:
        """Yield the indices of texts to embed together, shortest first."""
        batch: list[int] = []
        for i in order.tolist():
            if batch and (self.precision != "fp32" or (len(batch) + 1) * len(encodings[i]) > TOKEN_BUDGET):
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    def _run(self, encodings: list[Any]) -> np.ndarray:
        longest = max(len(encoding) for encoding in encodings)
        values = {
            "input_ids": ([encoding.ids for encoding in encodings], self._padding["pad_id"]),
            "attention_mask": ([encoding.attention_mask for encoding in encodings], 0),
            "token_type_ids": ([encoding.type_ids for encoding in encodings], self._padding["pad_type_id"]),
        }
        is_left = self._padding["direction"] == "left"
        fed = {name: _padded(*values[name], longest, is_left) for name in self.record.inputs}
        return self._session.run(None, fed)[0]


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _padded(rows: list[list[int]], fill: int, longest: int, is_left: bool) -> np.ndarray:
    padded = np.full((len(rows), longest), fill, dtype=np.int64)
    for at, row in enumerate(rows):
        padded[at, longest - len(row) if is_left else 0 : longest if is_left else len(row)] = row
    return padded


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeError:
        return False
    return True


def _session(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise NotInstalledError(
            f"running an export needs onnxruntime ({reason_of(error)}): {EXTRA}", packages=("onnxruntime",)
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise DamagedError(f"onnxruntime can't run {path} ({reason_of(error)}): {AGAIN}", path=path) from error


def _tokenizer(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise NotInstalledError(
            f"running an export needs tokenizers ({reason_of(error)}): {EXTRA}", packages=("tokenizers",)
        ) from error
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:
        raise DamagedError(f"tokenizers can't read {path} ({reason_of(error)}): {AGAIN}", path=path) from error
