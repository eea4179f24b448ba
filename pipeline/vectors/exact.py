"""Find every pair at or above a cosine by comparing all vectors with all others, tile by tile.

Each tile is the product of two blocks of vectors. Only tiles on and above the diagonal are computed.

Where the CPU is faster in bf16, a tile is computed in bf16 first, and pairs that may reach the floor again in fp32. No
pair is missed: each factor is rounded by at most 2^-9 of itself, so by the Cauchy-Schwarz inequality the product of two
vectors of length 1 is off by at most 2^-8 (and a little), and rounding the result adds at most 2^-9.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from pipeline.core.progress import Advanced, OnProgress, ignore
from pipeline.vectors.blocks import Vectors
from pipeline.vectors.pairs import CosinePairs, Engine, refuse_too_many

STAGE = "comparing all questions with each other"
_BF16_ERROR = 2**-8 + 2**-16 + 2**-9 + 1e-4
_RESCORED_AT_ONCE = 65_536

Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Pairs: positions or numbers of both, int64, and cosine, float32; all of shape (pairs,)."""

NOTHING: Found = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))


@dataclass(frozen=True)
class Comparison:
    """How blocks are compared.

    Attributes:
        floor: the cosine.
        bf16: whether the first pass is in bf16.
        bound: what a product reaches in the first pass where the pair may reach the floor.
        tile_rows: rows of one product: its result, 4 bytes a pair, should stay in the processor's cache.
    """

    floor: float
    bf16: bool
    bound: float
    tile_rows: int

    @classmethod
    def at(
        cls, floor: float, precision: Literal["auto", "fp32", "bf16"] = "auto", tile_rows: int = 512
    ) -> "Comparison":
        """The comparison at a floor; `auto` takes bf16 for the first pass where it is faster."""
        from pipeline.models.precision import resolve_precision

        # The bits of bf16 tell the largest product of a row where that is positive.
        bf16 = resolve_precision(precision, "cpu") == "bf16" and floor - _BF16_ERROR > 2**-8
        bound = _bf16_below(floor - _BF16_ERROR) if bf16 else float(np.float32(floor))
        return cls(floor, bf16, bound, tile_rows)

    def tensor(self, block: np.ndarray) -> Any:
        """A block of vectors as the first pass takes it."""
        import torch

        tensor = torch.from_numpy(block)
        return tensor.bfloat16() if self.bf16 else tensor

    def hopeful(self, rows: Any, columns: Any) -> tuple[np.ndarray, np.ndarray]:
        """Positions in rows and columns of the pairs that may reach the floor, both int64."""
        import torch

        firsts, seconds = [], []
        flipped = columns.T
        with torch.inference_mode():
            for start in range(0, len(rows), self.tile_rows):
                products = rows[start : start + self.tile_rows] @ flipped
                # Few rows have a hit, and the largest of a row is found in a fraction of the time that comparing all
                # takes.
                some = torch.nonzero(_largest_of_rows(products) >= self.bound)[:, 0]
                if len(some):
                    hit = torch.nonzero(products[some] >= self.bound)
                    firsts.append(some[hit[:, 0]].numpy() + start)
                    seconds.append(hit[:, 1].numpy())
        if not firsts:
            return NOTHING[0], NOTHING[1]
        return np.concatenate(firsts), np.concatenate(seconds)

    def scored(self, rows: np.ndarray, columns: np.ndarray, first: np.ndarray, second: np.ndarray) -> Found:
        """Those of the pairs that reach the floor in fp32, with their cosines."""
        cosines = [
            np.einsum(
                "ij,ij->i", rows[first[at : at + _RESCORED_AT_ONCE]], columns[second[at : at + _RESCORED_AT_ONCE]]
            )
            for at in range(0, len(first), _RESCORED_AT_ONCE)
        ]
        cosine = np.concatenate(cosines) if cosines else NOTHING[2]
        kept = cosine >= np.float32(self.floor)
        return first[kept], second[kept], cosine[kept]


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


def joined(parts: list[Found]) -> Found:
    """Several findings as one."""
    if not parts:
        return NOTHING
    first, second, cosine = (np.concatenate(column) for column in zip(*parts, strict=True))
    return first, second, cosine


def _bf16_below(bound: float) -> float:
    """A number at or below the bound that bf16 has: torch rounds what it compares with to the type of the products."""
    import torch

    rounded = float(torch.tensor(bound).bfloat16())
    return rounded if rounded <= bound else rounded - 2**-8


def _largest_of_rows(products: Any) -> Any:
    """The largest product of each row; for bf16 by its bits, ten times as quickly.

    The bits of a positive bf16 number, read as an integer, grow with it, and those of a negative one are a negative
    integer. So in a row with a positive product that of the largest integer is the largest; in a row without one the
    result is some negative product, which reaches no bound above 0.
    """
    import torch

    if products.dtype != torch.bfloat16:
        return products.amax(dim=1)
    return products.view(torch.int16).amax(dim=1).view(torch.bfloat16)
