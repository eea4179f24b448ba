"""The leaderboard as a value and a table: every model that was evaluated on the same eval pairs, best first."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import ClassVar, Self

import pandas as pd
from pydantic import AwareDatetime

from pipeline.core.errors import counted
from pipeline.core.files import content_version
from pipeline.core.foreign_text import for_csv, for_markdown
from pipeline.core.tables import Table, markdown_lines
from pipeline.core.values import Cost, FrozenModel, Interval, Stored, StoredValue
from pipeline.evaluation.report import THRESHOLDS, EvaluationReport, ThresholdKind
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import DataOrigin

COMPARED_ROWS = 20
"""The number of models to compare with the first, pair by pair, which takes their whole reports."""

SHOWN_ROWS = 100
"""The number of rows in the table for people; the CSV has all."""

SUMMARY_FILE_NAME = "summary.json"
"""Next to a stored report: its `ReportSummary`."""

_SHORT_VERSION = 8
"""Characters of a model's version to show where its name is ambiguous."""


class LeaderboardRow(FrozenModel):
    """One model.

    Attributes:
        ap, accuracy, f1: by cosine, at the thresholds of the report.
        behind: average precision minus the first model's, resampled pair by pair; None in the first row, and after
            `COMPARED_ROWS` rows.
        unseen_ap: average precision on pairs with neither question in the training split.
        run_folder: name of the training's folder; None for a base model.
        trained_on: source of the training pairs; None for a base model.
        training_seconds: wall-clock time of the training.
        training_device: the device of the training.
        cost: of a remote training, if the price is known.
        questions_per_second: embedding speed in the evaluation.
        device: of the evaluation, with its precision.
    """

    model: ModelInfo
    ap: Interval
    behind: Interval | None
    accuracy: Interval
    f1: Interval
    unseen_ap: Interval | None
    run_folder: str | None
    trained_on: str | None
    training_seconds: float | None
    training_device: str | None
    cost: Cost | None
    questions_per_second: float
    device: str
    evaluated_at: AwareDatetime


def shown_names(rows: Sequence[LeaderboardRow]) -> list[str]:
    """Return a unique name for each row.

    Models fine-tuned from one base model have the same name, so the number of the run folder is added:
    `all-MiniLM-L6-v2-ft 1702914571` is in `sentence-transformers-ft-1702914571`. If two names are still the same, such
    as a base model's at two commits, the start of the model's version is added.
    """
    names = [
        f"{row.model.name.rpartition('--')[2]} {row.run_folder.rpartition('-')[2]}"
        if row.run_folder
        else row.model.name
        for row in rows
    ]
    count = Counter(names)
    return [
        f"{name} ({row.model.version[:_SHORT_VERSION]})" if count[name] > 1 else name
        for name, row in zip(names, rows, strict=True)
    ]


def _interval(value: Interval) -> dict[str, float]:
    """The fields that a leaderboard's version is made of; see `EvaluationReport.data_version`."""
    return {"estimate": value.estimate, "low": value.low, "high": value.high}


class Leaderboard(StoredValue):
    """Models that were evaluated on the same pairs with the same kind of threshold.

    Attributes:
        rows: by descending average precision.
        left_out: the number of excluded reports for each reason.
    """

    stored_name: ClassVar[str] = "Leaderboard"

    eval_version: str
    threshold_kind: ThresholdKind
    origin: DataOrigin
    pairs: int
    positive_rate: float
    rows: list[LeaderboardRow]
    left_out: dict[str, int]

    @property
    def data_version(self) -> str:
        """Hash of the order and the average precisions; speed doesn't count."""
        return content_version(
            [self.eval_version, self.threshold_kind, [[row.model.version, _interval(row.ap)] for row in self.rows]]
        )

    def to_csv(self) -> str:
        """The rows of `to_frame`, with texts that no spreadsheet runs as formulas."""
        frame = self.to_frame()
        for name in frame.columns:
            frame[name] = [for_csv(cell) if isinstance(cell, str) else cell for cell in frame[name]]
        return frame.to_csv(index=False)

    def to_frame(self) -> pd.DataFrame:
        """One row for each model; see `LeaderboardRow` for the columns."""
        records = []
        for rank, row in enumerate(self.rows, start=1):
            intervals = {"ap": row.ap, "accuracy": row.accuracy, "f1": row.f1, "unseen_ap": row.unseen_ap}
            figures = {
                f"{name}{suffix}": getattr(value, field) if value else None
                for name, value in intervals.items()
                for suffix, field in (("", "estimate"), ("_low", "low"), ("_high", "high"))
            }
            others = row.model_dump(exclude={"model", "behind", "cost", *intervals})
            others["cost"] = row.cost.amount if row.cost else None
            records.append({"rank": rank, "model": row.model.name, "version": row.model.version, **figures, **others})
        return pd.DataFrame(records)

    def to_markdown(self) -> str:
        """The table, with the eval pairs above and the excluded reports below."""
        synthetic = " (synthetic)" if self.origin.synthetic else ""
        lines = [
            for_markdown(
                f"{self.pairs:,} eval pairs of {self.origin.source}{synthetic}, {self.positive_rate:.1%} duplicates. "
                f"{THRESHOLDS[self.threshold_kind]}"
            ),
            "",
            *markdown_lines(self._table()),
            "",
            "Models whose difference may be zero could also be in the other order. The number after a model is that of "
            "its run folder: `sentence-transformers-ft-…`.",
        ]
        if len(self.rows) > COMPARED_ROWS:
            lines.append(f"The best {COMPARED_ROWS} models are compared with the first, pair by pair.")
        if (more := len(self.rows) - SHOWN_ROWS) > 0:
            lines.append(f"leaderboard.csv has {counted(more, 'more row')}.")
        for reason, count in self.left_out.items():
            lines.append(for_markdown(f"Left out: {counted(count, 'report')} {reason}."))
        return "\n".join(lines) + "\n"

    def _table(self) -> Table:
        # Figures come first, because the UI cuts a wide table off on the right.
        header = (
            "",
            "model",
            "AP",
            "its 95 % interval",
            "behind the first",
            "its 95 % interval",
            "F1",
            "AP, unseen questions",
            "trained on",
            "training",
            "cost",
            "questions/s",
        )
        shown = self.rows[:SHOWN_ROWS]
        named = zip(shown_names(self.rows), shown, strict=False)
        return Table(
            "Models", header, tuple(self._cells(rank, name, row) for rank, (name, row) in enumerate(named, 1)), texts=2
        )

    @staticmethod
    def _cells(rank: int, name: str, row: LeaderboardRow) -> tuple[str, ...]:
        return (
            str(rank),
            name,
            f"{row.ap.estimate:.4f}",
            f"{row.ap.low:.4f}–{row.ap.high:.4f}",
            f"{row.behind.estimate:+.4f}" if row.behind else "–",
            f"{row.behind.low:+.4f} to {row.behind.high:+.4f}" if row.behind else "–",
            f"{row.f1.estimate:.4f}",
            f"{row.unseen_ap.estimate:.4f}" if row.unseen_ap else "–",
            row.trained_on or "–",
            "–" if row.training_seconds is None else f"{row.training_seconds:,.0f} s on {row.training_device}",
            str(row.cost) if row.cost else "–",
            f"{row.questions_per_second:,.0f} on {row.device}",
        )


def leaderboard_row(report: EvaluationReport, behind: Interval | None) -> LeaderboardRow:
    """Make the row of a report, with its distance to the first model."""
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


class ReportSummary(Stored):
    """The headline figures of a report in a few kilobytes: reading thousands of whole reports would take minutes.

    Attributes:
        report_version: data version of the report.
        eval_version, dev_version, train_version, threshold_kind: as in the report.
        row: its row on a leaderboard, with `behind` empty.
    """

    report_version: str
    eval_version: str
    dev_version: str
    train_version: str
    threshold_kind: ThresholdKind
    row: LeaderboardRow

    @classmethod
    def of(cls, report: EvaluationReport) -> Self:
        """Summarise a report."""
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
    """A stored report that is read as a whole only when its summary isn't enough.

    Attributes:
        read: returns the whole report; raises `PipelineError` if it can't be read.
    """

    summary: ReportSummary
    read: Callable[[], EvaluationReport]

    @classmethod
    def of(cls, report: EvaluationReport) -> Self:
        """Wrap a report that has been read already."""
        return cls(ReportSummary.of(report), lambda: report)
