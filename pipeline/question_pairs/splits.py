"""Divides question pairs into the train, dev and eval splits."""

import hashlib

import numpy as np
import pandas as pd

from pipeline.core.errors import InputError
from pipeline.core.files import content_version
from pipeline.question_pairs.options import SplitPlan
from pipeline.question_pairs.questions import DistinctQuestions, question_components, question_key
from pipeline.question_pairs.schema import Division, PairTable, Splits

SIZE_TOLERANCE = 0.01
"""Share of its target size by which a question-disjoint side may be smaller."""

OVERSIZED_SHARE = 0.02
OVERSIZED_PAIRS = 50
"""A component of more than this share of a held-out side, and of more than this many pairs, goes to training: in
Quora's release the largest are almost all duplicates, and one of them would shift a side's positive rate."""

_DRAWS = 100

_RULES = 1
"""Number of the rules of dividing: raise it when the same plan divides the same pairs differently."""


def split_pairs(table: PairTable, plan: SplitPlan) -> Splits:
    """Divide the pairs by a plan.

    Every row is on one side, except those that `train_limit` leaves out, and with `question_hash` those that would put
    a question on two sides.

    Raises:
        InputError: when all pairs have one label, or a side would be empty or can't be filled to within 1 % of its
            target size.
    """
    n_eval = _side_size(len(table), plan.eval_fraction, "eval_fraction")
    n_dev = _side_size(len(table) - n_eval, plan.dev_fraction, "dev_fraction") if plan.dev_fraction else 0
    if len(table) - n_eval - n_dev < 1:
        raise InputError(
            f"{len(table):,} pairs leave none to train on with eval_fraction {plan.eval_fraction} and dev_fraction "
            f"{plan.dev_fraction}: lower the fractions or add pairs",
            pairs=len(table),
            split="train",
        )
    if table.positive_rate in (0.0, 1.0):
        raise InputError(
            f"all {len(table):,} pairs of {table.origin.source} are {'' if table.positive_rate else 'not '}duplicates: "
            "a model can't be measured on one class; add pairs of the other",
            pairs=len(table),
            positive_rate=table.positive_rate,
        )
    notes: dict[str, int | float | str] = {}
    match plan.strategy:
        case "reference":
            rows = _reference_rows(len(table), n_eval, n_dev, plan.seed)
        case "question_disjoint":
            rows, notes = _disjoint_rows(table, n_eval, n_dev, plan.seed)
        case "question_hash":
            rows, notes = _hashed_rows(table, plan)
    train_rows = rows["train"][: plan.train_limit]
    version = table.data_version
    division = Division(plan=content_version([plan.model_dump(), version, _RULES]), strategy=plan.strategy)
    return Splits(
        train=table.take(train_rows, version, division),
        dev=table.take(rows["dev"], version, division),
        eval=table.take(rows["eval"], version, division),
        notes={**notes, "training pairs left out by train_limit": len(rows["train"]) - len(train_rows)},
    )


def _side_size(n: int, fraction: float, name: str) -> int:
    # `train_test_split` rounds the test side up.
    size = int(np.ceil(n * fraction))
    if not 0 < size < n:
        raise InputError(
            f"{n:,} pairs can't be divided with {name} {fraction}: one side would have none; add pairs",
            pairs=n,
            setting=name,
            fraction=fraction,
        )
    return size


def _reference_rows(n: int, n_eval: int, n_dev: int, seed: int) -> dict[str, np.ndarray]:
    """The rows of `datasets.Dataset.train_test_split(test_size, seed)`, then dev rows out of its training side.

    That function permutes all rows with numpy's default generator and takes the head for testing; the training
    side keeps the permuted order. A second draw picks the dev rows, so that without a dev side the training
    side is the library's, row for row.
    """
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(n)
    train = shuffled[n_eval:]
    in_dev = np.zeros(len(train), dtype=bool)
    in_dev[generator.permutation(len(train))[:n_dev]] = True
    return {"eval": shuffled[:n_eval], "dev": train[in_dev], "train": train[~in_dev]}


def _disjoint_rows(
    table: PairTable, n_eval: int, n_dev: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, int | float | str]]:
    component = question_components(table.pairs)
    sizes = np.bincount(component)
    generator = np.random.default_rng(seed)
    smallest_target = min(size for size in (n_eval, n_dev) if size)
    oversized = sizes > max(OVERSIZED_PAIRS, OVERSIZED_SHARE * smallest_target)
    side = np.zeros(len(sizes), dtype=np.int8)  # 0: train, 1: eval, 2: dev
    for number, name, target in ((1, "eval", n_eval), (2, "dev", n_dev)):
        if target:
            free = np.flatnonzero((side == 0) & ~oversized)
            side[free[_fill(sizes[free], target, generator, name)]] = number
    of_row = side[component]
    rows = {name: generator.permutation(np.flatnonzero(of_row == i)) for i, name in enumerate(("train", "eval", "dev"))}
    if not len(rows["train"]):
        raise InputError("no pairs are left to train on: lower eval_fraction or dev_fraction", split="train")
    notes: dict[str, int | float | str] = {
        "question components": len(sizes),
        "largest component (pairs)": int(sizes.max()),
        "oversized components, all in training": int(oversized.sum()),
        "pairs in oversized components": int(sizes[oversized].sum()),
    }
    return rows, notes


def _fill(sizes: np.ndarray, target: int, generator: np.random.Generator, name: str) -> np.ndarray:
    """Positions of components whose sizes add up to `target` within the tolerance.

    Every size class gives its share (systematic sampling over the components in order of size, shuffled within a
    size): large components are mostly duplicates, and a plain draw that misses them shifts the positive rate.
    The smallest beyond the target are put back, and the gap is filled with the largest component that fits, until
    none does. If the result is outside of the tolerance, another sample is drawn.
    """
    best = 0
    share = target / max(int(sizes.sum()), 1)
    for _ in range(_DRAWS):
        shuffled = generator.permutation(len(sizes))
        by_size = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
        marks = np.floor(np.arange(len(sizes) + 1) * share + generator.random())
        is_chosen = marks[1:] > marks[:-1]
        chosen, rest = by_size[is_chosen], by_size[~is_chosen]
        # Still in order of size: the head fits, the tail goes back.
        fitting = int(np.searchsorted(np.cumsum(sizes[chosen]), target, side="right"))
        rest = np.concatenate([rest, chosen[fitting:]])
        picked = list(chosen[:fitting])
        missing = target - int(sizes[chosen[:fitting]].sum())
        while missing and len(rest := rest[sizes[rest] <= missing]):
            at = int(np.argmax(sizes[rest]))
            picked.append(rest[at])
            missing -= int(sizes[rest[at]])
            rest = np.delete(rest, at)
        if missing <= SIZE_TOLERANCE * target:
            return np.array(picked, dtype=np.int64)
        best = max(best, target - missing)
    raise InputError(
        f"the {name} split can't be filled with whole question components: {best:,} of {target:,} pairs is the closest "
        f"in {_DRAWS} draws; too many pairs share questions, so choose another {name}_fraction or strategy 'reference'",
        split=name,
        pairs=best,
        target=target,
    )


def _hashed_rows(table: PairTable, plan: SplitPlan) -> tuple[dict[str, np.ndarray], dict[str, int | float | str]]:
    """Divide so that pairs stay on their sides as the data grow, in any order of rows.

    A question's text and the seed are hashed to a number between 0 and 1. A pair is an eval pair if the smaller of its
    two numbers is below a bound, so every pair has the same chance, independent of all others. Of the others, those
    below a second bound are dev pairs, and the rest are for training. But a pair that has a question in common with an
    eval pair is left out, and so is a training pair that might have one in common with a dev pair. So a pair that was
    held out is never trained on, whatever pairs are added later.

    Deciding whole components of questions in this way, by their smallest number, would put the large ones into the
    eval split: of 53,195 Quora pairs 20 % instead of 10 %, of which 63 % are duplicates instead of 43 %, and more with
    every pair that joins two of them. This leaves out 7 %.
    """
    pairs = table.pairs
    index = DistinctQuestions.of(table)
    of_text = np.fromiter((_between_0_and_1(question_key(text), plan.seed) for text in index.texts), np.float64)
    first, second = of_text[index.first], of_text[index.second]
    smaller = np.minimum(first, second)
    is_eval = smaller < 1 - np.sqrt(1 - plan.eval_fraction)
    # The same rule for the pairs that aren't eval pairs.
    is_held = smaller < 1 - np.sqrt((1 - plan.eval_fraction) * (1 - plan.dev_fraction))
    questions = [index.first_question, index.second_question]
    # Two texts with the same id are one question.
    ids = np.split(pd.factorize(pd.concat([pairs["question1_id"], pairs["question2_id"]]))[0], 2)
    near_eval, near_held = (_shares(is_some, questions) | _shares(is_some, ids) for is_some in (is_eval, is_held))
    sides = {"train": ~is_held & ~near_held, "dev": is_held & ~is_eval & ~near_eval, "eval": is_eval}
    for name, is_in in sides.items():
        if not is_in.any() and (name != "dev" or plan.dev_fraction):
            raise InputError(
                f"of {len(table):,} pairs none is in the {name} split with strategy 'question_hash': add pairs, or "
                "change eval_fraction or dev_fraction",
                split=name,
                pairs=len(table),
            )
    # A shuffle that doesn't change when pairs are added.
    order = np.argsort((first + second) % 1.0, kind="stable")
    left_out = int((~(sides["train"] | sides["dev"] | sides["eval"])).sum())
    notes: dict[str, int | float | str] = {"pairs left out, which would put a question on two sides": left_out}
    return {name: order[is_in[order]] for name, is_in in sides.items()}, notes


def _between_0_and_1(question: str, seed: int) -> float:
    digest = hashlib.blake2b(f"{seed}:{question}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _shares(is_some: np.ndarray, questions: list[np.ndarray]) -> np.ndarray:
    """Which pairs have a question in common with any of the given pairs: bool of shape (pairs,).

    Args:
        is_some: bool of shape (pairs,).
        questions: numbers of the first and of the second questions, each of shape (pairs,), from 0.
    """
    first, second = questions
    is_theirs = np.zeros(int(max(first.max(), second.max())) + 1, dtype=bool)
    is_theirs[first[is_some]] = is_theirs[second[is_some]] = True
    shares: np.ndarray = is_theirs[first] | is_theirs[second]
    return shares
