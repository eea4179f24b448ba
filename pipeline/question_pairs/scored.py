"""The table of pairs that a teacher has scored: labelled ones of the train split, and mined ones."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.core.errors import PipelineError, excerpt, listing
from pipeline.question_pairs.questions import QuestionIndex, pair_numbers
from pipeline.question_pairs.schema import DataOrigin, PairTable, table_version

FoundBy = Literal["gold", "bm25", "neighbours"]
"""Where a scored pair comes from: a label, or a search among the training questions."""

SCORED_SCHEMA = pa.schema(
    [
        pa.field("question1", pa.large_string(), nullable=False, metadata={"description": "first question"}),
        pa.field("question2", pa.large_string(), nullable=False, metadata={"description": "second question"}),
        pa.field(
            "score",
            pa.float64(),
            nullable=False,
            metadata={"description": "the teacher's calibrated probability, 0 to 1, that both ask the same"},
        ),
        pa.field("is_gold", pa.bool_(), nullable=False, metadata={"description": "labelled (gold) or mined (silver)?"}),
        pa.field(
            "is_duplicate",
            pa.bool_(),
            nullable=False,
            metadata={"description": "the label of a gold pair; false for a silver pair, where it means nothing"},
        ),
        pa.field(
            "fold",
            pa.int64(),
            nullable=False,
            metadata={"description": "fold of both questions, from 0; its teacher was trained without it"},
        ),
        pa.field(
            "found_by",
            pa.large_string(),
            nullable=False,
            metadata={"description": f"what found the pair: {', '.join(get_args(FoundBy))}"},
        ),
    ]
)
"""Columns of a table of scored pairs, in order."""

_ORIGIN_KEY = b"origin"
_AGAIN = "score the pairs again"
_KINDS = {"score": "f", "is_gold": "b", "is_duplicate": "b", "fold": "i"}
"""Numpy's kinds of the columns that aren't texts."""


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs of training questions with the scores of a teacher, and where the questions came from.

    Attributes:
        pairs: one row a pair, columns as in `SCORED_SCHEMA`, index 0..n-1. Treated as read-only. `is_duplicate` is the
            label of a gold pair. It is false for every silver pair and says nothing there: don't read it.
        origin: where the training pairs came from.

    Raises:
        PipelineError: when a column is missing or of another type, a score is no probability, a silver pair has a
            label, or a pair stands there twice (the same two questions, whichever way round).
    """

    pairs: pd.DataFrame
    origin: DataOrigin

    def __post_init__(self) -> None:
        _require_columns(self.pairs)
        _require_values(self.pairs)
        _require_once(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def scores(self) -> np.ndarray:
        """`score` as a float64 array of shape (n,)."""
        return self.pairs["score"].to_numpy(dtype=np.float64)

    @property
    def is_gold(self) -> np.ndarray:
        """`is_gold` as a bool array of shape (n,)."""
        return self.pairs["is_gold"].to_numpy(dtype=bool)

    @cached_property
    def data_version(self) -> str:
        """Hash of the rows' content and order: equal rows give equal versions on every machine."""
        return table_version(self.to_arrow())

    def take(self, rows: np.ndarray) -> "ScoredPairs":
        """The rows at these positions, in this order, or those where a bool array of shape (n,) is true."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        return ScoredPairs(self.pairs.iloc[chosen].reset_index(drop=True), self.origin)

    def followed_by(self, other: "ScoredPairs") -> "ScoredPairs":
        """The rows of both, this table's first and with its origin.

        Raises:
            PipelineError: when a pair stands in both.
        """
        return ScoredPairs(pd.concat([self.pairs, other.pairs], ignore_index=True), self.origin)

    def to_arrow(self) -> pa.Table:
        """The table in `SCORED_SCHEMA`, with the origin in its metadata."""
        table = pa.Table.from_pandas(self.pairs, schema=SCORED_SCHEMA, preserve_index=False)
        return table.replace_schema_metadata({_ORIGIN_KEY: self.origin.model_dump_json().encode()})

    @classmethod
    def from_arrow(cls, table: pa.Table) -> "ScoredPairs":
        """The reverse of `to_arrow`.

        Raises:
            PipelineError: for a table that `to_arrow` did not make.
        """
        metadata = table.schema.metadata or {}
        if _ORIGIN_KEY not in metadata or table.schema.names != SCORED_SCHEMA.names:
            raise PipelineError(
                f"a stored table has the columns {listing(table.schema.names)}, not those of scored pairs: {_AGAIN}"
            )
        origin = DataOrigin.from_stored_json(metadata[_ORIGIN_KEY])
        return cls(table.to_pandas(), origin)


def scored_gold(table: PairTable, scores: np.ndarray, fold: np.ndarray) -> ScoredPairs:
    """The labelled pairs of a table with the scores of a teacher.

    A pair that stands there several times counts once, by its first row; one that has both labels is left out, as
    nobody knows which is right.

    Args:
        scores: float64 of shape (pairs,).
        fold: int64 of shape (pairs,).
    """
    rows = distinct_pairs(table)
    frame = table.pairs.iloc[rows][["question1", "question2", "is_duplicate"]].reset_index(drop=True)
    frame = frame.assign(score=scores[rows].astype(np.float64), is_gold=True, fold=fold[rows].astype(np.int64))
    frame["found_by"] = pd.Series(["gold"] * len(frame), dtype="str")
    return ScoredPairs(frame[SCORED_SCHEMA.names], table.origin)


def distinct_pairs(table: PairTable) -> np.ndarray:
    """Positions of the first row of every pair, whichever way round its questions stand; ascending, int64.

    Pairs whose rows have different labels are left out.
    """
    numbers = _numbers(table.pairs)
    pair, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    labels = table.labels
    rows, duplicates = np.bincount(inverse, minlength=len(pair)), np.bincount(inverse, labels, minlength=len(pair))
    agree = (duplicates == 0) | (duplicates == rows)
    return np.sort(first[agree]).astype(np.int64)


def _numbers(pairs: pd.DataFrame) -> np.ndarray:
    """A number for each pair, equal for the same two questions whichever way round: int64 of shape (pairs,)."""
    index = QuestionIndex.of_texts(*(pairs[name].to_numpy(object) for name in ("question1", "question2")))
    return pair_numbers(index.first_question, index.second_question, max(index.questions, 1))


def _require_columns(pairs: pd.DataFrame) -> None:
    names = [str(name) for name in pairs.columns]
    if names != SCORED_SCHEMA.names:
        raise PipelineError(
            f"a table of scored pairs has the columns {listing(names)}: it needs {listing(SCORED_SCHEMA.names)}, in "
            "this order"
        )
    for name, kind in _KINDS.items():
        found = pairs[name].dtype
        if found.kind != kind:
            wanted = SCORED_SCHEMA.field(name).type
            raise PipelineError(f"the column {name} of scored pairs holds {found}, not {wanted}: {_AGAIN}")


def _require_values(pairs: pd.DataFrame) -> None:
    score, is_gold = pairs["score"].to_numpy(), pairs["is_gold"].to_numpy()
    is_mined = pairs["found_by"].isin(get_args(FoundBy)[1:]).to_numpy()
    # A comparison with NaN is false, so it is no probability either.
    for is_wrong, what in (
        (~((score >= 0) & (score <= 1)), "has the score {score}, which is no probability between 0 and 1"),
        (~is_mined & (pairs["found_by"] != "gold").to_numpy(), "was found by {found_by}, which nothing here is called"),
        (is_mined == is_gold, "was found by {found_by} and is {kind}, which contradicts that"),
        (~is_gold & pairs["is_duplicate"].to_numpy(), "is silver and has a label, which only gold pairs have"),
        (pairs["fold"].to_numpy() < 0, "has the fold {fold}: folds begin at 0"),
    ):
        if is_wrong.any():
            at = int(np.flatnonzero(is_wrong)[0])
            row = pairs.iloc[at]
            said = what.format(
                score=row["score"],
                found_by=excerpt(str(row["found_by"])),
                kind="gold" if row["is_gold"] else "silver",
                fold=row["fold"],
            )
            raise PipelineError(f"row {at + 1:,} of scored pairs {said}: {_AGAIN}")


def _require_once(pairs: pd.DataFrame) -> None:
    numbers = _numbers(pairs)
    again = np.flatnonzero(pd.Series(numbers).duplicated().to_numpy())
    if len(again):
        row, first = int(again[0]), int(np.flatnonzero(numbers == numbers[again[0]])[0])
        questions = " / ".join(excerpt(str(pairs[name].iloc[row])) for name in ("question1", "question2"))
        raise PipelineError(
            f"rows {first + 1:,} and {row + 1:,} of scored pairs are one pair ({questions}): keep one of them"
        )
