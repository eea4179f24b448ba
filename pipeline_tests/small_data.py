"""The bundled sample, which takes a second to generate and so is generated once, and a file of few of its pairs."""

from functools import cache
from pathlib import Path

from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.schema import PairTable
from pipeline.question_pairs.sources import load_pairs


@cache
def sample_pairs() -> PairTable:
    """The bundled sample, as the default source gives it; not to be changed."""
    return load_pairs(PairSource())


def write_small_pairs(path: Path) -> Path:
    """Write 240 generated pairs as TSV, in the columns of Quora's release, by row number."""
    pairs = sample_pairs().pairs.head(240)
    columns = {"pair_id": "id", "question1_id": "qid1", "question2_id": "qid2"}
    pairs.rename(columns=columns).astype({"is_duplicate": int}).to_csv(path, sep="\t", index=False)
    return path
