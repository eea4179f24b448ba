"""What must hold of mined duplicates and of an index: plain functions from values to findings."""

from pipeline.duplicates.stored import MinedDuplicates, QuestionIndex
from pipeline.quality.rules import Finding, skipped

MIN_RECALL = 0.98
"""Least share of a sample's pairs that mining by the index must find."""

MAX_SHARE_CHANGE = 0.05
"""How far the share of questions with a duplicate may move from one time to the next."""


def recall_of_pairs(mined: MinedDuplicates, least: float = MIN_RECALL) -> Finding:
    """Mining found enough of a sample's pairs."""
    if mined.recall is None:
        return skipped(f"the engine {mined.engine!r} compared all with all, or the sample has no pair", least)
    said = f"of the pairs of the sampled questions {mined.recall:.2%} were found; at least {least:.2%} are asked for"
    return Finding(mined.recall >= least, mined.recall, least, said)


def share_change(now: MinedDuplicates, before: MinedDuplicates | None, most: float = MAX_SHARE_CHANGE) -> Finding:
    """The share of questions with a duplicate is about what it was."""
    if before is None:
        return skipped("nothing was mined before", most)
    change = abs(now.duplicate_ratio - before.duplicate_ratio)
    said = f"{now.duplicate_ratio:.1%} of the questions have a duplicate; {before.duplicate_ratio:.1%} had before"
    return Finding(change <= most, change, most, said)


def index_matches(index: QuestionIndex, corpus_version: str, model_version: str) -> Finding:
    """The index is of the vectors that there are now: of the same questions and the same model."""
    pairs = (
        ("model version", index.model_version, model_version),
        ("corpus", index.corpus_version, corpus_version),
    )
    wrong = [f"its {what} is {mine}, that of the vectors {theirs}" for what, mine, theirs in pairs if mine != theirs]
    said = "; ".join(wrong) or "it is of the same questions and the same model as the vectors"
    return Finding(not wrong, len(wrong), 0, f"{said}: launch the job mine" if wrong else said)


def recall_of_index(index: QuestionIndex, least: float) -> Finding:
    """The index finds enough of the nearest questions."""
    said = f"it finds {index.recall:.2%} of the 10 nearest questions of a sample; at least {least:.2%} are asked for"
    return Finding(index.recall >= least, index.recall, least, said)
