"""Whether sides that are used together belong together: one dataset, one division, and nothing on two sides.

Every step that trains or measures asks this of the very sides that it uses, whichever steps were selected.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.core.errors import PipelineError
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.question_pairs.schema import DISJOINT, PairTable, Splits

UNNAMED_DIVISION = (
    "the splits were made by a release that didn't write down how: they are used, as all name the same dataset; "
    "make them again to be sure"
)


def require_one_making(sides: Mapping[str, PairTable]) -> str:
    """Refuse sides of different datasets or divisions.

    Args:
        sides: by the names that a person knows them by, such as `the train split`.

    Returns:
        What a person should know of sides that are used all the same; empty where there is nothing.

    Raises:
        PipelineError: naming two that don't belong together.
    """
    (first, table), *others = sides.items()
    for name, other in others:
        for what, mine, theirs in (
            ("datasets", table.origin.dataset_version, other.origin.dataset_version),
            ("divisions of the dataset", _plan(table), _plan(other)),
        ):
            if mine != theirs:
                raise PipelineError(
                    f"{first} and {name} are of different {what} ({mine or 'not named'} and {theirs or 'not named'}), "
                    "so they can't be used together",
                    make_again="splits",
                )
    return UNNAMED_DIVISION if table.origin.dataset_version and not table.origin.division else ""


def require_sound_splits(splits: Splits) -> str:
    """Refuse sides that don't belong together, and those that share pairs or questions which they must not share.

    Returns:
        As `require_one_making`.

    Raises:
        PipelineError: for the first thing found.
    """
    said = require_one_making(
        {"the train split": splits.train, "the dev split": splits.dev, "the eval split": splits.eval}
    )
    division = splits.eval.origin.division
    shared = 0, ""
    if division is None and said:
        # Published splits have questions on both sides, and nobody knows whether this is one; but never pairs.
        shared = pairs_on_two_sides(splits)[0], "pairs"
    elif division and division.strategy in DISJOINT:
        shared = questions_on_two_sides(splits)[0], "questions"
    if shared[0]:
        raise PipelineError(
            f"{shared[0]:,} {shared[1]} stand on two of the three splits, so a model would be "
            "measured on what it has learned",
            make_again="splits",
        )
    return said


def pairs_on_two_sides(splits: Splits) -> tuple[int, int]:
    """(pairs that stand on two sides, all pairs): equal are those with the same id and the same ids of questions."""
    keys = [
        table.pairs[["pair_id", "question1_id", "question2_id"]].drop_duplicates()
        for table in (splits.train, splits.dev, splits.eval)
    ]
    together = pd.concat(keys)
    return int(together.duplicated().sum()), len(together)


def questions_on_two_sides(splits: Splits) -> tuple[int, int]:
    """(questions that stand on two sides, all questions of the sides)."""
    index = DistinctQuestions.of(splits.train.followed_by(splits.dev).followed_by(splits.eval))
    side = np.repeat([0, 1, 2], [len(splits.train), len(splits.dev), len(splits.eval)])
    stands_on = np.zeros((index.questions, 3), dtype=bool)
    stands_on[index.first_question, side] = stands_on[index.second_question, side] = True
    sides = stands_on.sum(axis=1)
    return int((sides - 1).sum()), int(sides.sum())


def _plan(table: PairTable) -> str | None:
    return table.origin.division.plan if table.origin.division else None
