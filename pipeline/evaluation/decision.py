"""Chooses a model's decision on a dev split: thresholds, the calibrated probability, and what each precision costs."""

from collections.abc import Mapping

import numpy as np
from sentence_transformers import SentenceTransformer

from pipeline.core.progress import OnProgress, ignore
from pipeline.evaluation.metric_values import LOWER_IS_BETTER, SIMILARITIES
from pipeline.evaluation.metrics import ends_of_ties, has_both_classes, similarity_metrics
from pipeline.evaluation.pair_scores import pair_scores
from pipeline.evaluation.platt import platt
from pipeline.models.decision import Decision, DecisionCalibration, OperatingPoint, Thresholds
from pipeline.models.encoding import embed_questions
from pipeline.question_pairs.questions import QuestionIndex
from pipeline.question_pairs.schema import PairTable

_TOKEN_BUDGET = 4_096
_MOST_POINTS = 200


def decide(
    model: SentenceTransformer, model_version: str, dev_split: PairTable, on_progress: OnProgress = ignore
) -> Decision | None:
    """The decision of a model, by its embeddings of the dev pairs in fp32.

    None where the dev split lacks one of the two classes, so that nothing can be chosen on it.

    Raises:
        PipelineError: when embeddings are not finite.
    """
    if not has_both_classes(dev_split.labels):
        return None
    index = QuestionIndex.of(dev_split)
    embeddings = embed_questions(model, index.texts, _TOKEN_BUDGET, on_progress, "choosing thresholds on the dev split")
    scores = pair_scores(embeddings[index.first], embeddings[index.second])
    return decision_from(scores, dev_split.labels, model_version, dev_split.data_version)


def decision_from(
    scores: Mapping[str, np.ndarray], labels: np.ndarray, model_version: str, dev_version: str
) -> Decision:
    """The decision by scores of each of `SIMILARITIES`, each of shape (n,), and labels 0 or 1 of both classes."""
    best = {name: similarity_metrics(scores[name], labels, name in LOWER_IS_BETTER) for name in SIMILARITIES}
    slope, intercept = platt(scores["cosine"], labels)
    return Decision(
        model_version=model_version,
        dev_version=dev_version,
        dev_pairs=len(labels),
        thresholds={
            name: Thresholds(accuracy=metrics.accuracy_threshold, f1=metrics.f1_threshold)
            for name, metrics in best.items()
        },
        calibration=DecisionCalibration(
            slope=slope, intercept=intercept, fitted_on=len(labels), positive_rate=float(labels.mean())
        ),
        curve=precision_curve(scores["cosine"], labels),
    )


def precision_curve(cosine: np.ndarray, labels: np.ndarray) -> list[OperatingPoint]:
    """Thresholds of ascending precision, each the lowest that reaches its precision; at most about 200 of them.

    Precision depends on a threshold by the ratio of false alarms to recall alone, whatever the share of duplicates. So
    the same thresholds are the best for every share.
    """
    order = np.argsort(-cosine, kind="stable")
    ranked, hits = cosine[order], np.cumsum(labels[order])
    cuts = ends_of_ties(ranked)
    right, called = hits[cuts], cuts + 1
    duplicates, others = int(labels.sum()), len(labels) - int(labels.sum())
    precision = right / called
    # From the lowest threshold up: a point stays if no lower threshold has its precision.
    highest_below = np.concatenate([np.maximum.accumulate(precision[::-1])[::-1][1:], [-1.0]])
    kept = np.flatnonzero(precision > highest_below)[::-1]
    if len(kept) > _MOST_POINTS:
        # Evenly over precision; the last, which is the most precise, is among them.
        wanted = np.linspace(precision[kept[0]], precision[kept[-1]], _MOST_POINTS)
        kept = kept[np.unique(np.searchsorted(precision[kept], wanted - 1e-12))]
    below = np.append(ranked[1:], ranked[-1])[cuts].astype(np.float64)
    # Midway to the next lower score, as of the other thresholds.
    thresholds = (ranked[cuts].astype(np.float64) + below) / 2
    return [
        OperatingPoint(
            threshold=float(thresholds[at]),
            recall=float(right[at] / duplicates),
            false_alarms=float((called[at] - right[at]) / others),
            called=int(called[at]),
        )
        for at in kept
    ]
