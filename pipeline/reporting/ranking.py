"""Build the leaderboard: rank the models that were evaluated on the same eval pairs."""

from collections import Counter
from collections.abc import Iterable

from pipeline.core.errors import NotFoundError, PipelineError
from pipeline.evaluation.bootstrap import Bootstrap, interval
from pipeline.evaluation.report import EvaluationReport
from pipeline.evaluation.report_builder import threshold_kind
from pipeline.question_pairs.questions import question_components
from pipeline.question_pairs.schema import Splits
from pipeline.question_pairs.sides import require_sound_splits
from pipeline.reporting.leaderboard import (
    COMPARED_ROWS,
    Leaderboard,
    LeaderboardRow,
    ReportSummary,
    SummarisedReport,
    leaderboard_row,
)


def measured_on(report: EvaluationReport | ReportSummary, splits: Splits) -> bool:
    """Whether a report was made on these eval pairs, with thresholds and *seen* questions from these splits."""
    versions = (report.eval_version, report.dev_version, report.train_version)
    return versions == tuple(part.data_version for part in (splits.eval, splits.dev, splits.train))


def build_leaderboard(reports: Iterable[SummarisedReport], splits: Splits, unreadable: int = 0) -> Leaderboard:
    """Rank the models with a report on this eval split and with its kind of threshold.

    Of several reports of one model the newest counts, preferably one on all current splits. Reports on other pairs are
    excluded, so synthetic and real data never mix. The best `COMPARED_ROWS` models are compared with the first, pair by
    pair, which reads their whole reports; a report that can't be read is excluded.

    Args:
        reports: in any order.
        splits: only the eval pairs and the source of thresholds matter.
        unreadable: the number of stored reports that couldn't be read.

    Raises:
        PipelineError: when no report qualifies, or the splits don't belong together.
    """
    require_sound_splits(splits)
    reports = list(reports)
    while True:
        ranked, left_out = _ranked(reports, splits)
        whole: list[EvaluationReport] = []
        damaged: list[SummarisedReport] = []
        for report in ranked[:COMPARED_ROWS]:
            try:
                whole.append(report.read())
            except PipelineError:
                damaged.append(report)
        if not damaged:
            break
        reports = [report for report in reports if not any(report is other for other in damaged)]
        unreadable += len(damaged)
    if not ranked:
        raise NotFoundError(
            f"no model has a report on the current eval pairs (data version {splits.eval.data_version}, "
            f"{threshold_kind(splits.dev)} thresholds)",
            make_again="baseline report",
            eval_version=splits.eval.data_version,
        )
    if unreadable:
        left_out["that can't be read, written by another version of this project"] = unreadable
    return Leaderboard(
        eval_version=splits.eval.data_version,
        threshold_kind=threshold_kind(splits.dev),
        origin=splits.eval.origin,
        pairs=len(splits.eval),
        positive_rate=splits.eval.positive_rate,
        rows=[*_compared(whole, splits), *(report.summary.row for report in ranked[COMPARED_ROWS:])],
        left_out=dict(left_out),
    )


def _ranked(reports: list[SummarisedReport], splits: Splits) -> tuple[list[SummarisedReport], Counter[str]]:
    """Return the report that counts for each model, best first, and the number of excluded ones for each reason."""
    version, kind = splits.eval.data_version, threshold_kind(splits.dev)
    newest: dict[str, SummarisedReport] = {}
    left_out: Counter[str] = Counter()
    # A clock may have been set back, so reports on the current splits count before newer ones.
    for report in sorted(reports, key=lambda each: (measured_on(each.summary, splits), each.summary.row.evaluated_at)):
        if report.summary.eval_version != version:
            left_out["on other eval pairs"] += 1
        elif report.summary.threshold_kind != kind:
            left_out["with another kind of threshold"] += 1
        else:
            newest[report.summary.row.model.version] = report
    best_first = sorted(newest.items(), key=lambda item: (-item[1].summary.row.ap.estimate, item[0]))
    return [report for _, report in best_first], left_out


def _compared(reports: list[EvaluationReport], splits: Splits) -> list[LeaderboardRow]:
    """Make the rows of these reports, with their distances to the first."""
    first, *others = reports
    if not others:
        return [leaderboard_row(first, behind=None)]
    labels = splits.eval.labels
    bootstrap = Bootstrap.draw(question_components(splits.eval.pairs))
    best = bootstrap.average_precision(first.scores, labels)
    rows = [leaderboard_row(first, behind=None)]
    for report in others:
        resampled = bootstrap.average_precision(report.scores, labels)
        rows.append(leaderboard_row(report, interval(report.cosine.ap - first.cosine.ap, resampled - best)))
    return rows
