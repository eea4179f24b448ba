"""Every evaluated model on the same eval pairs, best first."""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pipeline.core.errors import PipelineError
from pipeline.core.references import Cost, DataOrigin, Interval, ModelReference, Reference
from pipeline.core.storage import content_version
from pipeline.evaluation.bootstrap import Bootstrap, interval
from pipeline.evaluation.measuring import EvaluationOptions
from pipeline.evaluation.report import THRESHOLDS, EvaluationReport, ThresholdKind
from pipeline.evaluation.report_builder import EvaluationData, threshold_kind
from pipeline.question_pairs.splits import question_components
from pipeline.reporting.markdown import escaped, table_lines
from pipeline.reporting.sections import Table


class LeaderboardOptions(EvaluationOptions):
    """Which models stand on the leaderboard beside those that have a report, and how they are measured."""

    base_models: list[str] = Field(
        default=[],
        description="Further base models to measure on the eval pairs: `bundled`, folders or Hugging Face ids, as "
        "`model` of base_model takes them. A model that has been measured on these pairs isn't measured again.",
    )


class LeaderboardRow(BaseModel):
    """One model.

    Attributes:
        ap, accuracy, f1: by cosine, at the thresholds of the report.
        behind: average precision minus the first model's, resampled pair by pair; None in the first row.
        unseen_ap: average precision on pairs of which the model's training has seen neither question.
        run_folder: name of the training's folder; None for a base model.
        trained_on: source of the training pairs; None for a base model.
        training_seconds: wall-clock time of the training.
        training_device: what it was trained on.
        cost: of a remote training, where a price is known.
        questions_per_second: embedded in the evaluation.
        device: of the evaluation, with its precision.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelReference
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


class Leaderboard(Reference):
    """Models that were measured on the same pairs with the same kind of threshold.

    Attributes:
        rows: by descending average precision.
        left_out: reports that don't belong here: how many for each reason.
    """

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
            [self.eval_version, self.threshold_kind, [[row.model.version, row.ap.model_dump()] for row in self.rows]]
        )

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
            escaped(
                f"{self.pairs:,} eval pairs of {self.origin.source}{synthetic}, {self.positive_rate:.1%} duplicates. "
                f"{THRESHOLDS[self.threshold_kind]}"
            ),
            "",
            *table_lines(self._table()),
            "",
            "Neighbours whose difference may be zero could as well stand in the other order.",
        ]
        for reason, count in self.left_out.items():
            lines.append(f"Left out: {count:,} {'report' if count == 1 else 'reports'} {reason}.")
        return "\n".join(lines) + "\n"

    def _table(self) -> Table:
        header = (
            "",
            "model",
            "trained on",
            "AP (95 % interval)",
            "behind the first (95 % interval)",
            "F1",
            "AP, questions unseen",
            "training",
            "cost",
            "questions/s",
        )
        return Table("Models", header, tuple(self._cells(rank, row) for rank, row in enumerate(self.rows, 1)), texts=3)

    @staticmethod
    def _cells(rank: int, row: LeaderboardRow) -> tuple[str, ...]:
        return (
            str(rank),
            f"{row.model.name} ({row.run_folder})" if row.run_folder else row.model.name,
            row.trained_on or "–",
            str(row.ap),
            row.behind.signed if row.behind else "–",
            f"{row.f1.estimate:.4f}",
            f"{row.unseen_ap.estimate:.4f}" if row.unseen_ap else "–",
            "–" if row.training_seconds is None else f"{row.training_seconds:,.0f} s on {row.training_device}",
            str(row.cost) if row.cost else "–",
            f"{row.questions_per_second:,.0f} on {row.device}",
        )


def measured_on(report: EvaluationReport, data: EvaluationData) -> bool:
    """Whether a report is about these eval pairs, with the thresholds and the *seen* questions of these splits."""
    versions = (report.eval_version, report.dev_version, report.train_version)
    return versions == tuple(part.data_version for part in (data.eval_split, data.dev_split, data.train_split))


def build_leaderboard(reports: Iterable[EvaluationReport], data: EvaluationData, unreadable: int = 0) -> Leaderboard:
    """Rank the models of those reports that were measured on this eval split, with its kind of threshold.

    Of several reports of one model the newest counts. Reports on other pairs are left out, so synthetic data never
    stands beside real data.

    Args:
        reports: in any order.
        data: the splits; only the eval split's pairs and where thresholds come from matter.
        unreadable: stored reports that couldn't be read; they are only counted.

    Raises:
        PipelineError: when no report belongs here.
    """
    version, kind = data.eval_split.data_version, threshold_kind(data.dev_split)
    newest: dict[str, EvaluationReport] = {}
    left_out: Counter[str] = Counter()
    for report in sorted(reports, key=lambda report: report.evaluated_at):
        if report.eval_version != version:
            left_out["on other eval pairs"] += 1
        elif report.threshold_kind != kind:
            left_out["with another kind of threshold"] += 1
        else:
            newest[report.model.version] = report
    if not newest:
        raise PipelineError(
            f"no model has a report on the current eval pairs (eval_split {version}, {kind} thresholds): rematerialise "
            "baseline_eval_report"
        )
    if unreadable:
        left_out["that can't be read, made by another version of this project"] = unreadable
    ranked = sorted(newest.values(), key=lambda report: (-report.cosine.ap, report.model.version))
    return Leaderboard(
        eval_version=version,
        threshold_kind=kind,
        origin=data.eval_split.origin,
        pairs=len(data.eval_split),
        positive_rate=data.eval_split.positive_rate,
        rows=_rows(ranked, data),
        left_out=dict(left_out),
    )


def _rows(ranked: list[EvaluationReport], data: EvaluationData) -> list[LeaderboardRow]:
    labels = data.eval_split.labels
    bootstrap = Bootstrap.draw(question_components(data.eval_split.pairs))
    best = bootstrap.average_precision(ranked[0].scores, labels)
    rows = []
    for report in ranked:
        behind = None
        if report is not ranked[0]:
            resampled = bootstrap.average_precision(report.scores, labels)
            behind = interval(report.cosine.ap - ranked[0].cosine.ap, resampled - best)
        training = report.training
        rows.append(
            LeaderboardRow(
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
        )
    return rows
