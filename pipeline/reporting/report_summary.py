"""What the leaderboard needs of a report, in a file of a few kilobytes beside it: a report holds every score and label,
and reading thousands of them takes minutes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Self

from pipeline.core.values import Interval, Stored
from pipeline.evaluation.report import EvaluationReport, ThresholdKind
from pipeline.reporting.leaderboard import LeaderboardRow


class ReportSummary(Stored):
    """The headline figures of a report, and what they were measured on.

    Attributes:
        report_version: data version of the report.
        eval_version, dev_version, train_version, threshold_kind: as in the report.
        row: its row on a leaderboard, without the distance to the first.
    """

    report_version: str
    eval_version: str
    dev_version: str
    train_version: str
    threshold_kind: ThresholdKind
    row: LeaderboardRow

    @classmethod
    def of(cls, report: EvaluationReport) -> Self:
        """The summary of a report."""
        return cls(
            report_version=report.data_version,
            eval_version=report.eval_version,
            dev_version=report.dev_version,
            train_version=report.train_version,
            threshold_kind=report.threshold_kind,
            row=leaderboard_row(report, behind=None),
        )


@dataclass(frozen=True)
class SummarisedReport:
    """A report that is read only where its summary isn't enough.

    Attributes:
        summary: of the report.
        read: returns the whole report; raises `PipelineError` where it can't be read.
    """

    summary: ReportSummary
    read: Callable[[], EvaluationReport]

    @classmethod
    def of(cls, report: EvaluationReport) -> Self:
        """For a report that has been read already."""
        return cls(ReportSummary.of(report), lambda: report)


def leaderboard_row(report: EvaluationReport, behind: Interval | None) -> LeaderboardRow:
    """A report as one row, with how far it is behind the first."""
    training = report.training
    return LeaderboardRow(
        model=report.model,
        ap=report.intervals["ap"],
        behind=behind,
        accuracy=report.intervals["accuracy"],
        f1=report.intervals["f1"],
        unseen_ap=report.unseen.ap if report.unseen else None,
        run_folder=PurePath(training.run_folder).name if training else None,
        trained_on=training.origin.source if training else None,
        training_seconds=training.seconds if training else None,
        training_device=training.device if training else None,
        cost=training.cost if training else None,
        questions_per_second=report.questions / report.seconds,
        device=f"{report.device}, {report.precision}",
        evaluated_at=report.evaluated_at,
    )
