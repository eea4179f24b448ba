"""An inverted file of faiss: faster than comparing all vectors with all others, but it misses some.

k-means sorts the vectors into lists, and a query is compared with the vectors of the nearest lists only. The number of
lists to search is chosen on a sample, so that enough is found. The index stores one or two bytes per dimension, so that
five million vectors of 384 dimensions take 2 GB. Its hits are therefore scored again with the vectors themselves.
"""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipeline.core.errors import NotInstalledError
from pipeline.core.progress import Advanced, LogLine, OnProgress, ignore
from pipeline.vectors.blocks import Vectors, pair_cosines
from pipeline.vectors.exact import ExactEngine
from pipeline.vectors.nearest import Neighbours, nearest, ranked
from pipeline.vectors.options import EngineChoice, InvertedFileOptions
from pipeline.vectors.pairs import CosinePairs, Engine, Sample, exact_sample, recall_of, refuse_too_many

BUILDING = "building the index"
STAGE = "looking for pairs in the index"
_BLOCK = 8_192


def why_no_index() -> str | None:
    """Why this machine can't use the index, as the rest of a sentence; None where it can."""
    if sys.platform == "darwin":
        # https://github.com/kyamagu/faiss-wheels/issues/73
        return "doesn't work on macOS, where faiss and torch crash in one process: mine on Linux"
    if importlib.util.find_spec("faiss") is None:
        return "needs faiss, which isn't installed: pip install 'quora-finetuning-pipeline[index]'"
    return None


def require_faiss(what: str) -> Any:
    """Import faiss.

    Args:
        what: the feature that needs it, as the subject of the error's sentence.

    Raises:
        NotInstalledError: when this machine can't use the index.
    """
    if reason := why_no_index():
        raise NotInstalledError(f"{what} can't be used: it {reason}", packages=("faiss-cpu",))
    import faiss

    return faiss


class InvertedFile:
    """The index of some vectors, searched by range or for the nearest.

    Attributes:
        options: how it is built and searched.
    """

    def __init__(self, index: Any, options: InvertedFileOptions) -> None:
        self._index = index
        self.options = options

    @classmethod
    def build(
        cls, vectors: Vectors, on_progress: OnProgress = ignore, options: InvertedFileOptions | None = None
    ) -> "InvertedFile":
        """Train k-means on a sample of the vectors, and add each vector to its nearest list.

        Raises:
            NotInstalledError: when this machine can't use faiss.
        """
        faiss, chosen = require_faiss("the index"), options or InvertedFileOptions()
        n, dimensions = len(vectors), vectors.dimensions
        lists = max(1, min(int(chosen.lists_per_root * n**0.5), n // 39 or 1))
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(dimensions),
            dimensions,
            lists,
            faiss.ScalarQuantizer.QT_fp16 if n <= chosen.fp16_up_to else faiss.ScalarQuantizer.QT_8bit,
            faiss.METRIC_INNER_PRODUCT,
            False,
        )
        index.cp.seed, index.cp.niter, index.cp.spherical = 1, chosen.kmeans_rounds, True
        learned = min(n, lists * chosen.trained_per_list)
        sample = np.random.default_rng(chosen.seed).choice(n, size=learned, replace=False)
        on_progress(Advanced(BUILDING, 0, n))
        index.train(vectors.rows(np.sort(sample)))
        for start, block in vectors.blocks(_BLOCK):
            index.add(block)
            on_progress(Advanced(BUILDING, start + len(block), n))
        return cls(index, chosen)

    @classmethod
    def read(cls, path: Path) -> "InvertedFile":
        """Read the index from a file.

        Raises:
            NotInstalledError: when this machine can't use faiss.
        """
        return cls(require_faiss("the question index").read_index(str(path)), InvertedFileOptions())

    def write(self, path: str) -> None:
        """Write the index to a file, with the number of lists to search."""
        require_faiss("the question index").write_index(self._index, path)

    def add(self, vectors: np.ndarray) -> None:
        """Add more vectors, float32 of shape (n, dimensions); they count on from the last one."""
        self._index.add(np.ascontiguousarray(vectors))

    @property
    def lists(self) -> int:
        """Number of its lists."""
        return int(self._index.nlist)

    @property
    def probes(self) -> int:
        """Number of lists that are searched for a query."""
        return int(self._index.nprobe)

    def nearest(
        self, queries: np.ndarray, vectors: Vectors, top: int, usable: np.ndarray | None = None
    ) -> list[Neighbours]:
        """The `top` nearest vectors of each query among those that the index finds; see `nearest.nearest`.

        Args:
            vectors: those that the index has, for the exact cosines.
        """
        faiss = require_faiss("the index")
        settings: dict[str, Any] = {"nprobe": self._index.nprobe}
        if usable is not None:
            bits = np.packbits(usable, bitorder="little")
            settings["sel"] = faiss.IDSelectorBitmap(bits)
        wanted = top + self.options.spare
        hits = self._index.search(queries, wanted, params=faiss.SearchParametersIVF(**settings))[1].ravel()
        row = np.repeat(np.arange(len(queries)), wanted)[hits >= 0]
        index = hits[hits >= 0].astype(np.int64)
        return ranked((row, index, pair_cosines(queries, vectors, row, index)), len(queries), top)

    def in_range(self, queries: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray]:
        """Query and vector of each hit that may reach a cosine, both int64 of shape (hits,)."""
        limits, _, indices = self._index.range_search(queries, floor - self.options.margin)
        return np.repeat(np.arange(len(queries)), np.diff(limits.astype(np.int64))), indices.astype(np.int64)

    def tune_for_pairs(self, vectors: Vectors, sample: Sample, floor: float) -> None:
        """Search as few lists as find enough of the pairs of a sample."""
        queries, n = vectors.rows(sample.indices), len(vectors)
        wanted = sample.keys(n)

        def recall() -> float:
            row, index = self.in_range(queries, floor)
            found = np.unique(sample.indices[row] * n + index)
            return float(np.isin(wanted, found).mean()) if len(wanted) else 1.0

        self._search_more_until(recall, self.options.pair_recall, probes=1)

    def tune_for_neighbours(self, vectors: Vectors) -> float:
        """Search as many lists as find enough of the nearest neighbours of a sample.

        Returns:
            The share of them that it finds: the wanted one, or less where all lists are searched.
        """
        options = self.options
        drawn = np.random.default_rng(options.seed).permutation(len(vectors))[: options.neighbour_sample]
        queries = vectors.rows(np.sort(drawn))
        exact = nearest(queries, vectors, options.neighbours)
        # As near as the last one counts too: equal questions come in any order.
        bounds = [found.cosine[-1] - 1e-6 for found in exact]
        wanted = sum(len(found.cosine) for found in exact)

        def recall() -> float:
            found = self.nearest(queries, vectors, options.neighbours)
            return sum(int((part.cosine >= bound).sum()) for part, bound in zip(found, bounds, strict=True)) / wanted

        return self._search_more_until(recall, options.neighbour_recall, options.neighbour_probes)

    def _search_more_until(self, recall: Callable[[], float], wanted: float, probes: int) -> float:
        """Raise the number of lists to search until a recall is reached, or all are searched; returns the recall."""
        self._index.nprobe = min(probes, self.lists)
        while (reached := recall()) < wanted and self.probes < self.lists:
            self._index.nprobe = min(self.probes + max(1, self.probes // 3), self.lists)
        return reached


class IndexEngine(Engine):
    """Finds pairs above a cosine with an inverted file, searched by range."""

    name: ClassVar[str] = "index"

    def __init__(self, options: InvertedFileOptions | None = None) -> None:
        self.options = options or InvertedFileOptions()

    def pairs(self, vectors: Vectors, floor: float, on_progress: OnProgress = ignore) -> CosinePairs:
        """See `Engine.pairs`; `remark` states how many were missed, by a sample."""
        n, options = len(vectors), self.options
        if n < 2:
            return CosinePairs.of(n, floor, *(np.empty(0, dtype=kind) for kind in (np.int64, np.int64, np.float32)))
        drawn = np.random.default_rng(options.seed).permutation(n)[: 2 * options.pair_sample]
        tuning, test = (exact_sample(vectors, np.sort(part), floor, on_progress) for part in np.array_split(drawn, 2))
        index = InvertedFile.build(vectors, on_progress, options)
        index.tune_for_pairs(vectors, tuning, floor)
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        count = 0
        on_progress(Advanced(STAGE, 0, n))
        for start, block in vectors.blocks(_BLOCK):
            row, other = index.in_range(block, floor)
            row, other = row[row + start != other], other[row + start != other]
            cosine = pair_cosines(block, vectors, row, other)
            kept = cosine >= np.float32(floor)
            # Most pairs are found from both ends.
            found.append((row[kept] + start, other[kept], cosine[kept]))
            count += int(kept.sum())
            refuse_too_many(count // 2, floor)
            on_progress(Advanced(STAGE, start + len(block), n))
        pairs = _once(n, floor, found)
        self.recall = recall_of(pairs, test)
        missed = "the sample has no pair" if self.recall is None else f"it found {self.recall:.2%} of {test.pairs:,}"
        self.remark = (
            f"{index.lists:,} lists, of which {index.probes} are searched for each question; of the pairs of "
            f"{len(test.indices):,} sampled questions {missed}"
        )
        return pairs


def _once(n: int, floor: float, found: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> CosinePairs:
    """Each pair once."""
    first, second, cosine = (np.concatenate(column) for column in zip(*found, strict=True))
    low, high = np.minimum(first, second), np.maximum(first, second)
    once = np.unique(low * n + high, return_index=True)[1]
    return CosinePairs.of(n, floor, low[once], high[once], cosine[once])


def engine_for(choice: EngineChoice, questions: int, on_progress: OnProgress = ignore) -> Engine:
    """The engine to mine with. `auto` goes by the size of the corpus and by what is installed.

    Raises:
        NotInstalledError: when the index is chosen and faiss isn't installed.
    """
    why_not = why_no_index()
    if choice == "index" and why_not:
        raise NotInstalledError(
            f"the engine `index` can't be used: it {why_not}, or take `exact`", packages=("faiss-cpu",)
        )
    if choice == "exact" or (choice == "auto" and questions < InvertedFileOptions.index_from):
        return ExactEngine()
    if why_not:
        on_progress(LogLine(f"comparing all {questions:,} questions takes long: the engine `index` {why_not}"))
        return ExactEngine()
    return IndexEngine()
