"""Cache the vectors of texts, so that each text is embedded once by each encoder.

Layout of a cache's folder::

    <cache name of the encoder>/<SHA-256 of the file's bytes>.arrow     `key` and `vector` of some texts

A key is the head of the SHA-256 of a text. A file is written whole and never changed, and its name proves its bytes, so
that keys never meet the vectors of another file, and processes that embed the same texts don't disturb each other. A
reader never deletes. It maps each file once, so files may be deleted at any time: what was deleted before is embedded
again, and what is deleted later stays readable.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from pipeline.core.errors import DamagedError, ModelError, ResourceError, reason_of
from pipeline.core.files import bytes_sha256, write_bytes
from pipeline.core.progress import Advanced, LogLine, OnProgress, ProgressEvent, ignore
from pipeline.vectors.blocks import Vectors

STAGE = "embedding questions"
_KEY = 16


class PartsEncoder(Protocol):
    """Turns parts of a corpus into vectors of length 1, here or elsewhere."""

    @property
    def cache_name(self) -> str:
        """Folder of its vectors: encoders whose vectors differ in any digit have different ones."""

    @property
    def part_size(self) -> int:
        """Number of texts to embed at once: those of a file of the cache."""

    def embed_parts(self, parts: Sequence[list[str]], on_progress: OnProgress) -> Iterator[np.ndarray]:
        """Yield the vectors of each part, in order: float32 of shape (len(part), dimensions)."""


class VectorCache:
    """The cache below one folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def vectors(self, texts: Sequence[str], encoder: PartsEncoder, on_progress: OnProgress = ignore) -> Vectors:
        """Vectors of texts, in their order. Those that aren't cached are embedded, part by part.

        Raises:
            ResourceError: when the folder can't be written to.
            ModelError: when the encoder doesn't give a vector for each text.
            DamagedError: when cached vectors have different dimensions.
        """
        folder = self._folder / encoder.cache_name
        keys = text_keys(texts)
        shards = _read_all(folder, on_progress)
        missing = np.flatnonzero(_Lookup(shards).find(keys)[0] < 0)
        # A repeated text is embedded once.
        missing = missing[np.sort(np.unique(keys[missing], axis=0, return_index=True)[1])] if len(missing) else missing
        size = encoder.part_size
        parts = [missing[start : start + size] for start in range(0, len(missing), size)]
        done = len(texts) - len(missing)
        on_progress(Advanced(STAGE, done, len(texts)))
        embedded = encoder.embed_parts(
            [[texts[i] for i in part] for part in parts], _offset(on_progress, done, len(texts))
        )
        for part, vectors in zip(parts, embedded, strict=True):
            if len(vectors) != len(part):
                raise ModelError(f"the model gave {len(vectors):,} vectors for {len(part):,} texts: use another model")
            shards.append(_write(folder, _Shard(keys[part], vectors.astype("<f4", copy=False))))
        if len(widths := {shard.vectors.shape[1] for shard in shards}) > 1:
            raise DamagedError(f"vectors in {folder} have {sorted(widths)} dimensions: delete it", path=folder)
        shard, row = _Lookup(shards).find(keys)
        if (shard < 0).any():
            raise DamagedError(
                f"vectors of {int((shard < 0).sum()):,} texts are not in {folder}: delete it", path=folder
            )
        return _CachedVectors(shards, shard, row)


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


@dataclass(frozen=True)
class _Shard:
    """Some keys, uint64 of shape (n, 2), and their vectors, float32 of shape (n, dimensions)."""

    keys: np.ndarray
    vectors: np.ndarray


def _write(folder: Path, shard: _Shard) -> _Shard:
    """Write a shard, and return it as mapped from its file; as it is where the file is already gone."""
    n, dimensions = shard.vectors.shape
    key = pa.FixedSizeBinaryArray.from_buffers(pa.binary(_KEY), n, [None, pa.py_buffer(shard.keys.tobytes())])
    vector = pa.FixedSizeListArray.from_arrays(pa.array(shard.vectors.ravel()), dimensions)
    batch = pa.record_batch([key, vector], names=["key", "vector"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    content = sink.getvalue().to_pybytes()
    path = folder / f"{bytes_sha256(content)}.arrow"
    try:
        write_bytes(path, content)
    except OSError as error:
        raise ResourceError(
            f"can't keep vectors in {folder} ({reason_of(error)}): make room, or set PIPELINE_HOME", path=folder
        ) from error
    try:
        return _read(path)
    except (OSError, ValueError):
        return shard


def _read(path: Path) -> _Shard:
    """Map a shard, and check its bytes.

    Raises:
        OSError: when it can't be read.
        ValueError: when its bytes are not those that were written.
    """
    with pa.memory_map(str(path)) as file:
        content = file.read_buffer()
    if hashlib.sha256(content).hexdigest() != path.stem:
        raise ValueError("its bytes have changed")
    batch = pa.ipc.open_file(content).get_batch(0)
    keys = np.frombuffer(batch.column("key").buffers()[1], dtype="<u8").reshape(-1, 2)
    vectors = np.frombuffer(batch.column("vector").values.buffers()[1], dtype="<f4")
    return _Shard(keys, vectors.reshape(len(keys), -1))


def _read_all(folder: Path, on_progress: OnProgress) -> list[_Shard]:
    """The shards that are intact. A damaged one is named and left where it is."""
    shards = []
    for path in sorted(folder.glob("*.arrow")):
        try:
            shards.append(_read(path))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            on_progress(LogLine(f"vectors in {path} can't be used ({reason_of(error)}), and are embedded again"))
    return shards


class _Lookup:
    """Finds the shard and the row of a text."""

    def __init__(self, shards: Sequence[_Shard]) -> None:
        sizes = [len(shard.keys) for shard in shards]
        joined = np.concatenate([np.empty((0, 2), dtype=np.uint64), *(shard.keys for shard in shards)])
        order = np.lexsort((joined[:, 1], joined[:, 0]))
        self._keys = joined[order]
        self._shard = np.repeat(np.arange(len(shards)), sizes)[order]
        self._row = np.concatenate([np.empty(0, dtype=np.int64), *map(np.arange, sizes)])[order]

    def find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shard and row of each text's vector, both int64 of shape (texts,); shard -1 where there is none."""
        shard, row = np.full(len(keys), -1, dtype=np.int64), np.zeros(len(keys), dtype=np.int64)
        if not len(self._keys):
            return shard, row
        at = np.minimum(np.searchsorted(self._keys[:, 0], keys[:, 0]), len(self._keys) - 1)
        there = (self._keys[at] == keys).all(axis=1)
        for number in np.flatnonzero(~there & (self._keys[at, 0] == keys[:, 0])):
            # Two texts whose hashes begin alike: the right one comes later.
            same = np.flatnonzero((self._keys == keys[number]).all(axis=1))
            if len(same):
                at[number], there[number] = same[0], True
        shard[there], row[there] = self._shard[at[there]], self._row[at[there]]
        return shard, row


class _CachedVectors(Vectors):
    """Vectors in the shards of a cache, which are mapped into memory."""

    def __init__(self, shards: Sequence[_Shard], shard: np.ndarray, row: np.ndarray) -> None:
        self._arrays, self._shard, self._row = [each.vectors for each in shards], shard, row

    def __len__(self) -> int:
        return len(self._shard)

    @property
    def dimensions(self) -> int:
        """See `Vectors.dimensions`."""
        return int(self._arrays[0].shape[1])

    def block(self, start: int, stop: int) -> np.ndarray:
        """See `Vectors.block`."""
        return self.rows(np.arange(start, stop))

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """See `Vectors.rows`."""
        shard, row = self._shard[indices], self._row[indices]
        taken = np.empty((len(indices), self.dimensions), dtype=np.float32)
        for which in np.unique(shard):
            wanted = shard == which
            taken[wanted] = self._arrays[which][row[wanted]]
        return taken
