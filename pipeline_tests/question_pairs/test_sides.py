"""Sides that don't belong together are refused, whoever uses them, in one line that says what to do."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from made_reports import MODEL, a_training, before_and_after, made, summarised

from pipeline.compute.base import Compute
from pipeline.compute.local import LocalCompute
from pipeline.core.errors import MismatchError, PipelineError
from pipeline.core.progress import LogLine, ProgressEvent, ignore
from pipeline.evaluation.measurement import EvaluationOptions
from pipeline.question_pairs.options import PairSource, SplitPlan
from pipeline.question_pairs.schema import PairTable, Splits
from pipeline.question_pairs.sides import UNNAMED_DIVISION, require_sound_splits
from pipeline.question_pairs.sources import load_pairs
from pipeline.question_pairs.splits import split_pairs
from pipeline.reporting.ranking import build_leaderboard
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Recipe
from pipeline.workflow import fine_tune, measure_base_model, measure_fine_tuned

SAMPLE = load_pairs(PairSource(fraction=0.2))
DISJOINT = split_pairs(SAMPLE, SplitPlan())


def cut(table: PairTable = SAMPLE, **plan: object) -> Splits:
    return split_pairs(table, SplitPlan.model_validate(plan))


def of_first_release(splits: Splits) -> Splits:
    """The same sides, whose division is not written down."""

    def forget(side: PairTable) -> PairTable:
        return PairTable(side.pairs, side.origin.model_copy(update={"division": None}))

    return Splits(forget(splits.train), forget(splits.dev), forget(splits.eval))


def test_sides_of_one_division_belong_together_and_name_it() -> None:
    for plan in ({}, {"strategy": "reference"}, {"dev_fraction": 0.0}, {"train_limit": 50}):
        splits = cut(**plan)
        assert require_sound_splits(splits) == ""
        assert len({side.origin.division for side in (splits.train, splits.dev, splits.eval)}) == 1
        assert splits.train.origin.dataset_version == SAMPLE.data_version
    assert cut().train.origin.division == DISJOINT.train.origin.division


@pytest.mark.parametrize(
    "other",
    [
        cut(seed=7),
        cut(strategy="reference"),
        cut(eval_fraction=0.2),
        cut(dev_fraction=0),
        cut(train_limit=100),
        of_first_release(DISJOINT),
    ],
    ids=["seed", "strategy", "eval_fraction", "dev_fraction", "train_limit", "first release"],
)
@pytest.mark.parametrize("side", ["train", "dev", "eval"])
def test_a_side_of_another_division_is_refused(other: Splits, side: str) -> None:
    sides = {name: getattr(DISJOINT, name) for name in ("train", "dev", "eval")}
    mixed = Splits(**{**sides, side: getattr(other, side)})
    with pytest.raises(MismatchError) as caught:
        require_sound_splits(mixed)
    assert caught.value.make_again == "splits"
    assert caught.value.values["what"] == "divisions of the dataset"


def test_a_side_of_another_dataset_is_refused_in_any_release() -> None:
    other = cut(load_pairs(PairSource(fraction=0.3)))
    for ours, theirs in ((DISJOINT, other), (of_first_release(DISJOINT), of_first_release(other))):
        with pytest.raises(MismatchError) as caught:
            require_sound_splits(Splits(ours.train, ours.dev, theirs.eval))
        assert caught.value.values["what"] == "datasets"
        assert caught.value.values["sides"] == ("the train split", "the eval split")


def test_sides_of_the_first_release_are_used_with_a_word_where_all_name_one_dataset() -> None:
    for splits in (DISJOINT, cut(strategy="reference")):
        assert require_sound_splits(of_first_release(splits)) == UNNAMED_DIVISION


def test_pairs_on_two_sides_give_a_mixture_of_the_first_release_away() -> None:
    """A run that was killed between the outputs of its splits leaves a new train split with older other splits."""
    old, new = (of_first_release(cut(strategy="reference", seed=seed)) for seed in (1, 2))
    with pytest.raises(MismatchError) as caught:
        require_sound_splits(Splits(new.train, old.dev, old.eval))
    assert caught.value.values["what"] == "pairs"


def test_questions_on_two_sides_are_found_in_what_is_used() -> None:
    leaking = PairTable(
        pd.concat([DISJOINT.train.pairs, DISJOINT.eval.pairs.head(3)], ignore_index=True), DISJOINT.train.origin
    )
    with pytest.raises(MismatchError) as caught:
        require_sound_splits(Splits(leaking, DISJOINT.dev, DISJOINT.eval))
    assert caught.value.values == {"shared": 6, "what": "questions"}


# --- whoever uses them ---


class NoCompute(LocalCompute):
    """Must not be asked for anything."""

    def start_training(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        raise AssertionError("a training was begun")

    start_measuring = start_training  # type: ignore[assignment]


BASELINE, REPORT = before_and_after()
_, SPLITS = made(0.1)
SEED_7 = split_pairs(load_pairs(PairSource()), SplitPlan(strategy="reference", seed=7))
MIXED = Splits(SPLITS.train, SEED_7.dev, SPLITS.eval)


def train(compute: Compute) -> None:
    job = TrainingJob(MIXED.train, MIXED.dev, MODEL, Recipe(device="cpu"))
    fine_tune(compute, job, RunIdentity("run", 1), ignore)


def measure(compute: Compute) -> None:
    measure_base_model(compute, MODEL, MIXED, EvaluationOptions(), ignore)


def measure_trained(compute: Compute) -> None:
    model = a_training(SPLITS.train.data_version)
    measure_fine_tuned(compute, model, BASELINE, MIXED, EvaluationOptions(), ignore)


def rank(compute: Compute) -> None:
    build_leaderboard(summarised(BASELINE), MIXED)


@pytest.mark.parametrize("use", [train, measure, measure_trained, rank])
def test_nobody_begins_anything_with_a_mixture(use: Callable[[Compute], None], tmp_path: Path) -> None:
    with pytest.raises(MismatchError) as caught:
        use(NoCompute(tmp_path))
    assert caught.value.make_again == "splits"


def test_a_model_of_another_training_split_is_refused_before_it_is_measured(tmp_path: Path) -> None:
    model = a_training("t9")
    with pytest.raises(PipelineError, match="t9"):
        measure_fine_tuned(
            NoCompute(tmp_path),
            model,
            BASELINE,
            SPLITS,
            EvaluationOptions(),
            ignore,
        )


def test_who_trains_on_sides_of_the_first_release_is_told(tmp_path: Path) -> None:
    old = of_first_release(SPLITS)
    events: list[ProgressEvent] = []
    job = TrainingJob(old.train, old.dev, MODEL, Recipe(device="cpu"))
    with pytest.raises(AssertionError, match="a training was begun"):
        fine_tune(NoCompute(tmp_path), job, RunIdentity("run", 1), events.append)
    assert events == [LogLine(UNNAMED_DIVISION)]
