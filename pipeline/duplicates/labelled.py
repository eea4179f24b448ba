"""Compare mined pairs with labelled ones: precision, recall, and the effect of the prior."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.duplicates.mining import MinedCorpus, require_known
from pipeline.question_pairs.questions import question_keys
from pipeline.question_pairs.schema import PairTable


@dataclass(frozen=True)
class LabelledFigures:
    """How mined pairs fare among labelled ones.

    Attributes:
        name: of the threshold.
        threshold: cosine.
        mined: pairs of the whole corpus at or above it.
        labelled: those of them that have a label.
        right: those of these that are duplicates.
        duplicates: labelled duplicates whose questions are both in the corpus, mined or not.
        expected: mean probability of the labelled mined pairs; None without a decision.
    """

    name: str
    threshold: float
    mined: int
    labelled: int
    right: int
    duplicates: int
    expected: float | None

    @property
    def precision(self) -> float | None:
        """Share of duplicates among the labelled mined pairs; None where there are none."""
        return self.right / self.labelled if self.labelled else None

    @property
    def recall(self) -> float | None:
        """Share of the labelled duplicates that were mined; None where there are none."""
        return self.right / self.duplicates if self.duplicates else None


class LabelledSample:
    """The labelled pairs with both questions in a mined corpus, and the cosine of those that are candidates."""

    def __init__(self, mined: MinedCorpus, table: PairTable) -> None:
        """Find them.

        Raises:
            PipelineError: when there are none.
        """
        self._mined = mined
        first, second, labels = _in_corpus(mined, table)
        low, high = np.minimum(first, second), np.maximum(first, second)
        n = len(mined.corpus)
        wanted, found = low * n + high, mined.candidates.first * n + mined.candidates.second
        order = np.argsort(found)
        at = np.minimum(np.searchsorted(found[order], wanted), max(len(found) - 1, 0))
        is_candidate = found[order][at] == wanted if len(found) else np.zeros(len(wanted), dtype=bool)
        self.cosine = np.full(len(wanted), -np.inf, dtype=np.float32)
        if len(found):
            self.cosine[is_candidate] = mined.candidates.cosine[order][at[is_candidate]]
        self.labels = labels

    def figures(self, name: str, threshold: float, probability: bool = True) -> LabelledFigures:
        """The figures at a threshold, at or above the floor.

        Args:
            probability: corrected for the prior of the corpus; else as it is on the dev split.
        """
        above = self.cosine >= np.float32(threshold)
        expected = None
        decision, prior = self._mined.decision, self._mined.prior
        if decision and prior and above.any():
            share = prior.equivalent if probability else None
            expected = float(decision.calibration.probability(self.cosine[above], share).mean())
        return LabelledFigures(
            name=name,
            threshold=threshold,
            mined=len(self._mined.candidates.at(threshold)),
            labelled=int(above.sum()),
            right=int(self.labels[above].sum()),
            duplicates=int(self.labels.sum()),
            expected=expected,
        )


def _in_corpus(mined: MinedCorpus, table: PairTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of both questions and label of the pairs that are in the corpus, each pair once; of several labels the
    first counts."""
    known = pd.Index(question_keys(pa.array(mined.corpus.texts, pa.large_string())).to_numpy(zero_copy_only=False))
    first, second = (
        known.get_indexer(
            question_keys(pa.array(table.pairs[name].to_numpy(object), pa.large_string())).to_numpy(
                zero_copy_only=False
            )
        )
        for name in ("question1", "question2")
    )
    require_known(mined, first, second)
    usable = (first >= 0) & (second >= 0) & (first != second)
    first, second, labels = first[usable], second[usable], table.labels[usable]
    keys = np.minimum(first, second) * len(known) + np.maximum(first, second)
    once = np.sort(np.unique(keys, return_index=True)[1])
    return first[once].astype(np.int64), second[once].astype(np.int64), labels[once]


def thresholds_compared(mined: MinedCorpus, table: PairTable) -> list[LabelledFigures]:
    """The figures at the threshold that was used, and at those that take no account of the prior.

    Raises:
        PipelineError: when no labelled pair is in the corpus.
    """
    sample = LabelledSample(mined, table)
    rows = [sample.figures("used", mined.threshold)]
    if mined.decision:
        calibration, floor = mined.decision.calibration, mined.candidates.floor
        others = {
            "best F1 on the dev split": mined.decision.threshold,
            "probability 1/2, without the prior": calibration.cosine_of(0.5),
        }
        if mined.prior and mined.prior.how != "as on the dev split":
            others["probability 1/2, with the prior"] = calibration.cosine_of(0.5, mined.prior.equivalent)
        rows += [
            sample.figures(name, max(threshold, floor), probability="without" not in name and "dev" not in name)
            for name, threshold in others.items()
        ]
    return rows
