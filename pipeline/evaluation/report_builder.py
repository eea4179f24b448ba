"""Makes a report from a measurement: thresholds, intervals, calibration, slices, gains and the worst mistakes."""

import base64
from datetime import UTC, datetime

import numpy as np
from sklearn.metrics import brier_score_loss

from pipeline.core.errors import MismatchError
from pipeline.core.values import Interval
from pipeline.evaluation.bootstrap import Bootstrap, Resampled, interval
from pipeline.evaluation.decision import decision_from, thresholds_of
from pipeline.evaluation.measurement import LOWER_IS_BETTER, SIMILARITIES, Measurement, TaskMetrics, ThresholdMetrics
from pipeline.evaluation.metrics import (
    best_metrics,
    has_both_classes,
    is_called_duplicate,
    metrics_at,
    similarity_metrics,
)
from pipeline.evaluation.report import (
    Calibration,
    EvaluationReport,
    Mistake,
    ReliabilityBin,
    ThresholdKind,
    require_comparable,
)
from pipeline.evaluation.results_csv import Stage
from pipeline.evaluation.slices import QuestionGraph, graph_only_scores, slice_results, slicings
from pipeline.models.decision import DecisionCalibration
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.questions import question_components
from pipeline.question_pairs.schema import PairTable, Splits

_MISTAKES_OF_EACH_KIND = 15
_BINS = 15


def build_report(
    stage: Stage,
    model: ModelInfo,
    measurement: Measurement,
    splits: Splits,
    baseline: EvaluationReport | None = None,
    training: FineTunedModel | None = None,
) -> EvaluationReport:
    """Make the report of one model, with its gains over a baseline if there is one.

    The thresholds and the probability are those of the decision that a fine-tuned model carries, so that the report
    describes what its users get. For a model without one they are chosen on the dev split, if that has both classes.
    Otherwise the thresholds are oracle thresholds and there is no probability. Intervals take thresholds as fixed.

    Args:
        training: how the model was trained; None for a base model.

    Raises:
        InputError: when the eval split has only one class.
        MismatchError: when the baseline was measured on other pairs or has another kind of threshold, or the model was
            trained on another training split, so that it may have seen the eval pairs.
    """
    if training:
        require_trained_on(splits, training)
    labels, dev_labels = splits.eval.labels, splits.dev.labels
    oracle = best_metrics(measurement.eval_scores, labels)
    decision = training.decision if training else None
    if decision is None and threshold_kind(splits.dev) == "dev":
        decision = decision_from(measurement.dev_scores, dev_labels, model.version, splits.dev.data_version)
    chosen = decision.thresholds if decision else thresholds_of(oracle)
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
        threshold_kind="dev" if decision else "oracle",
        oracle=oracle,
        operating=operating,
        intervals={
            metric: interval(getattr(operating["cosine"], metric), values) for metric, values in resampled.items()
        },
        gains={},
        calibration=measured_calibration(decision.calibration, cosine, labels) if decision else None,
        slices=list(slice_results(slicings(splits.eval, graph), cosine, labels, bootstrap)),
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
        MismatchError: when it was trained on another training split.
    """
    if model.train_version != splits.train.data_version:
        raise MismatchError(
            f"{model.model.name} was trained on the training split {model.train_version}, but the current one is "
            f"{splits.train.data_version}, so it may have seen these eval pairs",
            make_again="model",
            trained_on=model.train_version,
            current=splits.train.data_version,
        )


def threshold_kind(dev_split: PairTable) -> ThresholdKind:
    """Return where thresholds come from: the dev split if it has both classes, else the eval pairs themselves."""
    return "dev" if has_both_classes(dev_split.labels) else "oracle"


def measured_calibration(calibration: DecisionCalibration, cosine: np.ndarray, labels: np.ndarray) -> Calibration:
    """Measure on the eval pairs a calibration that was fitted on the dev pairs.

    Args:
        cosine: of the eval pairs, of shape (pairs,).
        labels: 0 or 1, of shape (pairs,).
    """
    probability = calibration.probability(cosine)
    bins = _reliability(probability, labels)
    gap = sum(b.pairs * abs(b.probability - b.observed) for b in bins) / len(labels)
    return Calibration(
        slope=calibration.slope,
        intercept=calibration.intercept,
        fitted_on=calibration.fitted_on,
        brier=float(brier_score_loss(labels, probability)),
        expected_calibration_error=gap,
        bins=bins,
    )


def _reliability(probability: np.ndarray, labels: np.ndarray) -> list[ReliabilityBin]:
    """Divide the pairs into bins of equal size by ascending probability; at least one pair in each."""
    order = np.argsort(probability, kind="stable")
    return [
        ReliabilityBin(
            pairs=len(part), probability=float(probability[part].mean()), observed=float(labels[part].mean())
        )
        for part in np.array_split(order, min(_BINS, len(order)))
    ]


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


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
    require_comparable(baseline, report.eval_version, report.threshold_kind)
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
    """Return the gains of the metrics that both have on the same draws."""
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
    """Return the most similar non-duplicates, then the least similar duplicates."""
    labels = table.labels
    order = np.argsort(cosine, kind="stable")
    alike = [row for row in order[::-1] if not labels[row]][:_MISTAKES_OF_EACH_KIND]
    unlike = [row for row in order if labels[row]][:_MISTAKES_OF_EACH_KIND]
    rows = [*alike, *unlike]
    shown = table.pairs.iloc[rows][["pair_id", "question1", "question2", "is_duplicate"]].to_dict("records")
    return [
        Mistake(score=float(cosine[row]), **{str(name): value for name, value in pair.items()})
        for row, pair in zip(rows, shown, strict=True)
    ]
