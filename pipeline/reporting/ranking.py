"""Ranks the models that were measured on the same eval pairs: how the leaderboard is made."""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

from pipeline.core.errors import PipelineError
from pipeline.core.values import Interval
from pipeline.evaluation.bootstrap import Bootstrap, interval
from pipeline.evaluation.report import EvaluationReport
from pipeline.evaluation.report_builder import threshold_kind
from pipeline.question_pairs.questions import question_components
from pipeline.question_pairs.schema import Splits
from pipeline.question_pairs.sides import require_sound_splits
from pipeline.reporting.leaderboard import Leaderboard, LeaderboardRow


def measured_on(report: EvaluationReport, splits: Splits) -> bool:
    """Whether a report is about these eval pairs, with the thresholds and the *seen* questions of these splits."""
    versions = (report.eval_version, report.dev_version, report.train_version)
    return versions == tuple(part.data_version for part in (splits.eval, splits.dev, splits.train))


def build_leaderboard(reports: Iterable[EvaluationReport], splits: Splits, unreadable: int = 0) -> Leaderboard:
    """Rank the models of those reports that were measured on this eval split, with its kind of threshold.

    Of several reports of one model the newest counts, of those on all current splits if there are any. Reports on other
    pairs are left out, so synthetic data never stands beside real data.

    Args:
        reports: in any order.
        splits: only the eval split's pairs and where thresholds come from matter.
        unreadable: stored reports that couldn't be read; they are only counted.

    Raises:
        PipelineError: when no report belongs here, or the splits don't belong together.
    """
    require_sound_splits(splits)
    version, kind = splits.eval.data_version, threshold_kind(splits.dev)
    newest: dict[str, EvaluationReport] = {}
    left_out: Counter[str] = Counter()
    # A clock may have been set back: a report with the splits of now counts before the time that is written in it.
    for report in sorted(reports, key=lambda report: (measured_on(report, splits), report.evaluated_at)):
        if report.eval_version != version:
            left_out["on other eval pairs"] += 1
        elif report.threshold_kind != kind:
            left_out["with another kind of threshold"] += 1
        else:
            newest[report.model.version] = report
    if not newest:
        raise PipelineError(
            f"no model has a report on the current eval pairs (data version {version}, {kind} thresholds)",
            make_again="baseline report",
        )
    if unreadable:
        left_out["that can't be read, made by another version of this project"] = unreadable
    ranked = sorted(newest.values(), key=lambda report: (-report.cosine.ap, report.model.version))
    return Leaderboard(
        eval_version=version,
        threshold_kind=kind,
        origin=splits.eval.origin,
        pairs=len(splits.eval),
        positive_rate=splits.eval.positive_rate,
        rows=_rows(ranked, splits),
        left_out=dict(left_out),
    )


def _rows(ranked: list[EvaluationReport], splits: Splits) -> list[LeaderboardRow]:
    labels = splits.eval.labels
    bootstrap = Bootstrap.draw(question_components(splits.eval.pairs))
    best = bootstrap.average_precision(ranked[0].scores, labels)
    rows = []
    for report in ranked:
        behind = None
        if report is not ranked[0]:
            resampled = bootstrap.average_precision(report.scores, labels)
            behind = interval(report.cosine.ap - ranked[0].cosine.ap, resampled - best)
        rows.append(leaderboard_row(report, behind))
    return rows


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
