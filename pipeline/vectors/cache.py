"""Keeps the vectors of texts, by the hash of a text and the version of the model: what was embedded is embedded once.

Layout of a cache's folder::

    <model version>-<precision>/<name>.npy     vectors of texts: float32 of shape (texts, dimensions), of length 1
    <model version>-<precision>/<name>.keys    SHA-256 of that file, then 16 bytes for each text: the head of its own

A shard is there when its keys are. They are written last, and both files whole, so an interruption loses no more than
the shard that was being made. Its name is a hash of its keys: the same texts give the same shard, whoever makes it.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.files import file_sha256, replacing, write_bytes
from pipeline.core.progress import Advanced, LogLine, OnProgress, ProgressEvent, ignore
from pipeline.vectors.blocks import Vectors

STAGE = "embedding questions"
_KEY = 16
_DIGEST = 32


class PartsEncoder(Protocol):
    """What turns parts of a corpus into vectors of length 1, here or elsewhere."""

    @property
    def model_version(self) -> str:
        """Of the model that it embeds with."""

    @property
    def precision(self) -> str:
        """It embeds in, such as `fp32`: vectors of another one are others."""

    @property
    def part_size(self) -> int:
        """How many texts are worth being handed over at once: those of a shard."""

    def embed_parts(self, parts: Sequence[list[str]], on_progress: OnProgress) -> Iterator[np.ndarray]:
        """Yield the vectors of each part, in order: float32 of shape (len(part), dimensions)."""


class VectorCache:
    """The cache below one folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def vectors(self, texts: Sequence[str], encoder: PartsEncoder, on_progress: OnProgress = ignore) -> Vectors:
        """Vectors of texts, in their order; those that aren't there yet are embedded, shard by shard.

        Raises:
            PipelineError: when the model can't embed, or the folder can't be written to.
        """
        folder = self._folder / f"{encoder.model_version}-{encoder.precision}"
        keys = text_keys(texts)
        shards = _Shards.open(folder, on_progress)
        missing = np.flatnonzero(shards.find(keys)[0] < 0)
        # A text that stands there twice is embedded once.
        missing = missing[np.sort(np.unique(keys[missing], axis=0, return_index=True)[1])] if len(missing) else missing
        size = encoder.part_size
        parts = [missing[start : start + size] for start in range(0, len(missing), size)]
        done = len(texts) - len(missing)
        on_progress(Advanced(STAGE, done, len(texts)))
        embedded = encoder.embed_parts(
            [[texts[i] for i in part] for part in parts], _offset(on_progress, done, len(texts))
        )
        for part, vectors in zip(parts, embedded, strict=True):
            _write_shard(folder, keys[part], vectors)
        if parts:
            shards = _Shards.open(folder, on_progress)
        return _CachedVectors(shards, *shards.find(keys))


def text_keys(texts: Sequence[str]) -> np.ndarray:
    """The head of each text's SHA-256, as two numbers: uint64 of shape (texts, 2)."""
    digests = b"".join(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:_KEY] for text in texts)
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2)


def _offset(on_progress: OnProgress, done: int, total: int) -> OnProgress:
    """A sink for the progress of several parts, which counts through all of them."""
    before, last = done, 0

    def emit(event: ProgressEvent) -> None:
        nonlocal before, last
        if isinstance(event, Advanced):
            if event.done < last:
                before, last = before + last, 0
            last = event.done
            on_progress(Advanced(STAGE, min(before + last, total), total))
        else:
            on_progress(event)

    return emit


def _write_shard(folder: Path, keys: np.ndarray, vectors: np.ndarray) -> None:
    name = hashlib.sha256(keys.tobytes()).hexdigest()[:_KEY]
    path = folder / f"{name}.npy"
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, vectors.astype("<f4", copy=False), allow_pickle=False)
        write_bytes(path.with_suffix(".keys"), bytes.fromhex(file_sha256(path)) + keys.tobytes())
    except OSError as error:
        raise PipelineError(
            f"can't keep vectors in {folder} ({reason_of(error)}): make room, or set PIPELINE_HOME"
        ) from error


class _Shards:
    """All shards of a model, and where each text's vector lies in them."""

    def __init__(self, arrays: list[np.ndarray], keys: list[np.ndarray]) -> None:
        self.arrays = arrays
        sizes = [len(part) for part in keys]
        joined = np.concatenate(keys) if keys else np.empty((0, 2), dtype=np.uint64)
        order = np.lexsort((joined[:, 1], joined[:, 0]))
        self._keys = joined[order]
        self._shard = np.repeat(np.arange(len(arrays)), sizes)[order]
        self._row = np.concatenate([np.arange(size) for size in sizes])[order] if sizes else np.empty(0, dtype=np.int64)

    @classmethod
    def open(cls, folder: Path, on_progress: OnProgress) -> "_Shards":
        """The shards that are whole; a damaged one is named and passed over, as it can be made again."""
        arrays, keys = [], []
        for path in sorted(folder.glob("*.keys")):
            try:
                stored = path.read_bytes()
                numbers = np.frombuffer(stored[_DIGEST:], dtype="<u8").reshape(-1, 2)
                if file_sha256(path.with_suffix(".npy")) != stored[:_DIGEST].hex():
                    raise ValueError("its bytes have changed")
                array = np.load(path.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
                if len(array) != len(numbers):
                    raise ValueError("it has not a key for each vector")
            except (OSError, ValueError) as error:
                on_progress(LogLine(f"vectors in {path} can't be used ({reason_of(error)}): they are made again"))
                path.unlink(missing_ok=True)
                continue
            arrays.append(array)
            keys.append(numbers)
        return cls(arrays, keys)

    def find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shard and row of each text's vector, both int64 of shape (texts,); shard -1 where there is none."""
        shard, row = np.full(len(keys), -1, dtype=np.int64), np.zeros(len(keys), dtype=np.int64)
        if not len(self._keys):
            return shard, row
        at = np.minimum(np.searchsorted(self._keys[:, 0], keys[:, 0]), len(self._keys) - 1)
        there = (self._keys[at] == keys).all(axis=1)
        for number in np.flatnonzero(~there & (self._keys[at, 0] == keys[:, 0])):
            # Two texts whose hashes begin alike: the right one stands behind.
            same = np.flatnonzero((self._keys == keys[number]).all(axis=1))
            if len(same):
                at[number], there[number] = same[0], True
        shard[there], row[there] = self._shard[at[there]], self._row[at[there]]
        return shard, row


class _CachedVectors(Vectors):
    """Vectors that lie in the shards of a cache, mapped into memory as they are read."""

    def __init__(self, shards: _Shards, shard: np.ndarray, row: np.ndarray) -> None:
        self._arrays, self._shard, self._row = shards.arrays, shard, row

    def __len__(self) -> int:
        return len(self._shard)

    @property
    def dimensions(self) -> int:
        """See `Vectors.dimensions`."""
        return int(self._arrays[0].shape[1])

    def block(self, start: int, stop: int) -> np.ndarray:
        """See `Vectors.block`."""
        return self.rows(np.arange(start, stop))

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """See `Vectors.rows`."""
        shard, row = self._shard[numbers], self._row[numbers]
        taken = np.empty((len(numbers), self.dimensions), dtype=np.float32)
        for which in np.unique(shard):
            wanted = shard == which
            taken[wanted] = self._arrays[which][row[wanted]]
        return taken
