"""What new questions are looked for in: the vectors themselves, or from a size on an inverted file of faiss."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.files import file_sha256, replacing
from pipeline.core.progress import OnProgress, ignore
from pipeline.duplicates.engines import INDEX_FROM, why_no_index
from pipeline.duplicates.search import Found, nearest
from pipeline.duplicates.stored import QuestionIndex
from pipeline.duplicates.vectors import Vectors

SAMPLED = 200
TOP = 10
_PROBES = 32


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
    index.nprobe = min(_PROBES, index.nlist)
    path = folder / f"{corpus_version}-{model_version}.faiss"
    with replacing(path) as temporary:
        faiss.write_index(index, str(temporary))
    recall = _recall(index, vectors)
    return made.model_copy(update={"kind": "index", "recall": recall, "file": str(path), "sha256": file_sha256(path)})


def _recall(index: Any, vectors: Vectors) -> float:
    """Share of the nearest questions of a sample that the index finds."""
    sample = np.random.default_rng(0).permutation(len(vectors))[:SAMPLED]
    queries = vectors.rows(np.sort(sample))
    found = index.search(queries, TOP)[1]
    hits = 0
    for query, numbers in zip(queries, found, strict=True):
        exact: Found = nearest(query, vectors, TOP)
        # What is as near as the last one counts too: equal questions stand in any order.
        cosine = vectors.rows(np.maximum(numbers, 0)) @ query
        hits += int(((cosine >= exact.cosine[-1] - 1e-6) & (numbers >= 0)).sum())
    return min(1.0, hits / (len(queries) * min(TOP, len(vectors))))
