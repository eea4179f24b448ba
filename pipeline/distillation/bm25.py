"""Finds for each question those that share the most telling words with it: BM25, by the library bm25s.

bm25s (MIT licence, needs numpy alone) computes the score of every word in every question once, in the variant of Lucene
(Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations and Trends in Information
Retrieval 3, 2009; Lù, "BM25S", arXiv 2407.03618). The best of each question are chosen here, since the library's choice
among equal scores depends on the processor.
"""

import logging
import re
from typing import Any

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.progress import Advanced, OnProgress, ignore
from pipeline.distillation.questions import Fold, TrainingQuestions
from pipeline.question_pairs.questions import question_key

STAGE = "looking for questions with the same words"
_BLOCK = 1_024
_WORD = re.compile(r"\w+")
"""Words of one letter count: they tell C from R. Frequent words weigh little by themselves, so none are left out."""


def pairs_by_bm25(
    questions: TrainingQuestions, top: int, on_progress: OnProgress = ignore
) -> tuple[np.ndarray, np.ndarray]:
    """The `top` questions of the same fold with the highest score for each question, labelled partners left out.

    Of equal scores the lower number counts. A question that shares no word with another has none. Languages that put no
    blanks between words have whole sentences for words, so next to nothing is found there.

    Returns:
        Numbers of both questions, int64 of shape (pairs,) each; a pair may stand there both ways round. They are the
        same on every machine and with any number of threads; one thread works, in the memory of one fold's words.

    Raises:
        PipelineError: when bm25s isn't installed.
    """
    bm25s = _bm25s()
    found = [np.empty((2, 0), dtype=np.int64)]
    done, total = 0, int((questions.fold >= 0).sum())
    on_progress(Advanced(STAGE, done, total))
    for fold in questions.folds():
        words = [_WORD.findall(question_key(questions.texts[number])) for number in fold.members]
        if any(words):
            index = bm25s.BM25(method="lucene", backend="numpy", csc_backend="numpy")
            index.index(words, create_empty_token=False, show_progress=False)
            for start in range(0, len(words), _BLOCK):
                block = range(start, min(start + _BLOCK, len(words)))
                best = [_best(index, words[at], fold, at, top) for at in block]
                first = np.repeat(np.array(block), list(map(len, best)))
                found.append(fold.members[np.stack([first, np.concatenate(best)])])
                on_progress(Advanced(STAGE, done + block.stop, total))
        done += len(words)
    first, second = np.concatenate(found, axis=1)
    return first, second


def _best(index: Any, words: list[str], fold: Fold, position: int, top: int) -> np.ndarray:
    """Positions in the fold of the best for one question, best first: int64 of shape (at most top,)."""
    if not words:
        return np.empty(0, dtype=np.int64)
    scores = index.get_scores_from_ids(index.get_tokens_ids(words))
    scores[fold.excluded.of(position)] = 0
    least = np.partition(scores, -top)[-top] if top < len(scores) else 0
    hopeful = np.flatnonzero(scores >= least) if least > 0 else np.flatnonzero(scores > 0)
    best: np.ndarray = hopeful[np.lexsort((hopeful, -scores[hopeful]))[:top]]
    return best


def _bm25s() -> Any:
    try:
        import bm25s
    except ImportError as error:
        raise PipelineError(
            "silver pairs by `bm25` need bm25s, which isn't installed: pip install "
            "'quora-finetuning-pipeline[silver]', or take the source `neighbours`"
        ) from error
    # It logs what it indexes at the level of debugging, whatever level the process has.
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    return bm25s
