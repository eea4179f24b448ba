"""Makes what a student learns from: labelled and mined pairs of training questions, scored out of fold, and vectors."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.progress import LogLine, OnProgress
from pipeline.distillation.candidates import find_candidates, found_by_counts
from pipeline.distillation.folds import fold_of_pairs
from pipeline.distillation.options import SilverOptions
from pipeline.distillation.questions import TrainingQuestions
from pipeline.distillation.resample import resample
from pipeline.distillation.scores import PairScorer, texts_of
from pipeline.distillation.stored import SCORED_TABLE, VECTORS_TABLE, SilverPairs
from pipeline.distillation.targets import target_vectors
from pipeline.distillation.teacher import Teacher
from pipeline.duplicates.stored import as_parquet, hashes
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import Splits
from pipeline.question_pairs.scored import scored_gold

_MUCH = 0.05
"""Share of the labelled pairs from which on it is said that silver pairs with such scores are too few."""


def make_silver(
    splits: Splits,
    teacher: Teacher,
    base_model: ModelInfo,
    options: SilverOptions,
    scorer: PairScorer,
    on_progress: OnProgress,
) -> tuple[SilverPairs, dict[str, bytes]]:
    """Find pairs of training questions, and have the teacher score them and the labelled ones out of fold.

    A teacher whose members embed gives a vector for each question too.

    Args:
        base_model: of the student; its vectors find near neighbours, and the teacher's are brought into its space.
        scorer: what was scored before an interruption is not scored again.

    Returns:
        The value and its tables, by their names.

    Raises:
        PipelineError: when the teacher is of other splits, or isn't far enough ahead of the student.
    """
    _require_usable(teacher, splits, options)
    train, held_out = splits.train, {"the dev split": splits.dev, "the eval split": splits.eval}
    fold = fold_of_pairs(train, teacher.folds, teacher.fold_seed)
    questions = TrainingQuestions.of(train, fold, held_out, on_progress)
    embeds = teacher.architecture == "bi_encoder"
    base_vectors = None
    if embeds or "neighbours" in options.used_sources:
        base_vectors = scorer.vectors(base_model, questions.texts)
    candidates = find_candidates(questions, held_out, options, base_vectors, on_progress)
    first, second = (texts.to_pylist() for texts in candidates.texts())
    gold = scored_gold(train, scorer.out_of_fold(teacher.members, fold, *texts_of(train)), fold)
    silver = candidates.scored(scorer.out_of_fold(teacher.members, candidates.fold, first, second))
    kept = resample(silver.scores, gold.scores, options.wanted_pairs(len(gold)), options.seed)
    chosen = silver.take(kept.kept)
    if kept.exhausted > _MUCH:
        on_progress(
            LogLine(
                f"there are too few mined pairs with the scores that {kept.exhausted:.0%} of the labelled pairs have: "
                "all of those are taken"
            )
        )
    table = gold.followed_by(chosen)
    files = {SCORED_TABLE: as_parquet(table.to_arrow())}
    vectors = None
    if embeds and base_vectors is not None:
        vectors = target_vectors(questions, partial(_out_of_fold, teacher, scorer), base_model, base_vectors)
        files[VECTORS_TABLE] = as_parquet(vectors.to_arrow())
    value = SilverPairs(
        teacher_version=teacher.data_version,
        train_version=train.data_version,
        origin=train.origin,
        scored_version=table.data_version,
        vectors_version=vectors.data_version if vectors else None,
        gold=len(gold),
        silver=len(chosen),
        candidates=len(silver),
        found_by={str(source): number for source, number in found_by_counts(chosen).items()},
        distance=kept.distance,
        sha256=hashes(files),
    )
    return value, files


def _out_of_fold(teacher: Teacher, scorer: PairScorer, fold: int, texts: Sequence[str]) -> list[np.ndarray]:
    """The vectors of questions of a fold, by each of the members that were trained without it."""
    members = [member.model.model for member in teacher.members if member.fold == fold]
    return [scorer.vectors(model, texts).block(0, len(texts)) for model in members]


def _require_usable(teacher: Teacher, splits: Splits, options: SilverOptions) -> None:
    if teacher.train_version != splits.train.data_version:
        raise PipelineError(
            "the teacher was trained on another train split than the current one: launch the job `teacher` again"
        )
    if not (teacher.is_ahead or options.allow_any_teacher):
        raise PipelineError(
            f"{teacher.said}; train another teacher, or set allow_any_teacher: true to measure what this one gives"
        )
