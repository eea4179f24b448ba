"""Trains a teacher, fold by fold, and holds it against the student: what it is worth, by how much it is ahead."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import average_precision_score

from pipeline.compute.base import Compute
from pipeline.compute.driver import Caller, train
from pipeline.core.errors import PipelineError
from pipeline.core.progress import LogLine, OnProgress, StepStarted
from pipeline.core.values import Interval
from pipeline.distillation.folds import fold_of_pairs
from pipeline.distillation.scores import PairScorer, texts_of
from pipeline.distillation.teacher import Calibration, Member, Student, Teacher
from pipeline.distillation.teacher_options import TeacherOptions
from pipeline.evaluation.bootstrap import Bootstrap, interval
from pipeline.evaluation.metrics import has_both_classes
from pipeline.evaluation.platt import platt
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.questions import question_components
from pipeline.question_pairs.schema import DISJOINT, PairTable, Splits
from pipeline.question_pairs.sides import require_sound_splits
from pipeline.training.job import RunIdentity, TrainingJob


def teach(
    compute: Compute,
    splits: Splits,
    base_model: ModelInfo,
    student: FineTunedModel,
    options: TeacherOptions,
    scorer: PairScorer,
    run: RunIdentity,
    on_progress: OnProgress,
    caller: Caller | None = None,
) -> Teacher:
    """Train a teacher's members and measure them on the splits.

    Each training is one of its own: it has a run folder with checkpoints, and a run that is re-executed takes up those
    that are finished and resumes the others.

    Args:
        student: trained on the labelled pairs of the same splits alone.
        scorer: what was scored before an interruption is not scored again.

    Raises:
        PipelineError: when the splits don't fit, the student is of other ones, or a training fails.
    """
    _require_fitting(splits)
    said = require_sound_splits(splits)
    if said:
        on_progress(LogLine(said))
    members, seconds = [], 0.0
    fold = fold_of_pairs(splits.train, options.folds, options.fold_seed)
    for number in range(options.folds):
        rest = splits.train.take(np.flatnonzero(fold != number))
        for member in range(options.members):
            on_progress(StepStarted(f"training member {member + 1} of {options.members} without fold {number + 1}"))
            job = TrainingJob(rest, splits.dev, base_model, options.recipe_of(member))
            model = train(compute, job, run, on_progress, caller, options.orders)
            seconds += model.seconds
            members.append(_member(number, model, splits.dev, scorer))
    return _measured(tuple(members), seconds, splits, fold, student, options, scorer)


def _require_fitting(splits: Splits) -> None:
    strategy = splits.dev.origin.division.strategy if splits.dev.origin.division else ""
    if strategy not in DISJOINT:
        raise PipelineError(
            f"a teacher is judged on questions that it has not seen, and strategy {strategy or 'not named'!r} divides "
            f"pairs, not questions: make the splits with {' or '.join(DISJOINT)}",
            make_again="splits",
        )
    if not has_both_classes(splits.dev.labels):
        raise PipelineError(
            "a teacher is judged on the dev split, which lacks duplicates or others: set dev_fraction above 0 and make "
            "the splits again",
            make_again="splits",
        )


def _member(fold: int, model: FineTunedModel, dev: PairTable, scorer: PairScorer) -> Member:
    scores = scorer.scores(model, *texts_of(dev))
    slope, intercept = platt(scores, dev.labels)
    ap = _average_precision(scores, dev)
    return Member(fold=fold, model=model, calibration=Calibration(slope=slope, intercept=intercept), dev_ap=ap)


def _measured(
    members: tuple[Member, ...],
    seconds: float,
    splits: Splits,
    fold: np.ndarray,
    student: FineTunedModel,
    options: TeacherOptions,
    scorer: PairScorer,
) -> Teacher:
    train, dev, evaluation = splits.train, splits.dev, splits.eval
    draws = Bootstrap.draw(question_components(dev.pairs))
    of_members = np.stack([_mean(scorer, [member], dev) for member in members])
    # The members of a fold stand together.
    of_folds = of_members.reshape(options.folds, options.members, len(dev)).mean(axis=1)
    fold_ap = float(np.mean([_average_precision(scores, dev) for scores in of_folds]))
    cosine = scorer.cosines(student.model, *texts_of(dev))
    student_ap = _average_precision(cosine, dev)
    resampled = np.mean([draws.average_precision(scores, dev.labels) for scores in of_folds], axis=0)
    lead = interval(fold_ap - student_ap, resampled - draws.average_precision(cosine, dev.labels))
    out_of_fold = scorer.out_of_fold(members, fold, *texts_of(train))
    return Teacher(
        architecture=options.architecture,
        recipe=options.recipe_of(0).model_dump(exclude={"seed"}),
        folds=options.folds,
        fold_seed=options.fold_seed,
        members=members,
        train_version=train.data_version,
        dev_version=dev.data_version,
        eval_version=evaluation.data_version,
        strategy=dev.origin.division.strategy if dev.origin.division else "",
        origin=train.origin,
        dev_ap=_with_interval(of_members.mean(axis=0), dev, draws),
        eval_ap=_with_interval(
            _mean(scorer, members, evaluation), evaluation, Bootstrap.draw(question_components(evaluation.pairs))
        ),
        fold_ap=fold_ap,
        out_of_fold_ap=_average_precision(out_of_fold, train),
        student=Student(
            version=student.model.version,
            dev_ap=student_ap,
            eval_ap=_average_precision(scorer.cosines(student.model, *texts_of(evaluation)), evaluation),
        ),
        lead=lead,
        min_lead=options.min_lead,
        seconds=seconds,
    )


def _with_interval(scores: np.ndarray, table: PairTable, draws: Bootstrap) -> Interval:
    return interval(_average_precision(scores, table), draws.average_precision(scores, table.labels))


def _average_precision(scores: np.ndarray, table: PairTable) -> float:
    return float(average_precision_score(table.labels, scores))


def _mean(scorer: PairScorer, members: Sequence[Member], table: PairTable) -> np.ndarray:
    return scorer.probability(members, *texts_of(table))
