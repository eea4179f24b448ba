"""The join of shards as values: what is asked for, and what was found."""

import hashlib
from dataclasses import dataclass

import pyarrow as pa

from pipeline.core.values import FrozenModel
from pipeline.sharding.tiles import NOTHING, Found

_SHA256 = b"sha256"
_DAMAGED = b"damaged"
_REASON = b"reason"


class Slice(FrozenModel):
    """Some of a shard's own vectors, counted through all parts.

    Attributes:
        first, last: which of them; `last` is not among them.
        is_whole: whether that is all of the shard.
    """

    shard: int
    first: int
    last: int
    is_whole: bool


class JoinJob(FrozenModel):
    """Asks to compare the vectors of each slice with each other, with those that follow them in their shard, and with
    all guests of the shard.

    Attributes:
        place: folder or URL that holds the parts.
        parts: names of the files, in the order of the corpus.
        slices: each has a vector.
        floor: cosine from which on pairs are kept.
        most: pairs above which it is refused.
    """

    place: str
    parts: tuple[str, ...]
    slices: tuple[Slice, ...]
    floor: float
    most: int


@dataclass(frozen=True)
class Joined:
    """What a join found.

    Attributes:
        pairs: numbers of both questions, the lower one first, and their cosines.
        damaged: name of a part that is not what was written; empty where all are. Then there are no pairs.
        reason: in what way it is damaged.
    """

    pairs: Found = NOTHING
    damaged: str = ""
    reason: str = ""

    def to_bytes(self) -> bytes:
        """The pairs as an Arrow file with a checksum."""
        digest = hashlib.sha256(b"".join(column.tobytes() for column in self.pairs)).hexdigest()
        schema = pa.schema(
            [("first", pa.int64()), ("second", pa.int64()), ("cosine", pa.float32())],
            metadata={_SHA256: digest, _DAMAGED: self.damaged, _REASON: self.reason},
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(pa.record_batch([pa.array(column) for column in self.pairs], schema=schema))
        return bytes(sink.getvalue())

    @classmethod
    def from_bytes(cls, content: bytes) -> "Joined":
        """What `to_bytes` was made of.

        Raises:
            ValueError: when it is not what was written.
        """
        try:
            reader = pa.ipc.open_file(pa.BufferReader(content))
            first, second, cosine = (column.to_numpy() for column in reader.get_batch(0).columns)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(str(error)) from error
        metadata = reader.schema.metadata or {}
        digest = hashlib.sha256(b"".join(column.tobytes() for column in (first, second, cosine))).hexdigest()
        if metadata.get(_SHA256) != digest.encode():
            raise ValueError("its checksum is not that of its content")
        return cls((first, second, cosine), metadata[_DAMAGED].decode(), metadata[_REASON].decode())
