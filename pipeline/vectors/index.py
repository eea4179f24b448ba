"""Finds pairs at or above a cosine with an inverted file of faiss: quicker than comparing all with all, and not whole.

Vectors are sorted into lists by k-means, and each is compared with those of the nearest lists only. How many lists are
looked through is chosen on a sample so that enough of the pairs are found, and how much was missed is measured on
another sample, in every run. Vectors lie in the index with two bytes a number, in large corpora with one, so that five
million of 384 numbers take 2 GB; the pairs that may reach the floor are computed again from the vectors themselves.
"""

import importlib.util
import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.progress import Advanced, LogLine, OnProgress, ignore
from pipeline.vectors.blocks import Vectors
from pipeline.vectors.exact import ExactTiles
from pipeline.vectors.nearest import nearest
from pipeline.vectors.options import EngineChoice
from pipeline.vectors.pairs import CosinePairs, Engine, Sample, exact_sample, recall_of, refuse_too_many

BUILDING = "building the index"
STAGE = "looking for pairs in the index"
_BLOCK = 8_192
_EXACT_BLOCK = 16_384

INDEX_FROM = 200_000
"""Questions from which on `auto` takes the index."""

_INSTALL = "install the extra: pip install 'quora-finetuning-pipeline[index]'"

SAMPLED = 200
TOP = 10
LEAST_RECALL = 0.99
"""Share of the nearest questions of a sample that an index has to find."""

_PROBES = 32
"""Lists of the index that are looked through for a question, at first."""

SPARE = 10
"""The index rounds cosines, so this many more are taken from it than are wanted."""


@dataclass(frozen=True)
class IvfSettings:
    """How the index is built and searched.

    Attributes:
        lists_per_root: lists are this often the square root of the number of vectors.
        trained_per_list: vectors per list that k-means learns from.
        recall: share of the pairs that shall be found, by the first sample.
        sampled: questions in each of the two samples.
        fp16_up_to: vectors up to which the index keeps two bytes a number, which is searched more quickly; from there
            on it keeps one.
        margin: how far below the floor a product in the index may lie to be computed again: its error by rounding.
        seed: of the samples.
    """

    lists_per_root: float = 2.0
    trained_per_list: int = 40
    recall: float = 0.994
    sampled: int = 1_000
    fp16_up_to: int = 2_000_000
    margin: float = 0.01
    seed: int = 0


class IvfIndex(Engine):
    """An inverted file of faiss, searched by range."""

    name: ClassVar[str] = "index"

    def __init__(self, settings: IvfSettings | None = None) -> None:
        self.settings = settings or IvfSettings()

    def pairs(self, vectors: Vectors, floor: float, on_progress: OnProgress = ignore) -> CosinePairs:
        """See `Engine.pairs`; `remark` says how many were missed, by a sample."""
        n, chosen = len(vectors), self.settings
        if n < 2:
            return CosinePairs.of(n, floor, *(np.empty(0, dtype=kind) for kind in (np.int64, np.int64, np.float32)))
        random = np.random.default_rng(chosen.seed)
        drawn = random.permutation(n)[: 2 * chosen.sampled]
        tuning, test = (exact_sample(vectors, np.sort(part), floor, on_progress) for part in np.array_split(drawn, 2))
        index = build_inverted_file(vectors, on_progress, chosen)
        probes = self._tune(index, vectors, tuning, floor, on_progress)
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        count = 0
        on_progress(Advanced(STAGE, 0, n))
        for start, block in vectors.blocks(_BLOCK):
            first, second = _in_range(index, block, floor - chosen.margin)
            # Each pair is seen from both its ends; the one with the lower number counts, and the other where it missed.
            found.append(_rescored(vectors, block, start, first, second, floor))
            count += len(found[-1][0])
            refuse_too_many(count // 2, floor)
            on_progress(Advanced(STAGE, start + len(block), n))
        pairs = _once(n, floor, found)
        self.recall = recall_of(pairs, test)
        missed = "the sample has no pair" if self.recall is None else f"it found {self.recall:.2%} of {test.pairs:,}"
        self.remark = (
            f"{index.nlist:,} lists, {probes} looked through for each question; of the pairs of {len(test.numbers):,} "
            f"sampled questions {missed}"
        )
        return pairs

    def _tune(self, index: Any, vectors: Vectors, sample: Sample, floor: float, on_progress: OnProgress) -> int:
        """Look through as few lists as find enough of a sample's pairs."""
        queries, n = vectors.rows(sample.numbers), len(vectors)
        wanted = sample.keys(n)
        probes = 1
        while True:
            index.nprobe = probes
            first, second = _in_range(index, queries, floor - self.settings.margin)
            there = np.isin(wanted, np.unique(sample.numbers[first] * n + second))
            share = float(there.mean()) if len(wanted) else 1.0
            if share >= self.settings.recall or probes >= index.nlist:
                return probes
            probes = min(probes + max(1, probes // 3), int(index.nlist))


def build_inverted_file(vectors: Vectors, on_progress: OnProgress = ignore, settings: IvfSettings | None = None) -> Any:
    """The index of some vectors: k-means on a sample of them, then each in the list that is nearest.

    Raises:
        PipelineError: when faiss isn't installed.
    """
    faiss, chosen = _faiss(), settings or IvfSettings()
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
    index.cp.seed, index.cp.niter, index.cp.spherical = 1, 8, True
    learned = min(n, lists * chosen.trained_per_list)
    sample = np.random.default_rng(chosen.seed).choice(n, size=learned, replace=False)
    on_progress(Advanced(BUILDING, 0, n))
    index.train(vectors.rows(np.sort(sample)))
    for start, block in vectors.blocks(_BLOCK):
        index.add(block)
        on_progress(Advanced(BUILDING, start + len(block), n))
    return index


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise PipelineError(
            "the engine `index` needs faiss, which isn't installed: pip install 'quora-finetuning-pipeline[index]'"
        ) from error
    return faiss


def _in_range(index: Any, queries: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """(position of the query, number of the vector) of what the index finds above a radius, both int64."""
    limits, _, numbers = index.range_search(queries, radius)
    return np.repeat(np.arange(len(queries)), np.diff(limits.astype(np.int64))), numbers.astype(np.int64)


def _rescored(
    vectors: Vectors, block: np.ndarray, start: int, first: np.ndarray, second: np.ndarray, floor: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    other = first + start != second
    first, second = first[other], second[other]
    distinct, where = np.unique(second, return_inverse=True)
    partners = vectors.rows(distinct)
    cosines = [
        np.einsum("ij,ij->i", block[first[at : at + _EXACT_BLOCK]], partners[where[at : at + _EXACT_BLOCK]])
        for at in range(0, len(first), _EXACT_BLOCK)
    ]
    cosine = np.concatenate(cosines) if cosines else np.empty(0, dtype=np.float32)
    kept = cosine >= np.float32(floor)
    return first[kept] + start, second[kept], cosine[kept]


def _once(n: int, floor: float, found: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> CosinePairs:
    """Each pair once, though most were found from both ends."""
    first, second, cosine = (np.concatenate(column) for column in zip(*found, strict=True))
    low, high = np.minimum(first, second), np.maximum(first, second)
    once = np.unique(low * n + high, return_index=True)[1]
    return CosinePairs.of(n, floor, low[once], high[once], cosine[once])


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
    return IvfIndex()


def why_no_index() -> str | None:
    """Why this machine can't use the index, as the rest of a sentence; None where it can."""
    if sys.platform == "darwin":
        # https://github.com/kyamagu/faiss-wheels/issues/73
        return "doesn't work on macOS, where faiss and torch crash in one process: mine on Linux"
    if importlib.util.find_spec("faiss") is None:
        return f"needs faiss, which isn't installed: {_INSTALL}"
    return None
