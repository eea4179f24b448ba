"""Cuts labelled pairs into folds that have no question in common."""

import heapq

import numpy as np

from pipeline.core.errors import PipelineError, counted
from pipeline.core.progress import LogLine, OnProgress, ignore
from pipeline.question_pairs.questions import question_components
from pipeline.question_pairs.schema import PairTable


def fold_of_pairs(table: PairTable, folds: int, seed: int, on_progress: OnProgress = ignore) -> np.ndarray:
    """Give every pair a fold so that no question stands in two folds, and the folds are about equally large.

    Pairs that share a question, directly or by a chain, stay together. The largest of such components goes first, each
    into the fold with the fewest pairs, and the seed decides between equals (the rule of longest processing time:
    Graham, "Bounds on Multiprocessing Timing Anomalies", SIAM J. Appl. Math. 17, 1969). A component that is larger
    than a fold's share is allowed, and a log line says so, as its fold is then larger than the others.

    Returns:
        int64 of shape (pairs,): from 0 to below `folds`.

    Raises:
        PipelineError: for fewer than two folds, or when there are fewer components than folds.
    """
    if folds < 2:
        raise PipelineError(f"pairs can't be cut into {counted(folds, 'fold')}: a teacher needs others to learn from")
    component = question_components(table.pairs) if len(table) else np.empty(0, dtype=np.int64)
    sizes = np.bincount(component)
    if len(sizes) < folds:
        raise PipelineError(
            f"{counted(len(table), 'pair')} of {table.origin.source} can't be cut into {folds} folds: by their common "
            f"questions they are only {counted(len(sizes), 'component')}; take fewer folds or bring more pairs"
        )
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(sizes))
    largest_first = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    # (pairs, rank among equals, fold)
    filled = [(0, int(rank), fold) for fold, rank in enumerate(generator.permutation(folds))]
    heapq.heapify(filled)
    of_component = np.empty(len(sizes), dtype=np.int64)
    for number, size in zip(largest_first.tolist(), sizes[largest_first].tolist(), strict=True):
        pairs, rank, fold = filled[0]
        of_component[number] = fold
        heapq.heapreplace(filled, (pairs + size, rank, fold))
    share = len(table) / folds
    if sizes.max() > share:
        on_progress(
            LogLine(
                f"{sizes.max():,} of {len(table):,} pairs hang together by their questions, more than a fold's share "
                f"of {share:,.0f}: they are a fold by themselves, and the folds are not equally large"
            )
        )
    folds_of_pairs: np.ndarray = of_component[component]
    return folds_of_pairs
