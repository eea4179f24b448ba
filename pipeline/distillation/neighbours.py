"""Finds for each question those with the nearest vectors: by comparing all, or in large folds by an index of faiss.

The engines of `pipeline.duplicates` find all pairs above one cosine, and here every question has a bound of its own. So
this shares their vectors, their choice by size and their index, and has its own walk through the tiles.
"""

from typing import Any

import numpy as np

from pipeline.core.errors import PipelineError, counted
from pipeline.core.progress import Advanced, LogLine, OnProgress, ignore
from pipeline.distillation.questions import Fold, TrainingQuestions
from pipeline.duplicates.engines import engine_for
from pipeline.duplicates.options import EngineChoice
from pipeline.duplicates.vectors import Vectors

STAGE = "looking for questions with near vectors"
_ROWS = 2_048
_COLUMNS = 8_192
_SEARCHED = 8_192
_RESCORED = 16_384
_ERROR = 1e-4
"""More than products in fp32 of vectors of length 1 are off by, in whatever order their terms are added."""

_NOWHERE = -4.0
"""Less than any cosine."""


class _OfFold(Vectors):
    """The vectors of a fold, read from those of all questions."""

    def __init__(self, vectors: Vectors, members: np.ndarray) -> None:
        self._vectors, self._members = vectors, members

    def __len__(self) -> int:
        return len(self._members)

    @property
    def dimensions(self) -> int:
        """See `Vectors.dimensions`."""
        return self._vectors.dimensions

    def block(self, start: int, stop: int) -> np.ndarray:
        """See `Vectors.block`."""
        return np.ascontiguousarray(self._vectors.rows(self._members[start:stop]), dtype=np.float32)

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """See `Vectors.rows`."""
        return self._vectors.rows(self._members[numbers])


def pairs_by_neighbours(
    questions: TrainingQuestions,
    vectors: Vectors,
    top: int,
    engine: EngineChoice = "auto",
    on_progress: OnProgress = ignore,
) -> tuple[np.ndarray, np.ndarray]:
    """The `top` questions of the same fold with the highest cosine for each question, labelled partners left out.

    Of equal cosines the lower number counts. By comparing all, the result doesn't depend on threads: products in any
    order of additions choose generously, and cosines in one order decide. That of the index is as repeatable as faiss's
    k-means, and it misses some; a log line says how many of a sample.

    Args:
        vectors: of `questions.texts`, of length 1.
        engine: `exact`, `index`, or `auto` by the size of each fold (`duplicates.engines`).

    Returns:
        Numbers of both questions, int64 of shape (pairs,) each; a pair may stand there both ways round.

    Raises:
        PipelineError: when there are more or fewer vectors than questions, or the index can't be used.
    """
    if len(vectors) != len(questions):
        raise PipelineError(
            f"{counted(len(vectors), 'vector')} can't stand for {counted(len(questions), 'training question')}: embed "
            "the texts of these very questions"
        )
    found = [np.empty((2, 0), dtype=np.int64)]
    done, total = 0, int((questions.fold >= 0).sum())
    on_progress(Advanced(STAGE, done, total))
    for fold in questions.folds():
        part = _OfFold(vectors, fold.members)
        name = engine_for(engine, len(part), on_progress).name
        search = _search_index if name == "index" else _compare_all
        first, second = search(part, fold, top, _counting(on_progress, done, total))
        found.append(fold.members[np.stack([first, second])])
        done += len(part)
    first, second = np.concatenate(found, axis=1)
    return first, second


def _counting(on_progress: OnProgress, done: int, total: int) -> OnProgress:
    """A sink for the progress within a fold, which counts through all folds; others' stages are passed on."""

    def emit(event: object) -> None:
        if isinstance(event, Advanced) and event.stage == STAGE:
            event = Advanced(STAGE, done + event.done, total)
        on_progress(event)  # type: ignore[arg-type]

    return emit


def _compare_all(vectors: Vectors, fold: Fold, top: int, on_progress: OnProgress) -> tuple[np.ndarray, np.ndarray]:
    """(position, position of a neighbour) in the fold, both int64; each question's nearest first."""
    import torch

    n = len(vectors)
    firsts, seconds = [], []
    for start in range(0, n, _ROWS):
        rows = vectors.block(start, min(start + _ROWS, n))
        left_out, partner = (torch.from_numpy(part) for part in fold.excluded.of_block(start, start + len(rows)))
        best = torch.full((len(rows), top), _NOWHERE)
        hits: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for left in range(0, n, _COLUMNS):
            columns = vectors.block(left, min(left + _COLUMNS, n))
            products = torch.from_numpy(rows) @ torch.from_numpy(columns).T
            here = (partner >= left) & (partner < left + len(columns))
            products[left_out[here], partner[here] - left] = _NOWHERE
            of_tile = torch.topk(products, min(top, len(columns)), dim=1).values
            best = torch.topk(torch.cat([best, of_tile], dim=1), top, dim=1).values
            # All that may be among the best, for any order in which the terms of a product are added.
            row, column = torch.nonzero(products >= _bound(best), as_tuple=True)
            hits.append((row.numpy(), column.numpy() + left, products[row, column].numpy()))
        row, column, product = (np.concatenate(part) for part in zip(*hits, strict=True))
        hopeful = product >= _bound(best).numpy()[row, 0]
        row, column = row[hopeful], column[hopeful]
        row, column = _nearest(rows, vectors, row, column, top)
        firsts.append(row + start)
        seconds.append(column)
        on_progress(Advanced(STAGE, start + len(rows), n))
    return np.concatenate(firsts), np.concatenate(seconds)


def _bound(best: Any) -> Any:
    """What a product reaches where it may be among the best of its row: of shape (rows, 1)."""
    return (best[:, -1:] - _ERROR).clamp(min=_NOWHERE + 1)


def _search_index(vectors: Vectors, fold: Fold, top: int, on_progress: OnProgress) -> tuple[np.ndarray, np.ndarray]:
    """As `_compare_all`, by an inverted file."""
    from pipeline.duplicates.ivf import build_inverted_file
    from pipeline.duplicates.question_index import SPARE, tune

    n = len(vectors)
    index = build_inverted_file(vectors, on_progress)
    recall = tune(index, vectors)
    on_progress(LogLine(f"the index of {n:,} questions finds {recall:.2%} of the nearest questions of a sample"))
    # It rounds cosines, and knows nothing of labelled partners.
    wanted = min(n, top + SPARE + fold.excluded.most)
    firsts, seconds = [], []
    for start, block in vectors.blocks(_SEARCHED):
        column = index.search(block, wanted)[1].astype(np.int64).ravel()
        row = np.repeat(np.arange(len(block)), wanted)
        left_out, partner = fold.excluded.of_block(start, start + len(block))
        free = (column >= 0) & ~np.isin(row * n + column, left_out * n + partner)
        row, column = _nearest(block, vectors, row[free], column[free], top)
        firsts.append(row + start)
        seconds.append(column)
        on_progress(Advanced(STAGE, start + len(block), n))
    return np.concatenate(firsts), np.concatenate(seconds)


def _nearest(
    rows: np.ndarray, vectors: Vectors, row: np.ndarray, column: np.ndarray, top: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `top` nearest of the hits of each row: (row, number of a vector), nearest first."""
    cosines = [
        np.einsum("ij,ij->i", rows[row[at : at + _RESCORED]], vectors.rows(column[at : at + _RESCORED]))
        for at in range(0, len(row), _RESCORED)
    ]
    cosine = np.concatenate([*cosines, np.empty(0, dtype=np.float32)])
    order = np.lexsort((column, -cosine, row))
    row, column = row[order], column[order]
    kept = np.arange(len(row)) - np.searchsorted(row, row) < top
    return row[kept], column[kept]
