"""Files of vectors by shard: one for each part of a corpus, sorted by shard.

A part is an Arrow file. It has two record batches for each shard, in this order: the vectors of the part that are at
home there, and its guests there, whose home is another one. So one shard is read from a part without the others, by two
requests, and a part is written once, whole or not at all. Each batch carries the SHA-256 of its numbers and vectors,
and the counts carry one too: Arrow files have no checksums of their own.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.core.errors import reason_of
from pipeline.sharding.place import Place

_SHA256 = b"sha256"
_COUNTS = b"counts"


class DamagedError(Exception):
    """A file that is not what was written, or is gone.

    Attributes:
        name: of the file.
        reason: in what way.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name, self.reason = name, reason


@dataclass(frozen=True)
class Sorted:
    """Vectors of a part by shard.

    Attributes:
        home: rows of the part that are at home in each shard, an int64 array for each.
        guests: rows of the part that are guests in each shard, likewise.
    """

    home: Sequence[np.ndarray]
    guests: Sequence[np.ndarray]


def write_part(place: Place, name: str, start: int, block: np.ndarray, by_shard: Sorted) -> None:
    """Write a part.

    Args:
        start: number of its first vector in the corpus.
        block: float32 of shape (rows, dimensions).
    """
    width = block.shape[1]
    counts = json.dumps([[len(rows) for rows in by_shard.home], [len(rows) for rows in by_shard.guests]]).encode()
    schema = pa.schema(
        [("number", pa.int64()), ("vector", pa.list_(pa.float32(), width))],
        metadata={_COUNTS: counts, _SHA256: hashlib.sha256(counts).hexdigest().encode()},
    )
    with place.writing(name) as path, pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for home, guests in zip(by_shard.home, by_shard.guests, strict=True):
            for rows in (home, guests):
                # A copy of a few rows at a time: the part itself is in memory once.
                vectors = np.ascontiguousarray(block[rows])
                arrays = [
                    pa.array(rows + start, pa.int64()),
                    pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), width),
                ]
                digest = _digest(rows + start, vectors)
                writer.write_batch(pa.record_batch(arrays, schema=schema), custom_metadata={_SHA256: digest})


def _digest(numbers: np.ndarray, vectors: np.ndarray) -> bytes:
    digest = hashlib.sha256(np.ascontiguousarray(numbers).data)
    digest.update(np.ascontiguousarray(vectors).data)
    return digest.hexdigest().encode()


class Part:
    """A part that is read."""

    def __init__(self, place: Place, name: str) -> None:
        """Open it.

        Raises:
            DamagedError: when it is gone, or no such file.
        """
        self.name = name
        try:
            self._file = place.open(name)
            self._reader: Any = pa.ipc.open_file(self._file)
            schema = self._reader.schema
            self._width, metadata = schema.field("vector").type.list_size, schema.metadata or {}
            counts = metadata.get(_COUNTS, b"")
            if hashlib.sha256(counts).hexdigest().encode() != metadata.get(_SHA256):
                raise ValueError("its counts are not what was written")
            self.home, self.guests = np.array(json.loads(counts), dtype=np.int64)
        except (OSError, pa.ArrowException, ValueError, LookupError) as error:
            raise DamagedError(name, reason_of(error)) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def at_home(self, shard: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and vectors that are at home in a shard: int64 of shape (n,), float32 of shape (n, dimensions).

        Raises:
            DamagedError: when they are not what was written.
        """
        return self._batch(2 * shard)

    def guests_of(self, shard: int) -> tuple[np.ndarray, np.ndarray]:
        """Those of the guests in a shard; see `at_home`."""
        return self._batch(2 * shard + 1)

    def _batch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        try:
            batch, metadata = self._reader.get_batch_with_custom_metadata(number)
            numbers = batch.column(0).to_numpy()
            # A copy: torch takes no array that can't be written to.
            vectors = batch.column(1).flatten().to_numpy().reshape(len(numbers), self._width).copy()
            expected = (self.home, self.guests)[number % 2][number // 2]
            if len(numbers) != expected or _digest(numbers, vectors) != (metadata or {}).get(_SHA256):
                raise ValueError("its bytes have changed")
        except (OSError, pa.ArrowException, ValueError, IndexError) as error:
            raise DamagedError(self.name, reason_of(error)) from error
        return numbers, vectors
