"""Checks that splits belong together: one dataset, one division, and no question on two sides.

Every step that trains or measures checks the splits that it uses, whichever steps were selected.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.core.errors import MismatchError
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.question_pairs.schema import DISJOINT, PairTable, Splits

UNNAMED_DIVISION = (
    "the splits are of a release that didn't record how they were made: they are used, as all name the same dataset; "
    "make them again to be sure"
)


def require_one_making(sides: Mapping[str, PairTable]) -> str:
    """Refuse sides of different datasets or divisions.

    Args:
        sides: by the names that messages use, such as `the train split`.

    Returns:
        A caveat for the user, or an empty text.

    Raises:
        MismatchError: naming two that don't belong together.
    """
    (first, table), *others = sides.items()
    for name, other in others:
        for what, mine, theirs in (
            ("datasets", table.origin.dataset_version, other.origin.dataset_version),
            ("divisions of the dataset", _plan(table), _plan(other)),
        ):
            if mine != theirs:
                raise MismatchError(
                    f"{first} and {name} are of different {what} ({mine or 'not named'} and {theirs or 'not named'}), "
                    "so they can't be used together",
                    make_again="splits",
                    what=what,
                    sides=(first, name),
                    found=(mine, theirs),
                )
    return UNNAMED_DIVISION if table.origin.dataset_version and not table.origin.division else ""


def require_sound_splits(splits: Splits) -> str:
    """Refuse splits that don't belong together, or have pairs or questions in common that they must not have.

    Returns:
        A caveat, as `require_one_making`.

    Raises:
        MismatchError: for the first problem.
    """
    caveat = require_one_making(
        {"the train split": splits.train, "the dev split": splits.dev, "the eval split": splits.eval}
    )
    division = splits.eval.origin.division
    shared = 0, ""
    if division is None and caveat:
        # This may be a published split, which has questions on both sides, but never pairs.
        shared = pairs_on_two_sides(splits)[0], "pairs"
    elif division and division.strategy in DISJOINT:
        shared = questions_on_two_sides(splits)[0], "questions"
    if shared[0]:
        raise MismatchError(
            f"{shared[0]:,} {shared[1]} are in two of the three splits, so a model would be measured on what it has "
            "learned",
            make_again="splits",
            shared=shared[0],
            what=shared[1],
        )
    return caveat


def pairs_on_two_sides(splits: Splits) -> tuple[int, int]:
    """Count (pairs on two sides, all pairs). Pairs are equal if their ids and the ids of their questions are."""
    keys = [
        table.pairs[["pair_id", "question1_id", "question2_id"]].drop_duplicates()
        for table in (splits.train, splits.dev, splits.eval)
    ]
    together = pd.concat(keys)
    return int(together.duplicated().sum()), len(together)


def questions_on_two_sides(splits: Splits) -> tuple[int, int]:
    """Count (questions on two sides, all questions)."""
    index = DistinctQuestions.of(splits.train.followed_by(splits.dev).followed_by(splits.eval))
    side = np.repeat([0, 1, 2], [len(splits.train), len(splits.dev), len(splits.eval)])
    is_on = np.zeros((index.questions, 3), dtype=bool)
    is_on[index.first_question, side] = is_on[index.second_question, side] = True
    sides = is_on.sum(axis=1)
    return int((sides - 1).sum()), int(sides.sum())


def _plan(table: PairTable) -> str | None:
    return table.origin.division.plan if table.origin.division else None
