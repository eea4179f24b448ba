"""What the tests of silver pairs share: splits of the bundled sample and of real pairs, and vectors without a model."""

import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from small_data import sample_pairs

from pipeline.distillation.folds import fold_of_pairs
from pipeline.distillation.questions import TrainingQuestions
from pipeline.duplicates.vectors import ArrayVectors
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.questions import question_key
from pipeline.question_pairs.schema import DataOrigin, PairTable, Splits
from pipeline.question_pairs.sources import load_pairs
from pipeline.question_pairs.splits import split_pairs

Rows = Sequence[tuple[str, str, bool]]
ORIGIN = DataOrigin(source="made for a test", synthetic=True)
FOLDS = 3


def table_of(rows: Rows) -> PairTable:
    """Pairs of these texts and labels; every mention of a question has an id of its own."""
    frame = pd.DataFrame(
        {
            "pair_id": np.arange(len(rows)),
            "question1_id": np.arange(len(rows)) * 2,
            "question2_id": np.arange(len(rows)) * 2 + 1,
            "question1": pd.Series([row[0] for row in rows], dtype="str"),
            "question2": pd.Series([row[1] for row in rows], dtype="str"),
            "is_duplicate": pd.Series([row[2] for row in rows], dtype=bool),
        }
    )
    return PairTable(frame, ORIGIN)


@cache
def sample_splits() -> Splits:
    """The bundled sample, divided with no question on two sides; not to be changed."""
    return split_pairs(sample_pairs(), SplitPlan())


@cache
def real_splits(path: Path, pairs: int) -> Splits:
    """The first so many pairs of a file of real ones, divided likewise."""
    table = load_pairs(PairSource(source="file", path=str(path)))
    return split_pairs(table.take(np.arange(pairs)), SplitPlan())


def held_out(splits: Splits) -> dict[str, PairTable]:
    """The other sides by their names."""
    return {"the dev split": splits.dev, "the eval split": splits.eval}


def questions_of(splits: Splits, seed: int = 42) -> TrainingQuestions:
    """The training questions of some splits."""
    return TrainingQuestions.of(splits.train, fold_of_pairs(splits.train, FOLDS, seed), held_out(splits))


def keys_of(table: PairTable) -> set[str]:
    """The questions of a table, as plainly as the definition can be said."""
    return {str(text).strip().lower() for name in ("question1", "question2") for text in table.pairs[name]}


def pair_keys(table: PairTable) -> dict[frozenset[str], set[bool]]:
    """The labels of each pair of questions."""
    found: dict[frozenset[str], set[bool]] = {}
    for one, two, label in table.pairs[["question1", "question2", "is_duplicate"]].itertuples(index=False):
        found.setdefault(frozenset([question_key(one), question_key(two)]), set()).add(bool(label))
    return found


def word_vectors(texts: Sequence[str], dimensions: int = 64) -> ArrayVectors:
    """Vectors of length 1 by the words of each text: questions with common words are near each other."""
    vectors = np.zeros((len(texts), dimensions), dtype=np.float32)
    for at, text in enumerate(texts):
        for word in question_key(text).split():
            vectors[at] += np.random.default_rng(zlib.crc32(word.encode())).standard_normal(dimensions)
    return ArrayVectors(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))
