"""Mine a corpus and review its labels, as one stored value: the work of the job `mine`."""

from collections.abc import Callable

import pyarrow as pa

from pipeline.core.progress import OnProgress, ignore
from pipeline.duplicates.chosen_model import ChosenModel
from pipeline.duplicates.corpus import Corpus
from pipeline.duplicates.labelled import thresholds_compared
from pipeline.duplicates.mining import mine_corpus
from pipeline.duplicates.mining_report import mining_report
from pipeline.duplicates.options import MiningOptions
from pipeline.duplicates.review import Embed, likely_wrong_labels
from pipeline.duplicates.stored import (
    CLUSTERS_TABLE,
    PAIRS_TABLE,
    REPORT_FILE,
    REVIEW_TABLE,
    MinedDuplicates,
    as_parquet,
    hashes,
)
from pipeline.duplicates.tables import clusters_table, pairs_table
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.questions import question_keys
from pipeline.question_pairs.schema import Splits
from pipeline.vectors.blocks import Vectors
from pipeline.vectors.pairs import Engine


def mine_and_review(
    corpus: Corpus,
    vectors: Vectors,
    chosen: ChosenModel,
    options: MiningOptions,
    splits: Splits,
    base: ModelInfo,
    embed: Callable[[ModelInfo], Embed],
    engine: Engine,
    on_progress: OnProgress = ignore,
) -> tuple[MinedDuplicates, dict[str, bytes], str]:
    """Mine a corpus, compare the result with held-out pairs of this corpus if there are any, and review all labels.

    Args:
        embed: returns a function that embeds texts with a model.
        engine: finds the pairs.

    Returns:
        The value, its files by name (tables and report), and the report.

    Raises:
        PipelineError: when the model has no threshold, or there are too many pairs.
    """
    mined = mine_corpus(corpus, vectors, chosen, options, engine, on_progress)
    figures = thresholds_compared(mined, splits.eval) if _are_of(corpus, splits) else []
    report = mining_report(mined, chosen.said, engine, figures)
    files = {
        PAIRS_TABLE: as_parquet(pairs_table(mined)),
        CLUSTERS_TABLE: as_parquet(clusters_table(mined)),
        REVIEW_TABLE: as_parquet(likely_wrong_labels(splits, chosen.decision, embed(chosen.info), embed(base))),
        REPORT_FILE: report.encode(),
    }
    value = MinedDuplicates(
        corpus_version=corpus.version,
        model_version=chosen.info.version,
        floor=mined.candidates.floor,
        threshold=mined.threshold,
        candidates=len(mined.candidates),
        pairs=len(mined.pairs),
        prior=mined.prior.share if mined.prior else None,
        duplicate_ratio=mined.pairs.duplicate_ratio,
        clusters=mined.clusters.count,
        removable=mined.removable,
        engine=engine.name,
        recall=engine.recall,
        sha256=hashes(files),
    )
    return value, files, report


def _are_of(corpus: Corpus, splits: Splits) -> bool:
    """Whether a held-out pair has both questions in the corpus."""
    known = set(question_keys(pa.array(corpus.texts, pa.large_string())).to_pylist())
    first, second = (
        question_keys(pa.array(splits.eval.pairs[name].to_numpy(object), pa.large_string())).to_pylist()
        for name in ("question1", "question2")
    )
    return any(a in known and b in known for a, b in zip(first, second, strict=True))
