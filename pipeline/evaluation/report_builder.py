"""Makes a report from what was measured: thresholds, intervals, slices, calibration, the worst mistakes."""

import base64
from datetime import UTC, datetime

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.values import Interval
from pipeline.evaluation.bootstrap import Bootstrap, Resampled, interval
from pipeline.evaluation.calibration import calibrate, judged
from pipeline.evaluation.measurement import Measurement, TaskMetrics
from pipeline.evaluation.metric_values import LOWER_IS_BETTER, SIMILARITIES, SimilarityMetrics, ThresholdMetrics
from pipeline.evaluation.metrics import (
    has_both_classes,
    is_called_duplicate,
    metrics_at,
    similarity_metrics,
)
from pipeline.evaluation.report import Calibration, EvaluationReport, Mistake, ThresholdKind, require_comparable
from pipeline.evaluation.results_csv import Stage
from pipeline.evaluation.slices import QuestionGraph, graph_only_scores, memberships, slice_results
from pipeline.models.decision import Decision, Thresholds
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.questions import question_components
from pipeline.question_pairs.schema import PairTable, Splits

WORST = 15
"""Mistakes listed of each kind."""


def build_report(
    stage: Stage,
    model: ModelInfo,
    measurement: Measurement,
    splits: Splits,
    baseline: EvaluationReport | None = None,
    training: FineTunedModel | None = None,
) -> EvaluationReport:
    """The report of one model; with a baseline's, the gains over it.

    `training` says how a fine-tuned model was made.

    Thresholds and the calibrated probability are those of the model's decision, where it has one: what is reported is
    what users get. A model without one has them chosen on the dev split if that has both classes; else thresholds are
    oracle and there is no probability. Intervals take thresholds as fixed.

    Raises:
        PipelineError: when the eval split has one class only, the baseline was measured on other pairs or with
            another kind of threshold, or the model was trained on another training split: it may then have seen the
            pairs that it is examined on.
    """
    if training:
        require_trained_on(splits, training)
    labels, dev_labels = splits.eval.labels, splits.dev.labels
    oracle = _best(measurement.eval_scores, labels)
    decision = training.decision if training else None
    kind: ThresholdKind = "dev" if decision else threshold_kind(splits.dev)
    if decision:
        chosen = decision.thresholds
    else:
        chosen = _thresholds(_best(measurement.dev_scores, dev_labels) if kind == "dev" else oracle)
    operating = {
        name: metrics_at(
            measurement.eval_scores[name],
            labels,
            chosen[name].accuracy,
            chosen[name].f1,
            name in LOWER_IS_BETTER,
        )
        for name in SIMILARITIES
    }
    cosine = measurement.eval_scores["cosine"]
    bootstrap = Bootstrap.draw(question_components(splits.eval.pairs))
    resampled = _resample(bootstrap, cosine, labels, operating["cosine"])
    graph = QuestionGraph.of(splits.eval, splits.train, splits.dev)
    graph_only = graph_only_scores(graph, splits.train.labels)
    report = EvaluationReport(
        stage=stage,
        model=model,
        eval_version=splits.eval.data_version,
        dev_version=splits.dev.data_version,
        train_version=splits.train.data_version,
        origin=splits.eval.origin,
        pairs=len(labels),
        positive_rate=splits.eval.positive_rate,
        threshold_kind=kind,
        oracle=oracle,
        operating=operating,
        intervals={
            metric: interval(getattr(operating["cosine"], metric), values) for metric, values in resampled.items()
        },
        gains={},
        calibration=_calibration(decision, measurement, dev_labels, labels) if kind == "dev" else None,
        slices=list(slice_results(memberships(splits.eval, graph), cosine, labels, bootstrap)),
        graph_only_ap=None if graph_only is None else similarity_metrics(graph_only, labels).ap,
        tasks=measurement.tasks,
        task_intervals=_task_intervals(measurement.tasks),
        mistakes=_mistakes(splits.eval, cosine),
        cosine_scores=_base64(cosine.astype("<f4")),
        labels=_base64(np.packbits(labels.astype(bool))),
        seconds=measurement.seconds,
        questions=measurement.questions,
        device=measurement.device,
        precision=measurement.precision,
        evaluated_at=datetime.now(UTC),
        training=training,
    )
    if baseline is None:
        return report
    gains = _gains(report, baseline, resampled, bootstrap, labels)
    task_gains = _task_gains(report.tasks, baseline.tasks)
    return report.model_copy(update={"gains": gains, "task_gains": task_gains, "baseline": baseline})


def require_trained_on(splits: Splits, model: FineTunedModel) -> None:
    """Refuse to measure a model that may have seen the eval pairs.

    Raises:
        PipelineError: when it was trained on another training split.
    """
    if model.train_version != splits.train.data_version:
        raise PipelineError(
            f"{model.model.name} was trained on the training split {model.train_version}, but the current one is "
            f"{splits.train.data_version}, so it may have seen these eval pairs",
            make_again="model",
        )


def require_comparable_baseline(baseline: EvaluationReport, splits: Splits) -> None:
    """Refuse a baseline that was measured on other pairs, before anything is measured against it.

    Raises:
        PipelineError: naming both.
    """
    for what, its, theirs in (
        ("eval pairs", baseline.eval_version, splits.eval.data_version),
        ("kind of threshold", baseline.threshold_kind, threshold_kind(splits.dev)),
    ):
        if its != theirs:
            raise PipelineError(
                f"the baseline of {baseline.model.name} can't be compared with: its {what} are {its}, the current ones "
                f"{theirs}",
                make_again="baseline report",
            )


def threshold_kind(dev_split: PairTable) -> ThresholdKind:
    """Where thresholds come from: a dev split can choose them if it has both classes."""
    return "dev" if has_both_classes(dev_split.labels) else "oracle"


def _thresholds(metrics: dict[str, SimilarityMetrics]) -> dict[str, Thresholds]:
    return {
        name: Thresholds(accuracy=values.accuracy_threshold, f1=values.f1_threshold) for name, values in metrics.items()
    }


def _calibration(
    decision: Decision | None, measurement: Measurement, dev_labels: np.ndarray, labels: np.ndarray
) -> Calibration:
    cosine = measurement.eval_scores["cosine"]
    if decision is None:
        return calibrate(measurement.dev_scores["cosine"], dev_labels, cosine, labels)
    fitted = decision.calibration
    return judged(fitted.slope, fitted.intercept, fitted.fitted_on, cosine, labels)


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _best(scores: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, SimilarityMetrics]:
    return {name: similarity_metrics(scores[name], labels, name in LOWER_IS_BETTER) for name in SIMILARITIES}


def _resample(
    bootstrap: Bootstrap, cosine: np.ndarray, labels: np.ndarray, at: ThresholdMetrics
) -> dict[str, Resampled]:
    return {
        "ap": bootstrap.average_precision(cosine, labels),
        "accuracy": bootstrap.accuracy(is_called_duplicate(cosine, at.accuracy_threshold), labels),
        "f1": bootstrap.f1(is_called_duplicate(cosine, at.f1_threshold), labels),
    }


def _gains(
    report: EvaluationReport,
    baseline: EvaluationReport,
    resampled: dict[str, Resampled],
    bootstrap: Bootstrap,
    labels: np.ndarray,
) -> dict[str, Interval]:
    require_comparable(report, baseline)
    before = _resample(bootstrap, baseline.scores, labels, baseline.cosine)
    return {
        metric: interval(
            getattr(report.cosine, metric) - getattr(baseline.cosine, metric), resampled[metric] - before[metric]
        )
        for metric in resampled
    }


def _task_intervals(tasks: TaskMetrics | None) -> dict[str, Interval]:
    if tasks is None or tasks.resampled is None:
        return {}
    resampled = tasks.resampled
    return {name: interval(getattr(tasks, name), resampled.figure(name)) for name in resampled.figures}


def _task_gains(tasks: TaskMetrics | None, before: TaskMetrics | None) -> dict[str, Interval]:
    """Of the figures that both have on the same draws."""
    after_draws, before_draws = tasks and tasks.resampled, before and before.resampled
    if not (tasks and before and after_draws and before_draws) or after_draws.draws != before_draws.draws:
        return {}
    return {
        name: interval(
            getattr(tasks, name) - getattr(before, name), after_draws.figure(name) - before_draws.figure(name)
        )
        for name in after_draws.figures
        if name in before_draws.figures
    }


def _mistakes(table: PairTable, cosine: np.ndarray) -> list[Mistake]:
    """The non-duplicates that look most alike, then the duplicates that look least alike."""
    labels = table.labels
    order = np.argsort(cosine, kind="stable")
    alike = [row for row in order[::-1] if not labels[row]][:WORST]
    unlike = [row for row in order if labels[row]][:WORST]
    rows = [*alike, *unlike]
    shown = table.pairs.iloc[rows][["pair_id", "question1", "question2", "is_duplicate"]].to_dict("records")
    return [
        Mistake(score=float(cosine[row]), **{str(name): value for name, value in pair.items()})
        for row, pair in zip(rows, shown, strict=True)
    ]
