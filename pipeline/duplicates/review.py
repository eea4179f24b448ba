"""Likely wrong labels: pairs whose label is improbable by a model that was not trained on them."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.decision import decision_from
from pipeline.evaluation.metrics import has_both_classes
from pipeline.evaluation.pair_scores import pair_scores
from pipeline.evaluation.report import Mistake
from pipeline.models.decision import Decision
from pipeline.question_pairs.questions import DistinctQuestions
from pipeline.question_pairs.schema import PairTable, Splits

MOST = 1_000
"""Rows of the table: more than anyone reads."""

Embed = Callable[[list[str]], np.ndarray]
"""Vectors of length 1 of some texts."""


def likely_wrong_labels(splits: Splits, decision: Decision | None, trained: Embed, base: Embed) -> pa.Table:
    """The pairs whose label is least probable, first; at most `MOST`, each with a probability below 1/2.

    The held-out pairs are scored by the fine-tuned model, which has not learned from them (the dev pairs did choose its
    checkpoint and thresholds); the training pairs by the base model, calibrated on the dev pairs.

    Args:
        decision: of the fine-tuned model; without one its pairs are left out.
        trained, base: embed with the two models.
    """
    parts: list[dict[str, np.ndarray]] = []
    if decision:
        for side, table in (("eval", splits.eval), ("dev", splits.dev)):
            if len(table):
                probability = decision.calibration.probability(_scores(table, trained)["cosine"])
                parts.append(_columns(side, "fine-tuned", table, probability))
    if has_both_classes(splits.dev.labels) and len(splits.train):
        of_base = decision_from(_scores(splits.dev, base), splits.dev.labels, "", splits.dev.data_version)
        probability = of_base.calibration.probability(_scores(splits.train, base)["cosine"])
        parts.append(_columns("train", "base", splits.train, probability))
    if not parts:
        parts = [_columns("eval", "none", splits.eval.take(np.empty(0, dtype=np.int64)), np.empty(0))]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(joined["probability_of_label"], kind="stable")
    order = order[joined["probability_of_label"][order] < 0.5][:MOST]
    texts = {"side", "scored_by", "question1", "question2"}
    return pa.table(
        {name: pa.array(values[order], pa.large_string() if name in texts else None) for name, values in joined.items()}
    )


def _scores(table: PairTable, embed: Embed) -> dict[str, np.ndarray]:
    index = DistinctQuestions.of(table)
    vectors = embed(index.texts)
    return pair_scores(vectors[index.first], vectors[index.second])


def _columns(side: str, model: str, table: PairTable, probability: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "side": np.full(len(table), side, dtype=object),
        "scored_by": np.full(len(table), model, dtype=object),
        **{name: table.pairs[name].to_numpy() for name in ("pair_id", "question1", "question2", "is_duplicate")},
        "probability": probability,
        "probability_of_label": np.where(table.labels == 1, probability, 1 - probability),
    }


def to_review(pairs: pa.Table) -> pa.Table:
    """Pairs in the form of corrections: their label is in `labelled`, and `is_duplicate` is empty.

    A reviewer fills in the label of a pair. A pair without one corrects nothing.

    Args:
        pairs: question1, question2, is_duplicate, and what else a reviewer wants to see.
    """
    first = ["question1", "question2", "is_duplicate"]
    labelled = pc.cast(pairs["is_duplicate"], pa.int8())
    table = pairs.select(first).rename_columns(["question1", "question2", "labelled"])
    table = table.set_column(2, "labelled", labelled).append_column("is_duplicate", pa.nulls(len(pairs), pa.int8()))
    for name in (name for name in pairs.column_names if name not in first):
        table = table.append_column(name, pairs[name])
    return table


def worst_mistakes(mistakes: Sequence[Mistake]) -> pa.Table:
    """The mistakes of a report as a table: question1, question2, is_duplicate, cosine and pair_id."""
    return pa.table(
        {
            "question1": pa.array([mistake.question1 for mistake in mistakes], pa.large_string()),
            "question2": pa.array([mistake.question2 for mistake in mistakes], pa.large_string()),
            "is_duplicate": pa.array([mistake.is_duplicate for mistake in mistakes], pa.bool_()),
            "cosine": pa.array([mistake.score for mistake in mistakes], pa.float64()),
            "pair_id": pa.array([mistake.pair_id for mistake in mistakes], pa.int64()),
        }
    )
