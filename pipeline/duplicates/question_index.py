"""What new questions are looked for in: the vectors themselves, or from a size on an inverted file of faiss."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.files import file_sha256, replacing
from pipeline.core.progress import OnProgress, ignore
from pipeline.duplicates.engines import INDEX_FROM, why_no_index
from pipeline.duplicates.search import Found, nearest
from pipeline.duplicates.stored import QuestionIndex
from pipeline.duplicates.vectors import Vectors

SAMPLED = 200
TOP = 10
LEAST_RECALL = 0.99
"""Share of the nearest questions of a sample that an index has to find."""

_PROBES = 32
"""Lists of the index that are looked through for a question, at first."""

SPARE = 10
"""The index rounds cosines, so this many more are taken from it than are wanted."""

_AGAIN = "launch the job `mine` again"


def build_index(
    vectors: Vectors,
    corpus_version: str,
    model_version: str,
    folder: Path,
    on_progress: OnProgress = ignore,
    index_from: int = INDEX_FROM,
) -> QuestionIndex:
    """Make the index of a corpus. Small corpora need none beside their vectors, and neither do those without faiss.

    Args:
        folder: where a file of faiss is put.
        index_from: questions from which on there is one.

    Raises:
        PipelineError: when the file can't be written.
    """
    made = QuestionIndex(
        kind="exact",
        corpus_version=corpus_version,
        model_version=model_version,
        questions=len(vectors),
        recall=1.0,
        file="",
        sha256="",
    )
    if len(vectors) < index_from or why_no_index():
        return made
    import faiss

    from pipeline.duplicates.ivf import build_inverted_file

    index = build_inverted_file(vectors, on_progress)
    recall = tune(index, vectors)
    path = folder / f"{corpus_version}-{model_version}.faiss"
    with replacing(path) as temporary:
        faiss.write_index(index, str(temporary))
    return made.model_copy(update={"kind": "index", "recall": recall, "file": str(path), "sha256": file_sha256(path)})


def nearest_in(index: QuestionIndex, query: np.ndarray, vectors: Vectors, top: int) -> Found:
    """The `top` nearest questions by the index; their cosines are those of the vectors themselves.

    Args:
        query: float32 of shape (dimensions,), of length 1.
        vectors: of the same questions.

    Raises:
        PipelineError: when the index's file is gone, or not what was written, or faiss isn't installed.
    """
    if index.kind == "exact":
        return nearest(query, vectors, top)
    if reason := why_no_index():
        raise PipelineError(f"the question index {reason}")
    try:
        is_whole = file_sha256(Path(index.file)) == index.sha256
    except OSError as error:
        raise PipelineError(f"the question index {index.file} can't be read: {reason_of(error)}; {_AGAIN}") from error
    if not is_whole:
        raise PipelineError(f"the question index {index.file} is not what was written: {_AGAIN}")
    import faiss

    # Its own cosines are rounded, so a few more are taken, and put in order by the exact ones.
    numbers = faiss.read_index(index.file).search(query[None], top + SPARE)[1][0]
    numbers = np.sort(numbers[numbers >= 0]).astype(np.int64)
    return Found.of(numbers, vectors.rows(numbers) @ query, top)


def tune(index: Any, vectors: Vectors) -> float:
    """Have an inverted file look through as many lists as find enough of the nearest questions of a sample.

    Returns:
        The share of the 10 nearest that it finds: `LEAST_RECALL`, or less where it looks through all of its lists.
    """
    sample = np.sort(np.random.default_rng(0).permutation(len(vectors))[:SAMPLED])
    queries = vectors.rows(sample)
    # What is as near as the last one counts too: equal questions stand in any order.
    bounds = [nearest(query, vectors, TOP).cosine[-1] - 1e-6 for query in queries]
    index.nprobe = min(_PROBES, index.nlist)
    while (recall := _recall(index, vectors, queries, bounds)) < LEAST_RECALL and index.nprobe < index.nlist:
        index.nprobe = min(index.nprobe + max(1, index.nprobe // 4), index.nlist)
    return recall


def _recall(index: Any, vectors: Vectors, queries: np.ndarray, bounds: list[float]) -> float:
    wanted = min(TOP, len(vectors))
    hits = 0
    found = index.search(queries, TOP + SPARE)[1]
    for query, bound, numbers in zip(queries, bounds, found, strict=True):
        cosine = vectors.rows(numbers[numbers >= 0]) @ query
        hits += min(wanted, int((cosine >= bound).sum()))
    return hits / (len(queries) * wanted)
