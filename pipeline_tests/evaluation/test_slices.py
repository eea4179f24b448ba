"""Which slice a pair belongs to, and that the baseline without text learns from the graph alone."""

import pytest
from small_data import pair_table

from pipeline.evaluation.report import SEEN
from pipeline.evaluation.slices import QuestionGraph, graph_only_scores, slicings
from pipeline.question_pairs.schema import PairTable


def table(*pairs: tuple[str, str], labels: list[bool] | None = None) -> PairTable:
    return pair_table([first for first, _ in pairs], [second for _, second in pairs], labels or [False] * len(pairs))


def value_of(name: str, pair: tuple[str, str], train: PairTable, dev: PairTable) -> str:
    """The slice of the pair, next to another pair, which must not matter."""
    evaluated = table(("Unrelated?", "Also unrelated!"), pair)
    found = slicings(evaluated, QuestionGraph.of(evaluated, train, dev))
    (slicing,) = [one for one in found if one.name == name]
    return slicing.values[slicing.of_pair[1]]


TRAIN, DEV = table(("How do I learn Go?", "How can I learn Go?")), table(("Why is the sky blue?", "Is the sky blue?"))


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (("How do I learn Go?", "How can I learn Go?"), "both"),
        (("How do I learn Go?", "What is Go?"), "one"),
        (("What is a sky?", "What is Go?"), "none"),
        # The same question, whatever its case and the blanks around it.
        (("how do i learn GO?", "\u00a0How can I learn Go? "), "both"),
        # The dev split is not training.
        (("Why is the sky blue?", "Is the sky blue?"), "none"),
    ],
)
def test_seen_means_that_training_had_the_question(pair: tuple[str, str], expected: str) -> None:
    assert value_of(SEEN, pair, TRAIN, DEV) == expected


@pytest.mark.parametrize(
    ("name", "pair", "expected"),
    [
        ("words in the longer question", ("Why?", "one two three four five six seven eight"), "1 to 8"),
        ("words in the longer question", ("one two three four five six seven eight nine", "Why?"), "9 to 12"),
        ("words in the longer question", ("word " * 20, "Why?"), "13 to 20"),
        ("words in the longer question", ("word " * 21, "Why?"), "over 20"),
        ("words in common (Jaccard)", ("What is Go?", "what IS go"), "0.75 and more"),
        ("words in common (Jaccard)", ("a b c d", "a b c x"), "0.5 to 0.75"),
        ("words in common (Jaccard)", ("a b c", "a x y"), "under 0.25"),
        ("words in common (Jaccard)", ("a b", "a x"), "0.25 to 0.5"),
        ("numbers", ("Is it 5?", "Is it five?"), "different"),
        ("numbers", ("Is 5 more than 4?", "Is 4 less than 5?"), "the same"),
        ("numbers", ("Is it?", "It is?"), "none"),
        ("negation", ("Why can't I sleep?", "Why can I sleep?"), "in one"),
        ("negation", ("Why can’t I sleep?", "Why do I never sleep?"), "in both"),
        ("negation", ("What is a notary?", "Is nobility old?"), "none"),
        ("pairs of the more frequent question", ("What is Go?", "What is a sky?"), "1"),
        ("pairs of the more frequent question", ("How do I learn Go?", "What is Go?"), "2 to 3"),
        ("pairs of the more frequent question", ("Why is the sky blue?", "What is Go?"), "2 to 3"),
        ("pairs of the more frequent question", (" why is the SKY blue?", "What is Go?"), "2 to 3"),
    ],
)
def test_a_pair_is_in_the_slice_that_describes_it(name: str, pair: tuple[str, str], expected: str) -> None:
    assert value_of(name, pair, TRAIN, DEV) == expected


def test_the_baseline_without_text_learns_from_the_graph_alone() -> None:
    # In training, pairs of the frequent question are duplicates. What the questions say is noise.
    hub = [("hub", f"spoke {i}") for i in range(40)]
    lone = [(f"lone {i}", f"alone {i}") for i in range(40)]
    train = table(*hub, *lone, labels=[True] * 40 + [False] * 40)
    evaluated = table(("hub", "a stranger"), ("never seen", "nor this"))
    graph = QuestionGraph.of(evaluated, train, table(("dev one", "dev two")))
    scores = graph_only_scores(graph, train.labels)
    assert scores is not None
    assert scores.shape == (2,)
    assert scores[0] > 0.9 > 0.1 > scores[1]


def test_the_baseline_without_text_needs_both_classes() -> None:
    train = table(("a", "b"), ("c", "d"))
    graph = QuestionGraph.of(table(("e", "f")), train, table(("g", "h")))
    assert graph_only_scores(graph, train.labels) is None
