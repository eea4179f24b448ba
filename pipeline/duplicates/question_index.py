"""What new questions are looked for in: the vectors themselves, or from a size on an inverted file of faiss."""

from pathlib import Path

import numpy as np

from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.files import file_sha256, replacing
from pipeline.core.progress import OnProgress, ignore
from pipeline.duplicates.stored import QuestionIndex
from pipeline.vectors.blocks import Vectors
from pipeline.vectors.index import INDEX_FROM, SPARE, build_inverted_file, tune, why_no_index
from pipeline.vectors.nearest import Found, nearest

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
