"""Accounts for every row of a source: kept, rejected or dropped; repeated, contradictory, with unusable ids."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import excerpt
from pipeline.core.tables import Table
from pipeline.question_pairs.questions import DistinctQuestions, pair_numbers

_EXAMPLES = 3

CONTRADICTORY = "contradictory"
REPEATED = "repeated"
MIRRORED = "mirrored"
BLANK = "with a blank question"
BEYOND_FRACTION = "beyond the fraction to use"

QUESTION_IDS = ("question1_id", "question2_id")


@dataclass(frozen=True)
class Audit:
    """What became of the rows of a source. All counts are pairs: a row of triplets counts for two.

    Attributes:
        read: pairs in the source.
        rejected: pairs left out because they are broken, by reason.
        dropped: pairs left out by the settings, by reason.
        corrected: pairs whose label was corrected, by their new label.
        corrections: corrections that changed no label, by reason.
        found: pairs worth knowing of, by kind. Kinds overlap, and the pairs are kept unless they were dropped.
        examples: a few excerpts for each reason or kind.
        facts: how the source was read, such as its form, format and commit.
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
        """Pairs that are in the dataset: those read, less the rejected and the dropped."""
        return self.read - sum(self.rejected.values()) - sum(self.dropped.values())

    @property
    def table(self) -> Table:
        """The counts, with examples."""
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
    """Which rows repeat another row. Arrays of shape (n,), one flag a pair.

    Attributes:
        contradictory: another row has the same two questions and the other label.
        repeated: an earlier row has the same two questions in the same order.
        mirrored: the first row with these two questions has them in the other order.
    """

    contradictory: np.ndarray
    repeated: np.ndarray
    mirrored: np.ndarray


def repetitions(first: np.ndarray, second: np.ndarray, is_duplicate: np.ndarray) -> Repetitions:
    """Find pairs that are in the table more than once.

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
    """Excerpts of the first flagged pairs."""
    rows = np.flatnonzero(flags)[:_EXAMPLES]
    shown = pairs.take(rows).select(["row", "question1", "question2"]).to_pylist()
    return tuple(
        f"data row {row['row'] + 1:,}: {excerpt(row['question1'])} / {excerpt(row['question2'])}" for row in shown
    )


def blank(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Which texts are empty or only whitespace."""
    return np.asarray(pc.equal(pc.utf8_trim_whitespace(texts), ""))


def unsound_ids(
    ids: Mapping[str, pa.Array], index: DistinctQuestions, is_duplicate: np.ndarray, rows: np.ndarray
) -> dict[str, str]:
    """Find ids that stand for several questions or pairs, with a reason for each.

    Ids that begin at 0 in each file of a folder, or in each column, do. Questions that differ only in letter case and
    outer blanks are one question.

    Args:
        ids: `pair_id`, `question1_id` and `question2_id`, as far as the source has them, each of shape (pairs,).
        index: of the pairs' questions.
        is_duplicate: the labels, of shape (pairs,).
        rows: the number of each pair in its source, from 0, of shape (pairs,).
    """
    found: dict[str, str] = {}
    if all(name in ids for name in QUESTION_IDS):
        numbers = np.concatenate([np.asarray(ids[name]) for name in QUESTION_IDS])
        questions = np.concatenate([index.first_question, index.second_question])
        if (clash := _first_clash(numbers, questions)) is not None:
            texts = np.concatenate([index.first, index.second])
            shown = " and ".join(
                f"{excerpt(index.texts[texts[at]])} (data row {rows[at % len(rows)] + 1:,})" for at in clash
            )
            found |= dict.fromkeys(
                QUESTION_IDS, f"id {numbers[clash[0]]} stands for several questions, such as {shown}"
            )
    if "pair_id" in ids:
        numbers = np.asarray(ids["pair_id"])
        width = index.questions + 1
        pairs = (index.first_question * width + index.second_question) * 2 + is_duplicate
        if (clash := _first_clash(numbers, pairs)) is not None:
            first, second = (f"{rows[at] + 1:,}" for at in clash)
            found["pair_id"] = (
                f"id {numbers[clash[0]]} stands for several pairs, such as data rows {first} and {second}"
            )
    return found


def _first_clash(ids: np.ndarray, meanings: np.ndarray) -> tuple[int, int] | None:
    """Positions of the first two equal ids with different meanings, or None."""
    codes, distinct = pd.factorize(ids)
    if len(distinct) == len(ids):
        return None
    first_of = np.full(len(distinct), -1, dtype=np.int64)
    first_of[codes[::-1]] = np.arange(len(ids) - 1, -1, -1)
    clashes = np.flatnonzero(meanings[first_of[codes]] != meanings)
    return (int(first_of[codes[clashes[0]]]), int(clashes[0])) if len(clashes) else None
