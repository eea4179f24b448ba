"""What a report amounts to beside its baseline, in one sentence: the first thing that a reader sees, everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.values import Interval
from pipeline.evaluation.report import EvaluationReport

HEADLINES = {
    "mining_ap": ("finding the duplicates in a corpus", "mining AP"),
    "recall_at_10": ("finding the duplicates of a question", "recall@10"),
}
"""What a figure of mining or retrieval says the model is good at, and what it is called in short."""


@dataclass(frozen=True)
class _Difference:
    """What a model was compared at.

    Attributes:
        at: what the model does, as it follows *better at*.
        figure: what was measured of it.
        value: the model's figure minus the baseline's; a plain number where there is no interval.
    """

    at: str
    figure: str
    value: Interval | float

    def said(self, *, explains: bool) -> str:
        """With its interval, which the first difference of a sentence explains."""
        if not isinstance(self.value, Interval):
            return f"{self.at} ({self.figure} {self.value:+.4f})"
        low, high = f"{self.value.low:+.4f}", f"{self.value.high:+.4f}"
        return f"{self.at} ({self.figure} {self.value.estimate:+.4f}, {'95 % interval ' * explains}{low} to {high})"


def verdict(report: EvaluationReport) -> str | None:
    """Whether the model is better than its baseline, worse, or not told apart, at each of its three tasks.

    None where there is nothing to compare with. A difference counts where its 95 % interval lies on one side of zero.
    """
    differences = _differences(report)
    if not differences:
        return None
    better = [d for d in differences if isinstance(d.value, Interval) and d.value.low > 0]
    worse = [d for d in differences if isinstance(d.value, Interval) and d.value.high < 0]
    alike = [d for d in differences if isinstance(d.value, Interval) and d.value.low <= 0 <= d.value.high]
    unsure = [d for d in differences if not isinstance(d.value, Interval)]
    # The first part explains what the numbers are; a plain number needs no explanation.
    explained: list[_Difference] = next((part for part in (better, worse, alike) if part), [])

    def listed(part: Sequence[_Difference]) -> str:
        said = [d.said(explains=part is explained and d is part[0]) for d in part]
        return f"{', '.join(said[:-1])} and {said[-1]}" if len(said) > 1 else said[0]

    sentence = ""
    if better:
        sentence = f"Better than the baseline at {listed(better)}"
    if worse:
        sentence += f", but worse at {listed(worse)}" if better else f"Worse than the baseline at {listed(worse)}"
    if alike:
        shown = f"can be shown at {listed(alike)}"
        sentence += f"; no difference {shown}" if sentence else f"No difference to the baseline {shown}"
    if unsure:
        sentence += f"; without an interval, as an earlier release measured it: {listed(unsure)}"
    if len(differences) == 1:
        sentence += "; mining and retrieval were not compared"
    return f"{sentence}."


def _differences(report: EvaluationReport) -> list[_Difference]:
    found: list[_Difference] = []
    if gain := report.ap_gain:
        found.append(_Difference("telling duplicates from other pairs", "average precision", gain))
    if report.tasks and (before := report.baseline_tasks):
        for name, (at, figure) in HEADLINES.items():
            plain = getattr(report.tasks, name) - getattr(before, name)
            found.append(_Difference(at, figure, report.task_gains.get(name, plain)))
    return found
