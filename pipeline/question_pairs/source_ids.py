"""Whether a source's ids are what they seem, one for each question: others are left out, and the account says why."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.core.errors import excerpt
from pipeline.question_pairs.questions import QuestionIndex

QUESTION_IDS = ("question1_id", "question2_id")


def unsound_ids(
    ids: Mapping[str, pa.Array], index: QuestionIndex, is_duplicate: np.ndarray, rows: np.ndarray
) -> dict[str, str]:
    """Which ids the rows contradict, and how: of questions when one stands for several, of pairs when one does.

    Ids that begin at 0 in each file of a folder, or in each column, are such. A question that is written in several
    ways, letter case and outer blanks aside the same, is one question.

    Args:
        ids: `pair_id`, `question1_id` and `question2_id`, as far as the source has them, each of shape (pairs,).
        index: of the pairs' questions.
        is_duplicate: the labels, of shape (pairs,).
        rows: the number of each pair in its source, from 0, of shape (pairs,).
    """
    found: dict[str, str] = {}
    if all(name in ids for name in QUESTION_IDS):
        numbers = np.concatenate([np.asarray(ids[name]) for name in QUESTION_IDS])
        questions = np.concatenate([index.first_question, index.second_question])
        if (clash := _first_clash(numbers, questions)) is not None:
            texts = np.concatenate([index.first, index.second])
            shown = " and ".join(
                f"{excerpt(index.texts[texts[at]])} (data row {rows[at % len(rows)] + 1:,})" for at in clash
            )
            found |= dict.fromkeys(
                QUESTION_IDS, f"id {numbers[clash[0]]} stands for several questions, such as {shown}"
            )
    if "pair_id" in ids:
        numbers = np.asarray(ids["pair_id"])
        width = index.questions + 1
        pairs = (index.first_question * width + index.second_question) * 2 + is_duplicate
        if (clash := _first_clash(numbers, pairs)) is not None:
            first, second = (f"{rows[at] + 1:,}" for at in clash)
            found["pair_id"] = (
                f"id {numbers[clash[0]]} stands for several pairs, such as data rows {first} and {second}"
            )
    return found


def _first_clash(ids: np.ndarray, meanings: np.ndarray) -> tuple[int, int] | None:
    """Positions of the first two equal ids with different meanings, or None."""
    codes, distinct = pd.factorize(ids)
    if len(distinct) == len(ids):
        return None
    first_of = np.full(len(distinct), -1, dtype=np.int64)
    first_of[codes[::-1]] = np.arange(len(ids) - 1, -1, -1)
    clashes = np.flatnonzero(meanings[first_of[codes]] != meanings)
    return (int(first_of[codes[clashes[0]]]), int(clashes[0])) if len(clashes) else None
