"""What a rule finds of a value: does it hold, which figure was looked at, and the bound it was held against."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What a rule found.

    Attributes:
        passed: does it hold? True also where the rule doesn't apply.
        value: the figure that was looked at; None where there is none, as the rule doesn't apply.
        threshold: the bound that it was held against.
        said: the finding in a sentence.
    """

    passed: bool
    value: float | int | None
    threshold: float | int
    said: str

    @property
    def is_skipped(self) -> bool:
        """Whether the rule doesn't apply; `said` has the reason."""
        return self.passed and self.value is None


def skipped(reason: str, threshold: float) -> Finding:
    """The finding of a rule that doesn't apply, with the reason."""
    return Finding(True, None, threshold, f"skipped: {reason}")
