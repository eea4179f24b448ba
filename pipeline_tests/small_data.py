"""Small tables of pairs: made-up ones, the bundled sample, and a file of some of its pairs."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.schema import DataOrigin, PairTable
from pipeline.question_pairs.sources import load_pairs


def pair_table(question1: Sequence[str], question2: Sequence[str], is_duplicate: Sequence[bool]) -> PairTable:
    """A table of made-up pairs, each of whose questions has an id of its own."""
    ids = np.arange(len(question1))
    columns = {
        "pair_id": ids,
        "question1_id": 2 * ids,
        "question2_id": 2 * ids + 1,
        "question1": pd.Series(list(question1), dtype=object),
        "question2": pd.Series(list(question2), dtype=object),
        "is_duplicate": pd.Series(list(is_duplicate), dtype=bool),
    }
    return PairTable(pd.DataFrame(columns), DataOrigin(source="made-up pairs", synthetic=True))


@cache
def sample_pairs() -> PairTable:
    """The bundled sample, read once; tests must not change it."""
    return load_pairs(PairSource())


def write_small_pairs(path: Path) -> Path:
    """Write 240 pairs of the sample as TSV, with the columns of Quora's release."""
    pairs = sample_pairs().pairs.head(240)
    columns = {"pair_id": "id", "question1_id": "qid1", "question2_id": "qid2"}
    pairs.rename(columns=columns).astype({"is_duplicate": int}).to_csv(path, sep="\t", index=False)
    return path
