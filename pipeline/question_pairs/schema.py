"""The table of question pairs, its splits, and its content hash."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.core.errors import DamagedError
from pipeline.core.files import VERSION_LENGTH
from pipeline.core.values import FrozenModel, Stored, Upgrade

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

DISJOINT = ("question_disjoint", "question_hash")
"""The strategies that keep every question on one side."""

_ORIGIN_KEY = b"origin"


class Division(FrozenModel):
    """How a dataset was divided into splits. All splits of one division have the same.

    Attributes:
        plan: hash of the plan's settings, the dataset's version and the rules of dividing.
        strategy: of the plan.
    """

    plan: str
    strategy: str


class DataOrigin(Stored):
    """Where question pairs come from. Every split, model and report records it.

    Attributes:
        source: a name that a person recognises, such as a file's name.
        synthetic: whether the pairs were generated. Synthetic and real results are never compared.
        dataset_version: data version of the whole dataset that the rows were taken from.
        revision: commit of a hub dataset; None elsewhere.
        division: how the dataset was divided; None for a whole dataset, and for splits of the first release.
    """

    schema_number: ClassVar[int] = 2
    upgrades: ClassVar[Mapping[int, Upgrade]] = {1: lambda fields: {**fields, "division": None}}

    source: str
    synthetic: bool
    dataset_version: str | None = None
    revision: str | None = None
    division: Division | None = None


@dataclass(frozen=True)
class PairTable:
    """Question pairs and their origin.

    Attributes:
        pairs: one row a pair, columns as in `PAIR_SCHEMA`, index 0..n-1. Treated as read-only.
        origin: where the rows come from.
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

    def take(
        self, rows: np.ndarray, dataset_version: str | None = None, division: Division | None = None
    ) -> "PairTable":
        """The rows at these positions, in this order, as one split of a division."""
        version, divided = dataset_version or self.origin.dataset_version, division or self.origin.division
        origin = self.origin.model_copy(update={"dataset_version": version, "division": divided})
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
            DamagedError: for a table that `to_arrow` did not make.
        """
        metadata = table.schema.metadata or {}
        if _ORIGIN_KEY not in metadata or table.schema.names != PAIR_SCHEMA.names:
            raise DamagedError(
                f"a stored table has the columns {', '.join(table.schema.names)}, not those of question pairs",
                make_again="pairs",
                columns=table.schema.names,
            )
        origin = DataOrigin.from_stored_json(metadata[_ORIGIN_KEY])
        return cls(table.to_pandas(), origin)


@dataclass(frozen=True)
class Splits:
    """The three splits of a dataset.

    Attributes:
        train: to learn from.
        dev: to choose checkpoint and thresholds; may be empty.
        eval: to measure a model.
        notes: facts on the division, such as the number of connected components.
    """

    train: PairTable
    dev: PairTable
    eval: PairTable
    notes: dict[str, int | float | str] = field(default_factory=dict)


def table_version(table: pa.Table) -> str:
    """Hash of an Arrow table of integers, floats, booleans and strings: names and values in row order.

    It reads the values, not Arrow's buffers, so chunking, offsets and padding don't change it: integers and booleans as
    little-endian int64, floats as little-endian float64, strings as their lengths in bytes followed by their UTF-8.

    Raises:
        TypeError: for a column of another type.
        ValueError: for a column with nulls.
    """
    digest = hashlib.sha256()
    for name, column in zip(table.schema.names, table.columns, strict=True):
        values = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        if values.null_count:
            raise ValueError(f"the column {name} has {values.null_count:,} nulls")
        digest.update(f"{name}:{len(values)}:".encode())
        if pa.types.is_large_string(values.type) or pa.types.is_string(values.type):
            strings = values.cast(pa.large_string())
            offsets = np.frombuffer(strings.buffers()[1], dtype=np.int64)[strings.offset :][: len(strings) + 1]
            digest.update(np.diff(offsets).astype("<i8").tobytes())
            if len(strings):
                digest.update(memoryview(strings.buffers()[2])[offsets[0] : offsets[-1]])
        elif pa.types.is_integer(values.type) or pa.types.is_boolean(values.type):
            digest.update(values.cast(pa.int64()).to_numpy().astype("<i8").tobytes())
        elif pa.types.is_floating(values.type):
            # Marked, so that no column of integers has the same bytes.
            digest.update(b"float64:" + values.cast(pa.float64()).to_numpy().astype("<f8").tobytes())
        else:
            raise TypeError(f"the column {name} holds {values.type}, of which no version is defined")
    return digest.hexdigest()[:VERSION_LENGTH]


def ids_by_text(question1: pa.ChunkedArray, question2: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Number distinct texts 0, 1, … in order of first appearance, `question1` before `question2` of each row.

    Takes texts without nulls, gives int64 arrays of shape (n,).
    """
    n = len(question1)
    both = pa.concat_arrays([*question1.chunks, *question2.chunks]) if n else pa.array([], pa.large_string())
    codes = both.dictionary_encode().indices.to_numpy().astype(np.int64)
    # So far numbered down the first column and then the second. Renumber along the rows.
    codes, _ = pd.factorize(codes.reshape(2, n).T.ravel())
    return codes[0::2], codes[1::2]
