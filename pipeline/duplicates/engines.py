"""Chooses the engine that finds the pairs of a corpus."""

import importlib.util
import sys
from collections.abc import Callable

from pipeline.compute.base import Compute
from pipeline.core.errors import PipelineError
from pipeline.core.progress import LogLine, OnProgress, ignore
from pipeline.duplicates.engine import Engine
from pipeline.duplicates.exact import ExactTiles
from pipeline.duplicates.options import EngineChoice

INDEX_FROM = 200_000
"""Questions from which on `auto` takes the index."""

_INSTALL = "install the extra: pip install 'quora-finetuning-pipeline[index]'"


def engine_for(
    choice: EngineChoice,
    questions: int,
    on_progress: OnProgress = ignore,
    sharded: Callable[[], Engine] | None = None,
) -> Engine:
    """The engine that is asked for; `auto` goes by the size of the corpus and by what is installed.

    Args:
        sharded: makes the engine `shards`, for whoever knows where shards lie and what joins them.

    Raises:
        PipelineError: when the index is asked for and faiss isn't installed.
    """
    if choice == "shards":
        if sharded is None:
            raise PipelineError("the engine `shards` can't be used here: take `exact` or `index`")
        return sharded()
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


def sharded_join(location: str, compute: Compute, recall: float | None = None) -> Engine:
    """The engine `shards`, with its shards below a folder or URL."""
    from pipeline.duplicates.shard_plan import ShardSettings
    from pipeline.duplicates.shards import ShardedJoin

    return ShardedJoin(location, compute, ShardSettings() if recall is None else ShardSettings(recall=recall))


def why_no_index() -> str | None:
    """Why this machine can't use the index, as the rest of a sentence; None where it can."""
    if sys.platform == "darwin":
        # https://github.com/kyamagu/faiss-wheels/issues/73
        return "doesn't work on macOS, where faiss and torch crash in one process: mine on Linux"
    if importlib.util.find_spec("faiss") is None:
        return f"needs faiss, which isn't installed: {_INSTALL}"
    return None
