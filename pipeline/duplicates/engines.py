"""Chooses the engine that finds the pairs of a corpus."""

import importlib.util

from pipeline.core.errors import PipelineError
from pipeline.core.progress import LogLine, OnProgress, ignore
from pipeline.duplicates.engine import Engine
from pipeline.duplicates.exact import ExactTiles
from pipeline.duplicates.options import EngineChoice

INDEX_FROM = 200_000
"""Questions from which on `auto` takes the index."""

_INSTALL = "install the extra: pip install 'quora-finetuning-pipeline[index]'"


def engine_for(choice: EngineChoice, questions: int, on_progress: OnProgress = ignore) -> Engine:
    """The engine that is asked for; `auto` goes by the size of the corpus and by what is installed.

    Raises:
        PipelineError: when the index is asked for and faiss isn't installed.
    """
    has_faiss = importlib.util.find_spec("faiss") is not None
    if choice == "index" and not has_faiss:
        raise PipelineError(f"the engine `index` needs faiss, which isn't installed: {_INSTALL}, or take `exact`")
    if choice == "exact" or (choice == "auto" and questions < INDEX_FROM):
        return ExactTiles()
    if not has_faiss:
        on_progress(LogLine(f"{questions:,} questions are compared one by one, which takes long: {_INSTALL}"))
        return ExactTiles()
    from pipeline.duplicates.ivf import IvfIndex

    return IvfIndex()
