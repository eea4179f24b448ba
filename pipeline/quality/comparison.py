"""What comes of holding a candidate against the model in production, as values."""

from dataclasses import dataclass

from pipeline.core.errors import counted
from pipeline.core.values import Interval


@dataclass(frozen=True)
class Comparison:
    """Two models by cosine average precision on the same pairs.

    Attributes:
        pairs: eval pairs that neither was trained on, or chosen by.
        left_out: eval pairs that one of them was.
        candidate, current: the figure of each.
        difference: candidate minus current, with the 95 % interval of the bootstrap that `EvaluationReport` uses.
        measured_now: the model in production was measured for this; False where its own report has the scores.
    """

    pairs: int
    left_out: int
    candidate: float
    current: float
    difference: Interval
    measured_now: bool

    @property
    def said(self) -> str:
        """The comparison in a sentence."""
        left_out = f" ({self.left_out:,} that one of them was trained on left out)" if self.left_out else ""
        measured = ", measured now" if self.measured_now else ""
        return (
            f"on {counted(self.pairs, 'eval pair')}{left_out} average precision is {self.candidate:.4f}, that of the "
            f"model in production {self.current:.4f}{measured}: {self.difference.signed}"
        )


@dataclass(frozen=True)
class NoComparison:
    """Two models that can't be compared, and why."""

    reason: str
