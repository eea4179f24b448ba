"""Read questions to search or mine, and tables of pairs to compare, from any file that the dataset reader accepts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import InputError, excerpt, listing
from pipeline.core.files import VERSION_LENGTH
from pipeline.core.foreign_text import without_credentials
from pipeline.question_pairs.questions import question_keys
from pipeline.question_pairs.reading.files import (
    COMPRESSED_SUFFIXES,
    DataFile,
    Deadline,
    find_files,
    read_bytes,
)
from pipeline.question_pairs.reading.pair_files import open_table
from pipeline.question_pairs.reading.table_file import BOM, Limits, RawRows, TableFile, readable
from pipeline.question_pairs.schema import PairTable

TEXT_COLUMNS = ("question", "text", "sentence", "query", "title")
"""Names of a column of texts that are known."""

PAIR_COLUMNS = (("question1", "question2"), ("sentence1", "sentence2"), ("anchor", "positive"))
_LIMITS = Limits(max_bytes=1 << 36, max_rows=1_000_000_000)
_MOST_SECONDS = 3_600
"""For a source that isn't on a disk of this machine."""


@dataclass(frozen=True)
class Corpus:
    """Distinct questions, and which of them each row of their source asks.

    Texts that differ in letter case or outer blanks ask the same question; its first wording stands for it.

    Attributes:
        name: what people call the source.
        texts: the questions, in order of first appearance.
        rows: number of the question that each text of the source asks, int64 of shape (texts of the source,), row by
            row; -1 for a blank one.
        per_row: how many texts a row of the source has: 2 where it has pairs.
    """

    name: str
    texts: list[str]
    rows: np.ndarray
    per_row: int = 1

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def of(cls, name: str, texts: Sequence[str] | pa.Array, per_row: int = 1) -> "Corpus":
        """The corpus of some texts, blank ones among them."""
        column = texts if isinstance(texts, pa.Array) else pa.array(list(texts), pa.large_string())
        if not len(column):
            return cls(name, [], np.empty(0, dtype=np.int64), per_row)
        keys = question_keys(column)
        codes, distinct = pd.factorize(keys.to_numpy(zero_copy_only=False))
        blank = np.flatnonzero(np.asarray(distinct) == "")
        first = np.unique(codes, return_index=True)[1]
        kept = np.setdiff1d(np.arange(len(distinct)), blank)
        number = np.full(len(distinct), -1, dtype=np.int64)
        number[kept] = np.arange(len(kept))
        return cls(name, column.take(pa.array(first[kept])).to_pylist(), number[codes], per_row)

    @classmethod
    def of_pairs(cls, table: PairTable) -> "Corpus":
        """The questions of a table of pairs: each pair has two rows, one after the other."""
        both = table.pairs[["question1", "question2"]].to_numpy(object).ravel()
        return cls.of(table.origin.source, pa.array(both, pa.large_string()), per_row=2)

    @property
    def blank(self) -> int:
        """How many rows are blank."""
        return int((self.rows < 0).sum())

    @property
    def repeated(self) -> int:
        """How many rows ask what an earlier one does, in the same words."""
        return len(self.rows) - self.blank - len(self.texts)

    @cached_property
    def copies(self) -> np.ndarray:
        """How many rows ask each question: int64 of shape (questions,)."""
        return np.bincount(self.rows[self.rows >= 0], minlength=len(self.texts))

    @cached_property
    def version(self) -> str:
        """Content hash of the questions, in their order."""
        digest = hashlib.sha256()
        for text in self.texts:
            encoded = text.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "little") + encoded)
        return digest.hexdigest()[:VERSION_LENGTH]

    def require_questions(self) -> "Corpus":
        """This corpus.

        Raises:
            PipelineError: when it has no question.
        """
        if not self.texts:
            raise InputError(
                f"{self.name} has no questions: all of its {len(self.rows):,} rows are blank",
                source=self.name,
                rows=len(self.rows),
            )
        return self


def read_corpus(location: str, column: str | None = None) -> Corpus:
    """Read the questions of a file, a folder of files or an fsspec URL.

    Args:
        column: the column that holds them. By default the only one there is, one that is called question, text,
            sentence, query or title, or both questions of each pair. A file that ends in .txt has one a line.

    Raises:
        PipelineError: when it can't be read, or it isn't clear which column is meant.
    """
    deadline = Deadline(_MOST_SECONDS)
    files = find_files(location, deadline)
    parts = [_texts_of(file, column, deadline) for file in files]
    if len({width for _, width in parts}) > 1:
        raise InputError(
            f"{location} mixes files of single questions and of pairs: keep those of one kind", source=location
        )
    shown = without_credentials(location)
    name = shown.rstrip("/").rpartition("/")[2] or shown
    return Corpus.of(name, pa.concat_arrays([texts for texts, _ in parts]), parts[0][1]).require_questions()


def _texts_of(file: DataFile, column: str | None, deadline: Deadline) -> tuple[pa.Array, int]:
    """The texts of a file row by row, and how many a row has."""
    data = read_bytes(file, _LIMITS.max_bytes, deadline)
    if column is None and _is_plain_text(file.name):
        return _lines(data, file.name), 1
    with readable(file.name):
        table = open_table(data, file.name, _LIMITS.max_bytes)
        names = _text_columns(table, file.name, column)
        columns = [
            _as_texts(part, name, file.name) for name, part in zip(names, _read(table, names, file), strict=True)
        ]
    n, width = len(columns[0]), len(columns)
    return pa.concat_arrays(columns).take(pa.array(np.arange(width * n).reshape(width, n).T.ravel())), width


def _is_plain_text(name: str) -> bool:
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes if suffix.lower() not in COMPRESSED_SUFFIXES]
    return suffixes[-1:] == [".txt"]


def _lines(data: pa.Buffer, name: str) -> pa.Array:
    raw = data.to_pybytes().removeprefix(BOM)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(
            f"can't read questions from {name}: it is no UTF-8 but looks like UTF-16: save it as UTF-8", file=name
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"can't read questions from {name}: line {line:,} is no UTF-8: save the file as UTF-8", file=name, line=line
        ) from error
    if "\0" in text:
        raise InputError(f"can't read questions from {name}: it has NUL bytes, so it is no text", file=name)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return pa.array(lines[:-1] if lines[-1] == "" else lines, pa.large_string())


def _text_columns(table: TableFile, name: str, wanted: str | None) -> list[str]:
    found = table.columns
    if wanted is not None:
        if found.count(wanted) == 1:
            return [wanted]
        there = "has it twice" if wanted in found else f"has: {listing(found)}"
        raise InputError(
            f"{name} has no single column {excerpt(wanted)}; it {there}; name another with --column",
            file=name,
            column=wanted,
        )
    for pair in PAIR_COLUMNS:
        if set(pair) <= set(found):
            return [*pair, *(["negative"] if pair[0] == "anchor" and "negative" in found else [])]
    known = [column for column in found if column.strip().lower() in TEXT_COLUMNS]
    if len(known) == 1 or len(found) == 1:
        return [known[0] if known else found[0]]
    raise InputError(
        f"which column of {name} holds the questions? It has: {listing(found)}; name one with --column",
        file=name,
        columns=found,
    )


def _read(table: TableFile, names: Sequence[str], file: DataFile) -> list[pa.ChunkedArray]:
    """The columns, of a file without broken rows: an answer to a part of a file looks like one to the whole."""
    if twice := [name for name in names if table.columns.count(name) > 1]:
        raise InputError(
            f"{file.name} has the column {excerpt(twice[0])} more than once: rename all but one",
            file=file.name,
            column=twice[0],
        )
    raw: RawRows = table.read(names, _LIMITS)
    if raw.malformed:
        raise InputError(
            f"{file.name}: {raw.malformed:,} rows have another number of fields than the header (the first: "
            f"{raw.examples[0]}): enclose texts that have a separator in quotes",
            file=file.name,
            rows=raw.malformed,
        )
    return [raw.table.column(name) for name in names]


def _as_texts(column: pa.ChunkedArray, name: str, file: str) -> pa.Array:
    kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_temporal(kind) or pa.types.is_binary(kind):
        raise InputError(
            f"the column {excerpt(name)} of {file} holds {kind}, not texts: name another one", file=file, column=name
        )
    texts = pc.cast(column, pa.large_string()).combine_chunks()
    whole = pa.concat_arrays(texts.chunks) if isinstance(texts, pa.ChunkedArray) else texts
    return pc.fill_null(whole, "") if whole.null_count else whole


@dataclass(frozen=True)
class ComparedPairs:
    """A file of pairs to compare.

    Attributes:
        table: all its columns, in their order and types.
        pairs: the two texts of each row.
    """

    table: pa.Table
    pairs: list[tuple[str, str]]


def read_compared(location: str, first: str | None = None, second: str | None = None) -> ComparedPairs:
    """Read a file of pairs, whole.

    Args:
        first, second: the columns that hold the two texts; by default question1 and question2, or sentence1 and
            sentence2.

    Raises:
        PipelineError: when it can't be read, or lacks a column.
    """
    deadline = Deadline(_MOST_SECONDS)
    files = find_files(location, deadline)
    if len(files) != 1:
        raise InputError(
            f"{location} is a folder of {len(files):,} files: name one file of pairs", source=location, files=len(files)
        )
    with readable(files[0].name):
        table = open_table(read_bytes(files[0], _LIMITS.max_bytes, deadline), files[0].name, _LIMITS.max_bytes)
        names = next(
            (list(pair) for pair in PAIR_COLUMNS[:2] if set(pair) <= set(table.columns)), ["question1", "question2"]
        )
        names = [first or names[0], second or names[1]]
        if missing := [name for name in names if name not in table.columns]:
            raise InputError(
                f"{files[0].name} lacks the column {excerpt(missing[0])}; it has: {listing(table.columns)}; name the "
                "two that hold the questions with --first and --second",
                file=files[0].name,
                column=missing[0],
            )
        whole = pa.table(dict(zip(table.columns, _read(table, table.columns, files[0]), strict=True)))
        texts = [_as_texts(whole.column(name), name, files[0].name).to_pylist() for name in names]
    return ComparedPairs(whole, list(zip(*texts, strict=True)))
