"""Options of embedding, comparing and indexing vectors, with their defaults."""

from dataclasses import dataclass
from typing import Literal

EngineChoice = Literal["auto", "exact", "index"]

PART_SIZE = 4_096
"""Texts to embed at once on this machine. An interruption loses at most this many."""

WORTH_PACKING = 128
"""Minimum number of texts for packed batches: below it, checking whether the model supports them takes longer."""

MOST_PAIRS = 50_000_000
"""Most pairs that mining returns: more are 800 MB that nobody reads, and a sign of a threshold that is far too low."""


@dataclass(frozen=True)
class ExactOptions:
    """Comparing all vectors with all others.

    Attributes:
        rows: vectors that stay in memory while all others are read.
        columns: vectors that are compared with them at once.
        tile_rows: rows of one matrix product; its result should fit into the processor's cache.
        precision: of the first pass. `auto` takes bf16 where the CPU is faster in it.
    """

    rows: int = 16_384
    columns: int = 2_048
    tile_rows: int = 512
    precision: Literal["auto", "fp32", "bf16"] = "auto"


@dataclass(frozen=True)
class InvertedFileOptions:
    """Building and searching an inverted file of faiss.

    Attributes:
        index_from: minimum number of vectors for which `auto` takes the index.
        lists_per_root: number of lists, as a multiple of the square root of the number of vectors.
        trained_per_list: vectors per list that k-means is trained on.
        kmeans_rounds: iterations of k-means.
        fp16_up_to: number of vectors up to which the index stores two bytes per dimension; above, it stores one.
        margin: how far below the minimum cosine a hit of the index may be to be scored again: the index rounds.
        pair_recall: wanted share of the pairs above a cosine.
        pair_sample: vectors in each of the two samples of pairs: one to choose the number of probes, one to measure.
        neighbour_recall: wanted share of the nearest neighbours.
        neighbour_sample: vectors whose neighbours are looked up to choose the number of probes.
        neighbours: nearest neighbours of each of them.
        neighbour_probes: lists that are searched for neighbours at first.
        spare: additional hits to take from the index when looking for neighbours, because it rounds.
        seed: of the samples.
    """

    index_from: int = 200_000
    lists_per_root: float = 2.0
    trained_per_list: int = 40
    kmeans_rounds: int = 8
    fp16_up_to: int = 2_000_000
    margin: float = 0.01
    pair_recall: float = 0.994
    pair_sample: int = 1_000
    neighbour_recall: float = 0.99
    neighbour_sample: int = 200
    neighbours: int = 10
    neighbour_probes: int = 32
    spare: int = 10
    seed: int = 0
