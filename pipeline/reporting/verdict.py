"""The headline of a report: one sentence on whether the model is better than its baseline."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.values import Interval
from pipeline.evaluation.report import EvaluationReport

HEADLINES = {
    "mining_ap": ("finding the duplicates in a corpus", "mining AP"),
    "recall_at_10": ("finding the duplicates of a question", "recall@10"),
}
"""For each figure of mining or retrieval: the task, as it follows *better at*, and the figure's short name."""


@dataclass(frozen=True)
class _Difference:
    """One comparison with the baseline.

    Attributes:
        at: the task, as it follows *better at*.
        figure: its metric.
        value: the model's figure minus the baseline's; a plain number if there is no interval.
    """

    at: str
    figure: str
    value: Interval | float

    def text(self, *, explains: bool) -> str:
        """The difference in words. The first one in a sentence explains the interval."""
        if not isinstance(self.value, Interval):
            return f"{self.at} ({self.figure} {self.value:+.4f})"
        low, high = f"{self.value.low:+.4f}", f"{self.value.high:+.4f}"
        return f"{self.at} ({self.figure} {self.value.estimate:+.4f}, {'95 % interval ' * explains}{low} to {high})"


def verdict(report: EvaluationReport) -> str | None:
    """Say where the model is better than its baseline, worse, or not significantly different, at its three tasks.

    A difference is significant if its 95 % interval excludes zero. Return None for a report without a baseline.
    """
    differences = _differences(report)
    if not differences:
        return None
    better = [d for d in differences if isinstance(d.value, Interval) and d.value.low > 0]
    worse = [d for d in differences if isinstance(d.value, Interval) and d.value.high < 0]
    alike = [d for d in differences if isinstance(d.value, Interval) and d.value.low <= 0 <= d.value.high]
    unsure = [d for d in differences if not isinstance(d.value, Interval)]
    # Only the first listed difference with an interval explains what the numbers are.
    explained: list[_Difference] = next((part for part in (better, worse, alike) if part), [])

    def listed(part: Sequence[_Difference]) -> str:
        texts = [d.text(explains=part is explained and d is part[0]) for d in part]
        return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else texts[0]

    sentence = ""
    if better:
        sentence = f"Better than the baseline at {listed(better)}"
    if worse:
        sentence += f", but worse at {listed(worse)}" if better else f"Worse than the baseline at {listed(worse)}"
    if alike:
        sentence += (
            f"; no significant difference at {listed(alike)}"
            if sentence
            else f"No significant difference from the baseline at {listed(alike)}"
        )
    if unsure:
        sentence += f"; without an interval, measured by an earlier release: {listed(unsure)}"
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
