"""A file of few question pairs, for tests that start processes."""

from pathlib import Path

import pandas as pd

from pipeline.question_pairs.sample.generator import bundled_sample


def write_small_pairs(path: Path) -> Path:
    """Write 240 generated pairs as TSV, in the columns of Quora's release, by row number."""
    pairs: pd.DataFrame = bundled_sample().head(240)
    columns = {"pair_id": "id", "question1_id": "qid1", "question2_id": "qid2"}
    pairs.rename(columns=columns).astype({"is_duplicate": int}).to_csv(path, sep="\t", index=False)
    return path
