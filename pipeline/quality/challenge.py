"""Compares a candidate with the model in production, on eval pairs that neither was trained on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.compute.base import Compute, MeasuringJob
from pipeline.compute.driver import Caller, measure
from pipeline.core.errors import PipelineError, counted
from pipeline.core.progress import OnProgress
from pipeline.evaluation.bootstrap import Bootstrap, interval
from pipeline.evaluation.measurement import EvaluationOptions
from pipeline.evaluation.metrics import has_both_classes, similarity_metrics
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.quality.production_record import ProductionModel
from pipeline.quality.promotion import Comparison, NoComparison
from pipeline.question_pairs.questions import DistinctQuestions, pair_numbers, question_components
from pipeline.question_pairs.schema import PairTable

MIN_PAIRS = 50
"""With fewer pairs that neither model was trained on, the comparison says nothing."""


@dataclass(frozen=True)
class StoredSplits:
    """Finds the splits of earlier models and reports by their data versions.

    Attributes:
        train, dev, evaluation: each takes a data version, and returns None if that split is no longer stored.
    """

    train: Callable[[str], PairTable | None]
    dev: Callable[[str], PairTable | None]
    evaluation: Callable[[str], PairTable | None]

    def learned(self, model: FineTunedModel) -> list[PairTable] | None:
        """What a model was trained and chosen on; None if either is no longer stored."""
        sides = [self.train(model.train_version), self.dev(model.dev_version)]
        return None if None in sides else [side for side in sides if side is not None]


def challenge(
    compute: Compute,
    splits: StoredSplits,
    model: FineTunedModel,
    report: EvaluationReport,
    current: ProductionModel,
    on_progress: OnProgress,
    caller: Caller | None = None,
) -> Comparison | NoComparison:
    """Compare a model, by its report, with the one in production.

    If the report of the latter is about the same eval pairs, its scores count. Otherwise the model is measured on them.

    A model in production whose files are gone or damaged can't be compared.

    Raises:
        PipelineError: when measuring it fails for any other reason, such as a lost connection: a retry may succeed.
    """
    eval_pairs = splits.evaluation(report.eval_version)
    if eval_pairs is None:
        return NoComparison(f"the eval pairs of the new model's report (version {report.eval_version}) are not stored")
    is_same = current.report.eval_version == report.eval_version
    learned = splits.learned(current.model)
    if learned is None and not is_same:
        return NoComparison(
            f"the pairs that the one in production was trained on (version {current.model.train_version}) are not "
            "stored, and some of them may be eval pairs now"
        )
    # Reports on the same pairs were refused where the model had seen them.
    known = [*(learned or []), *(splits.learned(model) or [])]
    rows = np.flatnonzero(~are_in(eval_pairs, known))
    compared = eval_pairs.take(rows)
    if len(rows) < MIN_PAIRS or not has_both_classes(compared.labels):
        return NoComparison(
            f"{counted(len(rows), 'eval pair')} of {len(eval_pairs):,} that neither was trained on are too few"
        )
    theirs = current.report.scores[rows] if is_same else None
    if theirs is None:
        job = MeasuringJob(
            current.model.model, compared, compared.take(np.arange(0)), EvaluationOptions(task_questions=0)
        )
        try:
            compute.verify(current.model)
            theirs = measure(compute, job, on_progress, caller).eval_scores["cosine"]
        except PipelineError as error:
            if error.make_again != "model":
                raise
            return NoComparison(f"the model in production can't be measured ({error.message})")
    return _compared(compared, report.scores[rows], theirs, len(eval_pairs) - len(rows), measured_now=not is_same)


def are_in(pairs: PairTable, others: Sequence[PairTable]) -> np.ndarray:
    """Which pairs are in one of the other tables, in either order of their questions: bool of shape (pairs,)."""
    both = pairs
    for other in others:
        both = both.followed_by(other)
    index = DistinctQuestions.of(both)
    keys = pair_numbers(index.first_question, index.second_question, index.questions)
    found: np.ndarray = np.isin(keys[: len(pairs)], keys[len(pairs) :])
    return found


def _compared(pairs: PairTable, mine: np.ndarray, theirs: np.ndarray, left_out: int, measured_now: bool) -> Comparison:
    labels = pairs.labels
    bootstrap = Bootstrap.draw(question_components(pairs.pairs))
    resampled = bootstrap.average_precision(mine, labels) - bootstrap.average_precision(theirs, labels)
    candidate, current = (similarity_metrics(scores, labels).ap for scores in (mine, theirs))
    return Comparison(len(pairs), left_out, candidate, current, interval(candidate - current, resampled), measured_now)
