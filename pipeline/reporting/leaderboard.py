"""Every evaluated model on the same eval pairs, best first."""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import pandas as pd
from pydantic import AwareDatetime

from pipeline.core.errors import counted
from pipeline.core.files import content_version
from pipeline.core.foreign_text import for_csv, for_markdown
from pipeline.core.tables import Table, markdown_lines
from pipeline.core.values import Cost, FrozenModel, Interval, StoredValue
from pipeline.evaluation.report import THRESHOLDS, ThresholdKind
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import DataOrigin

COMPARED_ROWS = 20
"""So many of the first models are compared with the first, pair by pair, which takes their whole reports."""

SHOWN_ROWS = 100
"""So many stand in the table for people; the CSV has all."""

_SHORT_VERSION = 8
"""Characters of a model's version, where its name is not enough."""


class LeaderboardRow(FrozenModel):
    """One model.

    Attributes:
        ap, accuracy, f1: by cosine, at the thresholds of the report.
        behind: average precision minus the first model's, resampled pair by pair; None in the first row, and after the
            first `COMPARED_ROWS`.
        unseen_ap: average precision on pairs of which the model's training has seen neither question.
        run_folder: name of the training's folder; None for a base model.
        trained_on: source of the training pairs; None for a base model.
        training_seconds: wall-clock time of the training.
        training_device: what it was trained on.
        cost: of a remote training, where a price is known.
        questions_per_second: embedded in the evaluation.
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
    """A name for each row that tells it from the others.

    A base model has its own. Models of one base model are called alike, so the number of the run folder stands behind:
    `all-MiniLM-L6-v2-ft 1702914571` is in `sentence-transformers-ft-1702914571`. Where two names are still the same, as
    of a base model at two commits, the head of the model's version stands behind.
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
    """What a leaderboard's version is made of; see `EvaluationReport.data_version`."""
    return {"estimate": value.estimate, "low": value.low, "high": value.high}


class Leaderboard(StoredValue):
    """Models that were measured on the same pairs with the same kind of threshold.

    Attributes:
        rows: by descending average precision.
        left_out: reports that don't belong here: how many for each reason.
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
        """Hash of who stands where with what; speed doesn't count."""
        return content_version(
            [self.eval_version, self.threshold_kind, [[row.model.version, _interval(row.ap)] for row in self.rows]]
        )

    def to_csv(self) -> str:
        """The rows of `to_frame`, with texts that no spreadsheet computes."""
        frame = self.to_frame()
        for name in frame.columns:
            frame[name] = [for_csv(cell) if isinstance(cell, str) else cell for cell in frame[name]]
        return frame.to_csv(index=False)

    def to_frame(self) -> pd.DataFrame:
        """A row for each model: what its columns mean is said by `LeaderboardRow`."""
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
        """As a table, with what it was measured on above and what was left out below."""
        synthetic = " (synthetic)" if self.origin.synthetic else ""
        lines = [
            for_markdown(
                f"{self.pairs:,} eval pairs of {self.origin.source}{synthetic}, {self.positive_rate:.1%} duplicates. "
                f"{THRESHOLDS[self.threshold_kind]}"
            ),
            "",
            *markdown_lines(self._table()),
            "",
            "Neighbours whose difference may be zero could as well stand in the other order. The number behind a model "
            "is that of its run folder: `sentence-transformers-ft-…`.",
        ]
        if len(self.rows) > COMPARED_ROWS:
            lines.append(f"The first {COMPARED_ROWS} models are compared with the first, pair by pair.")
        if (more := len(self.rows) - SHOWN_ROWS) > 0:
            lines.append(f"leaderboard.csv has {counted(more, 'more row')}.")
        for reason, count in self.left_out.items():
            lines.append(for_markdown(f"Left out: {counted(count, 'report')} {reason}."))
        return "\n".join(lines) + "\n"

    def _table(self) -> Table:
        # Figures first: the UI cuts a wide table off at the right.
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
