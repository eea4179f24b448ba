"""Results as tables for people: what each row of a file came to."""

import numpy as np
import pyarrow as pa

from pipeline.duplicates.corpus import Corpus
from pipeline.duplicates.mining import MinedCorpus
from pipeline.models.decision import Decision
from pipeline.vectors.nearest import Neighbours


def compared_table(
    table: pa.Table, cosine: np.ndarray, probability: np.ndarray | None, threshold: float | None
) -> pa.Table:
    """The columns of a file of pairs, and behind them cosine, probability and decision.

    A column of the file that has one of these names already keeps it; ours get `model_` before theirs.

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
    """The pairs that count as duplicates, the most similar first.

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
    """Every row that asks the same as another one: its cluster, and how it is linked to the representative.

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
    """What a search found, the most similar first, with probability and decision where the model has one."""
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
