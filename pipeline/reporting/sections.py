"""The content of a report, in order: sections of sentences, tables and pictures, for the page, Markdown and card."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.core.foreign_text import shortened
from pipeline.core.tables import Table
from pipeline.evaluation.report import COMPARED, THRESHOLDS, EvaluationReport, Mistake, compare
from pipeline.models.fine_tuned import REMOVED_KNOBS, FineTunedModel

METRIC_NAMES = {
    "ap": "average precision",
    "roc_auc": "ROC AUC",
    "accuracy": "accuracy",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "mcc": "MCC",
}
_TASK_NAMES = {
    "mining_ap": "duplicate mining, average precision",
    "mining_f1": "duplicate mining, best F1",
    "mrr_at_10": "retrieval, MRR@10",
    "ndcg_at_10": "retrieval, nDCG@10",
    "recall_at_1": "retrieval, recall@1",
    "recall_at_10": "retrieval, recall@10",
    "recall_at_100": "retrieval, recall@100",
}


SETTINGS_OF_LOSSES = {
    "online_contrastive": {"margin", "group_size"},
    "contrastive": {"margin"},
    "cosent": {"scale"},
    "angle": {"scale"},
    "binary_cross_entropy": {"scale", "center"},
    "multiple_negatives_ranking": {"scale"},
    "distillation_embeddings": set(),
}
"""The settings of a recipe that each loss reads."""

_OF_A_DEV_SPLIT = {"evaluations_per_epoch", "load_best_model_at_end", "keep", "patience"}

_SHOWN_OF_A_QUESTION = 500
"""Characters: a question of a hundred thousand would make the page unreadable."""


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        pictures: names of the pictures to show; those that the report has no data for are left out.
        notes: sentences below the tables.
    """

    title: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def sections(report: EvaluationReport) -> Iterator[Section]:
    """Yield the whole report, compared with its baseline if it has one."""
    yield from results(report)
    if report.training:
        yield _training(report.training)
    if report.mistakes:
        yield _mistakes(report)


def results(report: EvaluationReport) -> Iterator[Section]:
    """Yield the figures alone, without rows of the data."""
    yield _headline(report)
    yield _similarities(report)
    yield _probability(report)
    yield _slices(report)
    yield _tasks(report)


def title(report: EvaluationReport) -> str:
    """Return one line that names the model and the pairs."""
    synthetic = " (synthetic)" if report.origin.synthetic else ""
    return f"{report.model.name} on {report.pairs:,} pairs of {report.origin.source}{synthetic}"


def _headline(report: EvaluationReport) -> Section:
    header: tuple[str, ...] = ("cosine", "value (95 % interval)")
    rows: list[tuple[str, ...]] = [(METRIC_NAMES[metric], str(value)) for metric, value in report.intervals.items()]
    if report.baseline:
        # The gain comes first, as a phone doesn't show the other columns.
        header = ("cosine", "gain (95 % interval)", "value (95 % interval)", "baseline")
        rows = [
            (METRIC_NAMES[metric], report.gains[metric].signed, str(value), str(report.baseline.intervals[metric]))
            for metric, value in report.intervals.items()
        ]
    return Section(
        "Result",
        (
            f"{report.positive_rate:.1%} of the pairs are duplicates. {THRESHOLDS[report.threshold_kind]}",
            f"Minimum cosine for a duplicate: {report.cosine.accuracy_threshold:.4f} for accuracy, "
            f"{report.cosine.f1_threshold:.4f} for F1, precision, recall and MCC.",
        ),
        (Table("Cosine similarity, with 95 % intervals", header, tuple(rows)),),
        ("curves", "scores"),
        (f"The baseline is {report.baseline.model.name}.",) if report.baseline else (),
    )


def _similarities(report: EvaluationReport) -> Section:
    differences = compare(report, report.baseline) if report.baseline else {}

    def cell(name: str, metric: str) -> str:
        value = f"{getattr(report.operating[name], metric):.4f}"
        return f"{value} ({differences[name][metric]:+.4f})" if differences else value

    table = Table(
        "Metrics of each similarity",
        ("metric", *report.operating),
        tuple((METRIC_NAMES[metric], *(cell(name, metric) for name in report.operating)) for metric in COMPARED),
    )
    notes = ("In brackets: the difference from the baseline.",) if differences else ()
    direction = "A pair is a duplicate if its similarity is at least, or its distance at most, the threshold."
    return Section("Four similarities", tables=(table, _thresholds(report)), notes=(*notes, direction))


def _thresholds(report: EvaluationReport) -> Table:
    """The thresholds of each similarity, with the baseline's if there is one."""
    parts = [("", report.operating), *([("baseline, ", report.baseline.operating)] if report.baseline else [])]
    rows = tuple(
        (f"{whose}{label}", *(f"{getattr(operating[name], field):.4f}" for name in report.operating))
        for label, field in (("threshold of accuracy", "accuracy_threshold"), ("threshold of F1", "f1_threshold"))
        for whose, operating in parts
    )
    return Table("Thresholds of each similarity", ("threshold", *report.operating), rows)


def _probability(report: EvaluationReport) -> Section:
    calibration = report.calibration
    if calibration is None:
        return Section("Probability", ("No calibrated probability, because there is no dev split to fit it on.",))
    return Section(
        "Probability",
        (
            f"Platt scaling, fitted on {calibration.fitted_on:,} dev pairs: Brier score {calibration.brier:.4f}, "
            f"expected calibration error {calibration.expected_calibration_error:.4f}.",
        ),
        pictures=("reliability",),
    )


def _slices(report: EvaluationReport) -> Section:
    baseline = report.baseline
    before = {(part.name, part.value): part.ap for part in baseline.slices} if baseline else {}
    rows = []
    for part in report.slices:
        row = (
            part.name,
            part.value,
            f"{part.pairs:,}",
            f"{part.positive_rate:.1%}",
            str(part.ap) if part.ap else "one class only",
        )
        other = before.get((part.name, part.value))
        rows.append((*row, f"{other.estimate:.4f}" if other else "") if baseline else row)
    header = ("slice", "value", "pairs", "duplicates", "average precision (95 % interval)")
    notes = ["Average precision rises with the share of duplicates, so compare a slice only with the same slice."]
    if report.graph_only_ap is not None:
        notes.append(
            "A classifier that sees no text, only how often questions occur and with which others, gets "
            f"{report.graph_only_ap:.4f}: this much follows from how the pairs were collected."
        )
    return Section(
        "Slices",
        (),
        (
            Table(
                "Average precision of each slice",
                (*header, "baseline") if baseline else header,
                tuple(rows),
                texts=2,
            ),
        ),
        ("slices",),
        tuple(notes),
    )


def _tasks(report: EvaluationReport) -> Section:
    name, tasks = "Mining and retrieval", report.tasks
    if tasks is None:
        return Section(name, ("Duplicate mining and retrieval were not measured.",))
    before = report.baseline_tasks
    notes = []
    if not report.task_intervals:
        notes.append("No intervals: an earlier release measured these.")
    elif before and not report.task_gains:
        notes.append("No intervals of the gains: an earlier release measured the baseline.")
    elif report.baseline and not before:
        notes.append("The baseline was not measured on the same questions.")

    def row(key: str, label: str) -> tuple[str, ...]:
        value = getattr(tasks, key)
        shown = str(report.task_intervals.get(key, f"{value:.4f}"))
        if not before:
            return (label, shown)
        other, gain = getattr(before, key), report.task_gains.get(key)
        return (label, gain.signed if gain else f"{value - other:+.4f}", shown, f"{other:.4f}")

    header: tuple[str, ...] = ("task", "gain (95 % interval)", "value (95 % interval)", "baseline")
    table = Table(
        "Duplicate mining and retrieval",
        header if before else (header[0], header[2]),
        tuple(row(*item) for item in _TASK_NAMES.items()),
    )
    scope = f"On {tasks.questions:,} eval questions with {tasks.duplicate_pairs:,} known duplicate pairs."
    return Section(name, (scope,), (table,), notes=tuple(notes))


def _training(training: FineTunedModel) -> Section:
    return Section(
        "Training",
        (
            f"{training.steps:,} optimiser steps over {training.pair_visits:,} pairs of {training.origin.source} in "
            f"{training.seconds:,.0f} s on {training.device}, {training.precision}, from {training.base_model.name}; "
            f"the weights are those of step {training.kept_step:,}.",
            "Recipe: " + ", ".join(f"{name} {value}" for name, value in effective_settings(training).items()) + ".",
        ),
        pictures=("training",),
    )


def effective_settings(model: FineTunedModel) -> dict[str, Any]:
    """The settings of a training's recipe, without those that are empty or had no effect.

    A loss of another release may have read any of them.
    """
    recipe = model.recipe
    weights = {recipe.get("loss"): 1.0, **(recipe.get("loss_weights") or {})}
    losses = {name for name, weight in weights.items() if weight}
    ignored = {name for name, neutral in REMOVED_KNOBS.items() if recipe.get(name) == neutral}
    if losses <= SETTINGS_OF_LOSSES.keys():
        read = set[str]().union(*(SETTINGS_OF_LOSSES[name] for name in losses))
        ignored |= set[str]().union(*SETTINGS_OF_LOSSES.values()) - read
    if recipe.get("soup_size") == 1:
        ignored.add("soup_size")
    if not model.dev_evaluations:
        ignored |= _OF_A_DEV_SPLIT
    return {name: value for name, value in recipe.items() if value not in (None, {}) and name not in ignored}


def _mistakes(report: EvaluationReport) -> Section:
    def table(caption: str, mistakes: list[Mistake]) -> Table:
        rows = tuple((_head(m.question1), _head(m.question2), f"{m.score:.4f}", str(m.pair_id)) for m in mistakes)
        return Table(caption, ("question 1", "question 2", "cosine", "pair"), rows, texts=2)

    return Section(
        "The worst mistakes",
        ("Read these before you trust the figures: some are wrong labels.",),
        (
            table("Labelled different, but most similar", [m for m in report.mistakes if not m.is_duplicate]),
            table("Labelled duplicate, but least similar", [m for m in report.mistakes if m.is_duplicate]),
        ),
    )


def _head(question: str) -> str:
    return shortened(question, _SHOWN_OF_A_QUESTION)
