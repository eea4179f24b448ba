"""Measures a model on the eval and dev splits: the scores of all pairs, duplicate mining and retrieval."""

import time

from sentence_transformers import SentenceTransformer

from pipeline.core.errors import InputError
from pipeline.core.progress import OnProgress, ignore
from pipeline.evaluation.measurement import EvaluationOptions, Measurement
from pipeline.evaluation.pair_scores import pair_scores
from pipeline.evaluation.tasks import task_metrics
from pipeline.models.encoding import embed_questions
from pipeline.models.loading import describe_device
from pipeline.models.precision import resolve_precision
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.question_pairs.schema import PairTable


def measure(
    model: SentenceTransformer,
    eval_split: PairTable,
    dev_split: PairTable,
    options: EvaluationOptions,
    on_progress: OnProgress = ignore,
    stage: str = "embedding questions",
) -> Measurement:
    """Score the pairs of both splits, and measure duplicate mining and retrieval on the eval split.

    Each distinct text of the two splits is embedded once. The time doesn't include loading the model.

    Raises:
        InputError: when the eval split is empty.
        ModelError: when embeddings are not finite.
    """
    start = time.perf_counter()
    if not len(eval_split):
        raise InputError("there are no pairs to evaluate: the eval split is empty")
    precision = resolve_precision(options.precision, model.device.type)
    index = DistinctQuestions.of(eval_split.followed_by(dev_split))
    embeddings = embed_questions(model, index.texts, options.token_budget, on_progress, stage, precision)
    n = len(eval_split)
    scores = pair_scores(embeddings[index.first], embeddings[index.second])
    return Measurement(
        eval_scores={name: values[:n] for name, values in scores.items()},
        dev_scores={name: values[n:] for name, values in scores.items()},
        tasks=task_metrics(embeddings, index, eval_split.labels, options.task_questions),
        seconds=time.perf_counter() - start,
        questions=len(index.texts),
        device=describe_device(model.device.type),
        precision=precision,
    )
