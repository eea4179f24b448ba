"""What new questions are looked up in: the vectors themselves, or in a large corpus an inverted file of faiss."""

from pathlib import Path

import numpy as np

from pipeline.core.errors import DamagedError, reason_of
from pipeline.core.files import file_sha256, replacing
from pipeline.core.progress import OnProgress, ignore
from pipeline.duplicates.stored import QuestionIndex
from pipeline.vectors.blocks import Vectors
from pipeline.vectors.index import InvertedFile, require_faiss, why_no_index
from pipeline.vectors.nearest import Neighbours, nearest
from pipeline.vectors.options import InvertedFileOptions

_AGAIN = "launch the job `mine` again"


def build_index(
    vectors: Vectors,
    corpus_version: str,
    model_version: str,
    folder: Path,
    on_progress: OnProgress = ignore,
    index_from: int = InvertedFileOptions.index_from,
) -> QuestionIndex:
    """Make the index of a corpus. A small one needs nothing but its vectors, and so does any without faiss.

    Args:
        folder: of the files of faiss.
        index_from: minimum number of questions for an index file.

    Raises:
        OSError: when the file can't be written.
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
    index = InvertedFile.build(vectors, on_progress)
    recall = index.tune_for_neighbours(vectors)
    path = folder / f"{corpus_version}-{model_version}.faiss"
    with replacing(path) as temporary:
        index.write(str(temporary))
    return made.model_copy(update={"kind": "index", "recall": recall, "file": str(path), "sha256": file_sha256(path)})


def nearest_in(index: QuestionIndex, query: np.ndarray, vectors: Vectors, top: int) -> Neighbours:
    """The `top` nearest questions by the index, with exact cosines.

    Args:
        query: float32 of shape (dimensions,), of length 1.
        vectors: of the same questions.

    Raises:
        DamagedError: when the index's file is gone, or is not what was written.
        NotInstalledError: when faiss isn't installed.
    """
    if index.kind == "exact":
        return nearest(query[None], vectors, top)[0]
    require_faiss("the question index")
    path = Path(index.file)
    try:
        is_intact = file_sha256(path) == index.sha256
    except OSError as error:
        raise DamagedError(
            f"the question index {path} can't be read ({reason_of(error)}): {_AGAIN}", path=path
        ) from error
    if not is_intact:
        raise DamagedError(f"the question index {path} is not what was written: {_AGAIN}", path=path)
    return InvertedFile.read(path).nearest(query[None], vectors, top)[0]
