"""Find every pair at or above a cosine by comparing all vectors with all others, tile by tile.

Each tile is the product of two blocks of vectors. Only tiles on and above the diagonal are computed.

Where the CPU is faster in bf16, a tile is computed in bf16 first, and pairs that may reach the floor again in fp32. No
pair is missed: each factor is rounded by at most 2^-9 of itself, so by the Cauchy-Schwarz inequality the product of two
vectors of length 1 is off by at most 2^-8 (and a little), and rounding the result adds at most 2^-9.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.core.progress import Advanced, OnProgress, ignore
from pipeline.vectors.blocks import ArrayVectors, Vectors, pair_cosines
from pipeline.vectors.options import ExactOptions
from pipeline.vectors.pairs import CosinePairs, Engine, refuse_too_many

STAGE = "comparing all questions with each other"
_BF16_ERROR = 2**-8 + 2**-16 + 2**-9 + 1e-4


class ExactEngine(Engine):
    """Compares all vectors with all others: finds every pair, in time that grows with the square of their number."""

    name: ClassVar[str] = "exact"

    def __init__(self, options: ExactOptions | None = None) -> None:
        self.options = options or ExactOptions()

    def pairs(self, vectors: Vectors, floor: float, on_progress: OnProgress = ignore) -> CosinePairs:
        """See `Engine.pairs`: all of them."""
        options, n = self.options, len(vectors)
        first_pass = _FirstPass.at(floor, options)
        firsts, seconds = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        cosines = [np.empty(0, dtype=np.float32)]
        count, done, total = 0, 0, n * (n + 1) // 2
        on_progress(Advanced(STAGE, 0, total))
        for top in range(0, n, options.rows):
            rows = vectors.block(top, min(top + options.rows, n))
            prepared = first_pass.tensor(rows)
            for left in range(top, n, options.columns):
                columns = vectors.block(left, min(left + options.columns, n))
                # Later rows come after all of these columns.
                used = prepared[: left + len(columns) - top]
                row, column = first_pass.candidates(used, first_pass.tensor(columns))
                above = row + top < column + left
                row, column = row[above], column[above]
                cosine = pair_cosines(rows, ArrayVectors(columns), row, column)
                kept = cosine >= np.float32(floor)
                firsts.append(row[kept] + top)
                seconds.append(column[kept] + left)
                cosines.append(cosine[kept])
                count += len(cosines[-1])
                refuse_too_many(count, floor)
                done += _above_diagonal(top, left, len(rows), len(columns))
                on_progress(Advanced(STAGE, done, total))
        return CosinePairs.of(n, floor, np.concatenate(firsts), np.concatenate(seconds), np.concatenate(cosines))


def _above_diagonal(top: int, left: int, height: int, width: int) -> int:
    """How many pairs of a tile have their row at or before their column."""
    starts = np.maximum(np.arange(top, top + height) - left, 0)
    return int(np.maximum(width - starts, 0).sum())


@dataclass(frozen=True)
class _FirstPass:
    """Finds the pairs of a tile that may reach the floor.

    Attributes:
        bf16: whether it computes in bf16.
        bound: minimum product of a pair that may reach the floor.
        tile_rows: see `ExactOptions`.
    """

    bf16: bool
    bound: float
    tile_rows: int

    @classmethod
    def at(cls, floor: float, options: ExactOptions) -> "_FirstPass":
        from pipeline.models.precision import resolve_precision

        # `_largest_of_rows` is right for bf16 only where the bound is positive.
        bf16 = resolve_precision(options.precision, "cpu") == "bf16" and floor - _BF16_ERROR > 2**-8
        bound = _bf16_below(floor - _BF16_ERROR) if bf16 else float(np.float32(floor))
        return cls(bf16, bound, options.tile_rows)

    def tensor(self, block: np.ndarray) -> Any:
        """A block of vectors in the precision of this pass."""
        import torch

        # torch warns about an array that can't be written to, such as a mapped file.
        tensor = torch.from_numpy(block if block.flags.writeable else block.copy())
        return tensor.bfloat16() if self.bf16 else tensor

    def candidates(self, rows: Any, columns: Any) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of each pair that may reach the floor, both int64."""
        import torch

        firsts, seconds = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        flipped = columns.T
        with torch.inference_mode():
            for start in range(0, len(rows), self.tile_rows):
                products = rows[start : start + self.tile_rows] @ flipped
                # Few rows have a hit, and finding the largest product of a row takes a fraction of the time of
                # comparing all of them with the bound.
                some = torch.nonzero(_largest_of_rows(products) >= self.bound)[:, 0]
                if len(some):
                    hit = torch.nonzero(products[some] >= self.bound)
                    firsts.append(some[hit[:, 0]].numpy() + start)
                    seconds.append(hit[:, 1].numpy())
        return np.concatenate(firsts), np.concatenate(seconds)


def _bf16_below(bound: float) -> float:
    """A bf16 number at or below the bound: torch rounds what it compares with to the type of the products."""
    import torch

    rounded = float(torch.tensor(bound).bfloat16())
    return rounded if rounded <= bound else rounded - 2**-8


def _largest_of_rows(products: Any) -> Any:
    """The largest product of each row; for bf16 by its bits, ten times as fast.

    The bits of a positive bf16 number, read as an integer, grow with it, and those of a negative one are a negative
    integer. So in a row with a positive product that of the largest integer is the largest; in a row without one the
    result is some negative product, which reaches no bound above 0.
    """
    import torch

    if products.dtype != torch.bfloat16:
        return products.amax(dim=1)
    return products.view(torch.int16).amax(dim=1).view(torch.bfloat16)
