"""Results as tables, and writing them as CSV, Parquet or JSON lines by the file's suffix."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from pipeline.core.errors import ResourceError, SettingError, reason_of
from pipeline.core.files import replacing
from pipeline.core.foreign_text import BEGINS_A_FORMULA, for_csv, for_terminal, shortened
from pipeline.duplicates.corpus import Corpus
from pipeline.duplicates.mining import MinedCorpus
from pipeline.models.decision import Decision
from pipeline.vectors.nearest import Neighbours

SUFFIXES = (".csv", ".parquet", ".jsonl")
_ROWS_AT_ONCE = 10_000


def compared_table(
    table: pa.Table, cosine: np.ndarray, probability: np.ndarray | None, threshold: float | None
) -> pa.Table:
    """The columns of a file of pairs, followed by cosine, probability and decision.

    If the file has a column of one of these names, the added one gets the prefix `model_`.

    Args:
        cosine: of shape (rows,).
        probability, threshold: None for a model that carries no decision; their columns are left out then.
    """
    added = {"cosine": pa.array(cosine, pa.float32())}
    if probability is not None and threshold is not None:
        added |= {"probability": pa.array(probability, pa.float64()), "same": pa.array(cosine >= threshold)}
    for name, column in added.items():
        free = name
        while free in table.column_names:
            free = f"model_{free}"
        table = table.append_column(free, column)
    return table


def pairs_table(mined: MinedCorpus) -> pa.Table:
    """The pairs at or above the threshold, the most similar first.

    `row1` and `row2` are the first rows of the source that ask these questions, counted from 1 without the header.
    """
    pairs, texts = mined.pairs, pa.array(mined.corpus.texts, pa.large_string())
    row = _first_rows(mined.corpus)
    columns = {
        "row1": pa.array(row[pairs.first] // mined.corpus.per_row + 1),
        "row2": pa.array(row[pairs.second] // mined.corpus.per_row + 1),
        "question1": texts.take(pa.array(pairs.first)),
        "question2": texts.take(pa.array(pairs.second)),
        "cosine": pa.array(pairs.cosine),
    }
    probability = mined.probability(pairs.cosine)
    return pa.table(columns if probability is None else {**columns, "probability": pa.array(probability)})


def clusters_table(mined: MinedCorpus) -> pa.Table:
    """Every row in a cluster: its cluster, and its cosine to the representative.

    The clusters with most rows come first, in each the representative and then the most similar. A cluster's
    `weakest_link` is the lowest cosine of a member to the representative.
    """
    corpus, clusters = mined.corpus, mined.clusters
    rows = np.flatnonzero(corpus.rows >= 0)
    question = corpus.rows[rows]
    representative = clusters.representative[question]
    size = np.bincount(representative, minlength=len(corpus))
    kept = size[representative] > 1
    rows, question, representative = rows[kept], question[kept], representative[kept]
    cosine = clusters.cosine[question]
    is_representative = question == representative
    order = np.lexsort((rows, -cosine, ~is_representative, representative, -size[representative]))
    rows, question, representative = rows[order], question[order], representative[order]
    cosine, is_representative = cosine[order], is_representative[order]
    weakest = np.ones(len(corpus), dtype=np.float32)
    np.minimum.at(weakest, representative, cosine)
    number = np.cumsum(np.concatenate([[1], (np.diff(representative) != 0).astype(np.int64)])) if len(rows) else rows
    columns = {
        "cluster": pa.array(number),
        "rows_in_cluster": pa.array(size[representative]),
        "row": pa.array(rows // corpus.per_row + 1),
        "question": pa.array(corpus.texts, pa.large_string()).take(pa.array(question)),
        "is_representative": pa.array(is_representative),
        "cosine": pa.array(cosine),
    }
    probability = mined.probability(cosine)
    if probability is not None:
        columns["probability"] = pa.array(np.where(is_representative, 1.0, probability))
    return pa.table({**columns, "weakest_link": pa.array(weakest[representative])})


def found_table(corpus: Corpus, found: Neighbours, decision: Decision | None) -> pa.Table:
    """The results of a search, the most similar first, with probability and decision if the model has one."""
    columns = {
        "row": pa.array(_first_rows(corpus)[found.indices] // corpus.per_row + 1),
        "question": pa.array([corpus.texts[number] for number in found.indices], pa.large_string()),
        "cosine": pa.array(found.cosine),
    }
    if decision:
        columns["probability"] = pa.array(decision.calibration.probability(found.cosine))
        columns["same"] = pa.array(found.cosine >= decision.threshold)
    return pa.table(columns)


def _first_rows(corpus: Corpus) -> np.ndarray:
    """The first row that asks each question, from 0: int64 of shape (questions,)."""
    rows = np.flatnonzero(corpus.rows >= 0)
    first = np.full(len(corpus), len(corpus.rows), dtype=np.int64)
    np.minimum.at(first, corpus.rows[rows], rows)
    return first


def require_suffix(path: Path) -> None:
    """Check the name of an output file before any work is done.

    Raises:
        PipelineError: when it names no format, or is a folder.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingError(f"{path} names no format: end it in {', '.join(SUFFIXES)}", path=path)
    if path.is_dir():
        raise SettingError(f"{path} is a folder: name a file", path=path)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table; an existing file is replaced only when all of it is written.

    In CSV a text that a spreadsheet would take for a formula gets an apostrophe before it.

    Raises:
        PipelineError: when the file can't be written.
    """
    require_suffix(path)
    try:
        with replacing(path) as temporary:
            match path.suffix.lower():
                case ".csv":
                    csv.write_csv(without_formulas(table), temporary)
                case ".parquet":
                    parquet.write_table(table, temporary, compression="zstd")
                case _:
                    with temporary.open("w", encoding="utf-8") as file:
                        file.writelines(_json_lines(table))
    except OSError as error:
        raise ResourceError(f"can't write {path} ({reason_of(error)}): choose another file", path=path) from error


def without_formulas(table: pa.Table) -> pa.Table:
    """The table with an apostrophe before each text that a spreadsheet would take for a formula."""
    for at, field in enumerate(table.schema):
        column = table.column(at)
        if not (pa.types.is_string(field.type) or pa.types.is_large_string(field.type)):
            if pa.types.is_nested(field.type):
                # CSV has no lists: as JSON, which begins with a bracket.
                texts = [json.dumps(value, ensure_ascii=False, default=str) for value in column.to_pylist()]
                table = table.set_column(at, field.name, pa.array(texts, pa.large_string()))
            continue
        begins = pc.fill_null(pc.match_substring_regex(column, BEGINS_A_FORMULA), False)
        if pc.any(begins).as_py():
            apostrophe = pa.scalar("'", field.type)
            marked = pc.binary_join_element_wise(apostrophe, column, pa.scalar("", field.type))
            table = table.set_column(at, field.name, pc.if_else(begins, marked, column))
    names = [for_csv(name) for name in table.column_names]
    return table.rename_columns(names)


def _json_lines(table: pa.Table) -> Iterator[str]:
    for start in range(0, len(table), _ROWS_AT_ONCE):
        for row in table.slice(start, _ROWS_AT_ONCE).to_pylist():
            yield json.dumps(row, ensure_ascii=False, default=str) + "\n"


def shown(text: str, width: int = 80) -> str:
    """A text as a terminal may show it, in one line of at most `width` characters."""
    return shortened(for_terminal(text), width)
