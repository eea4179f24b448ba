"""Corrects the labels of a source by reviewed pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import InputError, excerpt
from pipeline.core.foreign_text import BEGINS_A_FORMULA, without_credentials
from pipeline.question_pairs.audit import Audit, excerpts
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.questions import pair_numbers, question_keys
from pipeline.question_pairs.reading.files import DataFile, Deadline, find_files
from pipeline.question_pairs.reading.forms import MISSING_LABEL, FormPairs
from pipeline.question_pairs.reading.pair_files import read_pair_files

DUPLICATE, OTHER = "to duplicate", "to not duplicate"
CONFIRMED, UNMATCHED, UNLABELLED = "that confirm the label", "that match no pair", "without a label"

_EXAMPLES = 3
_MARKED_FORMULA = f"^'({BEGINS_A_FORMULA.removeprefix('^')})"
"""A text that `for_csv` prefixed with an apostrophe."""


@dataclass(frozen=True)
class _Corrections:
    """The pairs of a file or folder of corrections.

    Attributes:
        questions: first and second questions, large_string of shape (corrections,) each.
        is_duplicate: bool of shape (corrections,).
        places: the row of each, for messages.
        unlabelled: number of rows without a label.
    """

    questions: tuple[pa.Array, pa.Array]
    is_duplicate: np.ndarray
    places: Sequence[str]
    unlabelled: int


def corrected(pairs: pa.Table, audit: Audit, source: PairSource, deadline: Deadline) -> tuple[pa.Table, Audit]:
    """Give every reviewed pair the label of its review, and count the reviews by their effect.

    A review applies to all rows with its two questions, in either order. Questions are compared as everywhere
    (`question_pairs/questions.py`). A row without a label hasn't been reviewed yet.

    Args:
        pairs: question1, question2 (large_string), is_duplicate (bool) and row of each pair of the source.

    Raises:
        PipelineError: when the corrections are missing, unreachable or unreadable.
        InputError: when they have broken rows, or contradict each other.
    """
    name = without_credentials(str(source.corrections))
    found = _read(name, source, deadline)
    first, second, labels = (pairs[column].combine_chunks() for column in ("question1", "question2", "is_duplicate"))
    codes = _pair_codes([first, second], found.questions, [_without_apostrophes(texts) for texts in found.questions])
    of_source, as_written, without = codes
    of_review = np.where(np.isin(as_written, of_source), as_written, without)
    _check_agree(of_review, found, name)
    # One review of each pair, as those of the same pair agree.
    review, at_review = np.unique(of_review, return_index=True)
    at = np.minimum(np.searchsorted(review, of_source), max(len(review) - 1, 0))
    is_reviewed = review[at] == of_source if len(review) else np.zeros(len(of_source), dtype=bool)
    before = np.asarray(labels)
    after = before.copy()
    after[is_reviewed] = found.is_duplicate[at_review][at[is_reviewed]]
    changed = before != after
    changed_reviews, matched_reviews = np.unique(at[changed]), np.unique(at[is_reviewed])
    unmatched = np.sort(np.delete(at_review, matched_reviews))
    to = {DUPLICATE: changed & after, OTHER: changed & ~after}
    examples = {kind: excerpts(flags, pairs) for kind, flags in to.items()}
    examples[UNMATCHED] = tuple(_shown(found, int(row)) for row in unmatched[:_EXAMPLES])
    pairs = pairs.set_column(pairs.schema.get_field_index("is_duplicate"), "is_duplicate", pa.array(after))
    return pairs, replace(
        audit,
        corrected={kind: int(flags.sum()) for kind, flags in to.items()},
        corrections={
            CONFIRMED: len(matched_reviews) - len(changed_reviews),
            UNMATCHED: len(unmatched),
            UNLABELLED: found.unlabelled,
        },
        examples={**audit.examples, **{kind: shown for kind, shown in examples.items() if shown}},
        facts={**audit.facts, "corrections": name.rstrip("/").rpartition("/")[2] or name},
    )


def _read(name: str, source: PairSource, deadline: Deadline) -> _Corrections:
    files = find_files(str(source.corrections), deadline, "corrections")
    parts = read_pair_files(files, name, source, deadline, may_differ=True).parts
    for file, part in zip(files, parts, strict=True):
        broken = [reason for reason in part.rejected if reason != MISSING_LABEL]
        if broken:
            raise InputError(
                f"{file.name}: {part.rejected[broken[0]]:,} rows of corrections are broken: {broken[0]} "
                f"({part.examples[broken[0]][0]}): correct them; a row without a label counts as not reviewed",
                path=file.name,
                rows=part.rejected[broken[0]],
                reason=broken[0],
            )
    joined = pa.concat_tables(part.pairs for part in parts).combine_chunks()
    first, second = (_whole(joined[column]) for column in ("question1", "question2"))
    return _Corrections(
        questions=(first, second),
        is_duplicate=np.asarray(joined["is_duplicate"]),
        places=[place for file, part in zip(files, parts, strict=True) for place in _places(file, part, len(files))],
        unlabelled=sum(part.rejected.get(MISSING_LABEL, 0) for part in parts),
    )


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks else pa.array([], column.type)
    return column


def _places(file: DataFile, part: FormPairs, files: int) -> list[str]:
    of_file = f"{file.name.rpartition('/')[2]}, " if files > 1 else ""
    return [f"{of_file}data row {row + 1:,}" for row in part.pairs["row"].to_pylist()]


def _without_apostrophes(texts: pa.Array) -> pa.Array:
    """The texts as they were before `for_csv` protected them from spreadsheets."""
    return pc.replace_substring_regex(texts, _MARKED_FORMULA, r"\1")


def _pair_codes(*tables: Sequence[pa.Array]) -> list[np.ndarray]:
    """A number for each pair, equal for the same two questions in either order.

    Args:
        tables: first and second questions of the pairs of each table.
    """
    keys = question_keys(pa.concat_arrays([_whole(texts) for table in tables for texts in table]))
    codes = keys.dictionary_encode().indices.to_numpy().astype(np.int64)
    ends = np.cumsum([len(texts) for table in tables for texts in table])[:-1]
    sides = np.split(codes, ends)
    count = int(codes.max()) + 1 if len(codes) else 1
    return [pair_numbers(first, second, count) for first, second in zip(sides[::2], sides[1::2], strict=True)]


def _check_agree(codes: np.ndarray, found: _Corrections, name: str) -> None:
    """Refuse two corrections of one pair to different labels."""
    first_of = pd.Series(np.arange(len(codes))).groupby(codes).transform("min").to_numpy()
    rows = np.flatnonzero(found.is_duplicate != found.is_duplicate[first_of])
    if len(rows):
        row, other = int(rows[0]), int(first_of[rows[0]])
        raise InputError(
            f"{name}: {found.places[other]} and {found.places[row]} correct one pair to both labels "
            f"({_questions(found, row)}): keep one of them",
            path=name,
            rows=(found.places[other], found.places[row]),
        )


def _questions(found: _Corrections, row: int) -> str:
    return " / ".join(excerpt(texts[row].as_py()) for texts in found.questions)


def _shown(found: _Corrections, row: int) -> str:
    return f"{found.places[row]}: {_questions(found, row)}"
