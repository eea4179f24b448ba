"""Ranks the models that were measured on the same eval pairs: how the leaderboard is made."""

from collections import Counter
from collections.abc import Iterable

from pipeline.core.errors import PipelineError
from pipeline.evaluation.bootstrap import Bootstrap, interval
from pipeline.evaluation.report import EvaluationReport
from pipeline.evaluation.report_builder import threshold_kind
from pipeline.question_pairs.questions import question_components
from pipeline.question_pairs.schema import Splits
from pipeline.question_pairs.sides import require_sound_splits
from pipeline.reporting.leaderboard import COMPARED_ROWS, Leaderboard, LeaderboardRow
from pipeline.reporting.report_summary import ReportSummary, SummarisedReport, leaderboard_row


def measured_on(report: EvaluationReport | ReportSummary, splits: Splits) -> bool:
    """Whether a report is about these eval pairs, with the thresholds and the *seen* questions of these splits."""
    versions = (report.eval_version, report.dev_version, report.train_version)
    return versions == tuple(part.data_version for part in (splits.eval, splits.dev, splits.train))


def build_leaderboard(reports: Iterable[SummarisedReport], splits: Splits, unreadable: int = 0) -> Leaderboard:
    """Rank the models of those reports that were measured on this eval split, with its kind of threshold.

    Of several reports of one model the newest counts, of those on all current splits if there are any. Reports on other
    pairs are left out, so synthetic data never stands beside real data. The first `COMPARED_ROWS` models are compared
    with the first pair by pair, for which their reports are read whole; a report that can't be read then is left out.

    Args:
        reports: in any order.
        splits: only the eval split's pairs and where thresholds come from matter.
        unreadable: stored reports that couldn't be read; they are only counted.

    Raises:
        PipelineError: when no report belongs here, or the splits don't belong together.
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
        raise PipelineError(
            f"no model has a report on the current eval pairs (data version {splits.eval.data_version}, "
            f"{threshold_kind(splits.dev)} thresholds)",
            make_again="baseline report",
        )
    if unreadable:
        left_out["that can't be read, made by another version of this project"] = unreadable
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
    """The report of each model that counts, best first, and how many are left out for each reason."""
    version, kind = splits.eval.data_version, threshold_kind(splits.dev)
    newest: dict[str, SummarisedReport] = {}
    left_out: Counter[str] = Counter()
    # A clock may have been set back: a report with the splits of now counts before the time that is written in it.
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
    """The rows of these reports, the first model's first, with how far each is behind it."""
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
