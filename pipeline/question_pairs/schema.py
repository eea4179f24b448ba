"""The table of question pairs that everything else works on, and its content hash."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.core.errors import PipelineError
from pipeline.core.references import DataOrigin
from pipeline.core.storage import VERSION_LENGTH

PAIR_SCHEMA = pa.schema(
    [
        pa.field(
            "pair_id",
            pa.int64(),
            nullable=False,
            metadata={"description": "the source's row id, else the row number"},
        ),
        pa.field("question1_id", pa.int64(), nullable=False, metadata={"description": "id of the first question"}),
        pa.field("question2_id", pa.int64(), nullable=False, metadata={"description": "id of the second question"}),
        pa.field(
            "question1",
            pa.large_string(),
            nullable=False,
            metadata={"description": "first question; blank if the source has none"},
        ),
        pa.field(
            "question2",
            pa.large_string(),
            nullable=False,
            metadata={"description": "second question; blank if the source has none"},
        ),
        pa.field("is_duplicate", pa.bool_(), nullable=False, metadata={"description": "do both ask the same?"}),
    ]
)
"""Columns of a table of pairs, in order. Rows keep the order of their source."""

_ORIGIN_KEY = b"origin"


@dataclass(frozen=True)
class PairTable:
    """Question pairs and where they came from.

    Attributes:
        pairs: one row a pair, columns as in `PAIR_SCHEMA`, index 0..n-1. Treated as read-only.
        origin: where the rows came from.
    """

    pairs: pd.DataFrame
    origin: DataOrigin

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def positive_rate(self) -> float:
        """Share of duplicates, between 0 and 1; NaN for an empty table."""
        return float(self.pairs["is_duplicate"].mean())

    @property
    def mean_question_length(self) -> float:
        """Characters of a question on average; 0 for an empty table."""
        lengths = pd.concat([self.pairs["question1"], self.pairs["question2"]]).str.len()
        return float(lengths.mean()) if len(lengths) else 0.0

    @property
    def labels(self) -> np.ndarray:
        """`is_duplicate` as an int64 array of 0 and 1, of shape (n,)."""
        return self.pairs["is_duplicate"].to_numpy(dtype=np.int64)

    @cached_property
    def data_version(self) -> str:
        """Hash of the rows' content and order: equal rows give equal versions on every machine."""
        return table_version(self.to_arrow())

    def distinct_questions(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """The distinct texts in order of first appearance, and which of them each pair has: two int64 arrays (n,)."""
        texts = np.concatenate([self.pairs[name].to_numpy(object) for name in ("question1", "question2")])
        codes, distinct = pd.factorize(texts)
        codes = codes.astype(np.int64)
        return list(distinct), codes[: len(self)], codes[len(self) :]

    def take(self, rows: np.ndarray, dataset_version: str | None = None) -> "PairTable":
        """The rows at these positions, in this order."""
        origin = self.origin.model_copy(update={"dataset_version": dataset_version or self.origin.dataset_version})
        return PairTable(self.pairs.iloc[rows].reset_index(drop=True), origin)

    def followed_by(self, other: "PairTable") -> "PairTable":
        """The rows of both, this table's first and with its origin."""
        return PairTable(pd.concat([self.pairs, other.pairs], ignore_index=True), self.origin)

    def to_arrow(self) -> pa.Table:
        """The table in `PAIR_SCHEMA`, with the origin in its metadata."""
        table = pa.Table.from_pandas(self.pairs, schema=PAIR_SCHEMA, preserve_index=False)
        return table.replace_schema_metadata({_ORIGIN_KEY: self.origin.model_dump_json().encode()})

    @classmethod
    def from_arrow(cls, table: pa.Table) -> "PairTable":
        """The reverse of `to_arrow`.

        Raises:
            PipelineError: for a table that `to_arrow` did not make.
        """
        metadata = table.schema.metadata or {}
        if _ORIGIN_KEY not in metadata or table.schema.names != PAIR_SCHEMA.names:
            raise PipelineError(
                f"a stored table has the columns {', '.join(table.schema.names)}, not those of question pairs: "
                "rematerialise the asset that wrote it"
            )
        origin = DataOrigin.model_validate_json(metadata[_ORIGIN_KEY])
        return cls(table.to_pandas(), origin)


def meaning_groups(questions: int, first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which questions are known to ask the same: the component of each in the graph of duplicate pairs.

    Args:
        questions: how many there are.
        first, second: int64 of shape (pairs,): which questions a pair has.
        labels: 0 or 1, of shape (pairs,).

    Returns:
        int64 of shape (questions,).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    duplicates = labels == 1
    edges = (first[duplicates], second[duplicates])
    graph = coo_array((np.ones(len(edges[0]), dtype=np.int8), edges), shape=(questions, questions))
    groups: np.ndarray = connected_components(graph, directed=False)[1].astype(np.int64)
    return groups


def table_version(table: pa.Table) -> str:
    """Hash of an Arrow table of integers, booleans and strings: names, types and values in row order.

    It reads the values, not Arrow's buffers, so chunking, offsets and padding don't change it: numbers as
    little-endian int64, strings as their lengths in bytes followed by their UTF-8.
    """
    digest = hashlib.sha256()
    for name, column in zip(table.schema.names, table.columns, strict=True):
        values = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        digest.update(f"{name}:{len(values)}:".encode())
        if pa.types.is_large_string(values.type) or pa.types.is_string(values.type):
            strings = values.cast(pa.large_string())
            offsets = np.frombuffer(strings.buffers()[1], dtype=np.int64)[strings.offset :][: len(strings) + 1]
            digest.update(np.diff(offsets).astype("<i8").tobytes())
            if len(strings):
                digest.update(memoryview(strings.buffers()[2])[offsets[0] : offsets[-1]])
        else:
            digest.update(values.to_numpy(zero_copy_only=False).astype("<i8").tobytes())
    return digest.hexdigest()[:VERSION_LENGTH]


def ids_by_text(question1: pa.ChunkedArray, question2: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Number distinct texts 0, 1, … in order of first appearance, `question1` before `question2` in a row.

    Takes texts without nulls, gives int64 arrays of shape (n,).
    """
    n = len(question1)
    both = pa.concat_arrays([*question1.chunks, *question2.chunks]) if n else pa.array([], pa.large_string())
    codes = both.dictionary_encode().indices.to_numpy().astype(np.int64)
    # Numbered down the first column and then down the second; now along the rows.
    codes, _ = pd.factorize(codes.reshape(2, n).T.ravel())
    return codes[0::2], codes[1::2]
