"""Chooses the engine that finds the pairs of a corpus."""

import importlib.util
import sys

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
    why_not = why_no_index()
    if choice == "index" and why_not:
        raise PipelineError(f"the engine `index` {why_not}, or take `exact`")
    if choice == "exact" or (choice == "auto" and questions < INDEX_FROM):
        return ExactTiles()
    if why_not:
        on_progress(LogLine(f"all {questions:,} questions are compared, which takes long: `index` {why_not}"))
        return ExactTiles()
    from pipeline.duplicates.ivf import IvfIndex

    return IvfIndex()


def why_no_index() -> str | None:
    """Why this machine can't use the index, as the rest of a sentence; None where it can."""
    if sys.platform == "darwin":
        # https://github.com/kyamagu/faiss-wheels/issues/73
        return "doesn't work on macOS, where faiss and torch crash in one process: mine on Linux"
    if importlib.util.find_spec("faiss") is None:
        return f"needs faiss, which isn't installed: {_INSTALL}"
    return None
