"""Find every pair at or above a cosine by comparing all vectors with all others, tile by tile.

Each tile is the product of two blocks of vectors. Only tiles on and above the diagonal are computed.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from pipeline.core.progress import Advanced, OnProgress, ignore
from pipeline.duplicates.engine import Engine, refuse_too_many
from pipeline.duplicates.mined import CosinePairs
from pipeline.duplicates.tiles import Comparison, Found, joined
from pipeline.duplicates.vectors import Vectors

STAGE = "comparing all questions with each other"


@dataclass(frozen=True)
class ExactSettings:
    """How the work is cut.

    Attributes:
        rows: vectors that stay in memory while all others pass by.
        columns: vectors that are compared with them at once.
        tile_rows: see `Comparison`.
        precision: `auto` takes bf16 for the first pass where it is faster.
    """

    rows: int = 16_384
    columns: int = 2_048
    tile_rows: int = 512
    precision: Literal["auto", "fp32", "bf16"] = "auto"


class ExactTiles(Engine):
    """Compares all with all: finds every pair, in time that grows with the square."""

    name: ClassVar[str] = "exact"

    def __init__(self, settings: ExactSettings | None = None) -> None:
        self.settings = settings or ExactSettings()

    def pairs(self, vectors: Vectors, floor: float, on_progress: OnProgress = ignore) -> CosinePairs:
        """See `Engine.pairs`: every one of them."""
        cut, n = self.settings, len(vectors)
        comparison = Comparison.at(floor, cut.precision, cut.tile_rows)
        found: list[Found] = []
        count, done, total = 0, 0, n * (n + 1) // 2
        on_progress(Advanced(STAGE, 0, total))
        for top in range(0, n, cut.rows):
            rows = vectors.block(top, min(top + cut.rows, n))
            prepared = comparison.tensor(rows)
            for left in range(top, n, cut.columns):
                columns = vectors.block(left, min(left + cut.columns, n))
                # Later rows come after all of these columns.
                used = prepared[: left + len(columns) - top]
                first, second = comparison.hopeful(used, comparison.tensor(columns))
                above = first + top < second + left
                part = comparison.scored(rows, columns, first[above], second[above])
                count += len(part[0])
                refuse_too_many(count, floor)
                found.append((part[0] + top, part[1] + left, part[2]))
                done += _above_diagonal(top, left, len(rows), len(columns))
                on_progress(Advanced(STAGE, done, total))
        return CosinePairs.of(n, floor, *joined(found))


def _above_diagonal(top: int, left: int, height: int, width: int) -> int:
    """How many pairs of a tile have their row at or before their column."""
    starts = np.maximum(np.arange(top, top + height) - left, 0)
    return int(np.maximum(width - starts, 0).sum())
