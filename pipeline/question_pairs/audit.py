"""Accounts for every row of a source: kept, rejected or dropped, and which pairs say the same or contradict."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import excerpt
from pipeline.core.tables import Table
from pipeline.question_pairs.questions import pair_numbers

_EXAMPLES = 3

CONTRADICTORY = "contradictory"
REPEATED = "repeated"
MIRRORED = "mirrored"
BLANK = "with a blank question"
BEYOND_FRACTION = "beyond the fraction to use"


@dataclass(frozen=True)
class Audit:
    """What became of the rows of a source. All counts are pairs: a row of triplets counts for two.

    Attributes:
        read: pairs in the source.
        rejected: pairs left out since they are broken, by reason.
        dropped: pairs left out since the settings say so, by reason.
        corrected: pairs whose label was corrected, by the label that they have now.
        corrections: what else became of the corrections; they count pairs of the file of corrections.
        found: pairs that a person should know of, by kind; they overlap, and are kept unless they were dropped.
        examples: for each reason or kind a few excerpts.
        facts: how the source was read: its form, format, commit and so on.
    """

    read: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    corrected: Mapping[str, int] = field(default_factory=dict)
    corrections: Mapping[str, int] = field(default_factory=dict)
    found: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    facts: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """Pairs that are in the dataset: those read, but for the rejected and the dropped."""
        return self.read - sum(self.rejected.values()) - sum(self.dropped.values())

    @property
    def table(self) -> Table:
        """The account, with examples."""
        rows = [("read", f"{self.read:,}", "")]
        for verb, counts in (("rejected", self.rejected), ("dropped", self.dropped)):
            rows += [self._row(verb, name, count) for name, count in counts.items()]
        rows.append(("kept", f"{self.kept:,}", ""))
        others = (("corrected", self.corrected), ("corrections", self.corrections), ("found", self.found))
        for verb, counts in others:
            rows += [self._row(verb, name, count) for name, count in counts.items()]
        return Table("What became of each row", ("", "pairs", "examples"), tuple(rows), texts=3)

    def _row(self, verb: str, name: str, count: int) -> tuple[str, str, str]:
        return f"{verb}: {name}", f"{count:,}", "; ".join(self.examples.get(name, ()))


@dataclass(frozen=True)
class Repetitions:
    """Which rows say again what another row says. Arrays of shape (n,), one flag a pair.

    Attributes:
        contradictory: the same two questions stand elsewhere with the other label.
        repeated: an earlier row has the same two questions in the same order.
        mirrored: the first row with these two questions has them the other way round.
    """

    contradictory: np.ndarray
    repeated: np.ndarray
    mirrored: np.ndarray


def repetitions(first: np.ndarray, second: np.ndarray, is_duplicate: np.ndarray) -> Repetitions:
    """Find pairs that stand in the table more than once.

    Args:
        first: number of each pair's first question, equal for the same question, from 0; int64 of shape (n,).
        second: the same for the second question.
        is_duplicate: the labels, bool of shape (n,).
    """
    if not len(first):
        none = np.zeros(0, dtype=bool)
        return Repetitions(none, none, none)
    pair, _ = pd.factorize(pair_numbers(first, second, int(max(first.max(), second.max())) + 1))
    turned = first > second
    counts = np.bincount(pair)
    duplicates = np.bincount(pair, weights=is_duplicate)
    contradicts = (duplicates > 0) & (duplicates < counts)
    # `factorize` numbers pairs in order of first appearance: the first row of each is where its number is new.
    first_rows = np.flatnonzero(~pd.Series(pair).duplicated().to_numpy())
    return Repetitions(
        contradictory=contradicts[pair],
        repeated=pd.Series(2 * pair + turned).duplicated().to_numpy(),
        mirrored=turned != turned[first_rows][pair],
    )


def excerpts(flags: np.ndarray, pairs: pa.Table) -> tuple[str, ...]:
    """The first flagged pairs, as a person wants to see them."""
    rows = np.flatnonzero(flags)[:_EXAMPLES]
    shown = pairs.take(rows).select(["row", "question1", "question2"]).to_pylist()
    return tuple(
        f"data row {row['row'] + 1:,}: {excerpt(row['question1'])} / {excerpt(row['question2'])}" for row in shown
    )


def blank(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Which texts are empty or only whitespace."""
    return np.asarray(pc.equal(pc.utf8_trim_whitespace(texts), ""))
