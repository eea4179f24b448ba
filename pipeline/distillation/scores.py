"""Scores pairs with the members of a teacher, where the compute is; what was scored once is kept.

A bi-encoder's score is the cosine of two questions, whose vectors the project's cache keeps. A cross-encoder reads both
questions at once, in both orders, and the mean counts. Its scores are kept part by part, so that an interruption loses
no more than the part that was being scored. Layout: `<model version>/<hash of a part's texts>.npy`, float32, complete
or absent.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.compute.base import Compute
from pipeline.core.errors import PipelineError, reason_of
from pipeline.core.files import replacing
from pipeline.core.progress import Advanced, OnProgress, ignore
from pipeline.distillation.teacher import Member
from pipeline.duplicates.cache import VectorCache
from pipeline.duplicates.encoder import ComputeEncoder
from pipeline.duplicates.vectors import Vectors
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.questions import QuestionIndex
from pipeline.question_pairs.schema import PairTable

_STAGE = "scoring pairs"
_PART = 4_096
_ROWS = 65_536
"""Pairs whose vectors are in memory at once."""


class PairScorer:
    """Scores pairs with any model of this project, by a cache below one folder."""

    def __init__(self, compute: Compute, folder: Path, on_progress: OnProgress = ignore) -> None:
        """With a folder of this machine that holds vectors by model, and scores in `scores/` below it."""
        self._compute = compute
        self._vectors = VectorCache(folder)
        self._scores = folder / "scores"
        self._on_progress = on_progress

    def scores(self, model: FineTunedModel, first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        """Scores that grow with likeness: cosines, or a cross-encoder's logits; float32 of shape (pairs,).

        Raises:
            PipelineError: when the model can't be loaded, a score isn't finite, or the folder can't be written to.
        """
        if model.recipe.get("architecture") == "cross_encoder":
            return self._logits(model.model, first, second)
        return self.cosines(model.model, first, second)

    def cosines(self, model: ModelInfo, first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        """As `scores`, by a model that embeds."""
        index = QuestionIndex.of_texts(np.array(first, dtype=object), np.array(second, dtype=object))
        vectors = self.vectors(model, index.texts)
        found = np.empty(len(first), dtype=np.float32)
        for start in range(0, len(first), _ROWS):
            rows = slice(start, start + _ROWS)
            one, other = vectors.rows(index.first[rows]), vectors.rows(index.second[rows])
            found[rows] = np.einsum("ij,ij->i", one, other)
        return found

    def vectors(self, model: ModelInfo, texts: Sequence[str]) -> Vectors:
        """The vectors of texts by a model that embeds, in their order."""
        return self._vectors.vectors(texts, ComputeEncoder(self._compute, model), self._on_progress)

    def probability(self, members: Sequence[Member], first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        """The mean of the members' probabilities that pairs are duplicates: float64 of shape (pairs,)."""
        each = [member.calibration.probability(self.scores(member.model, first, second)) for member in members]
        mean: np.ndarray = np.mean(each, axis=0)
        return mean

    def out_of_fold(
        self, members: Sequence[Member], fold: np.ndarray, first: Sequence[str], second: Sequence[str]
    ) -> np.ndarray:
        """Probabilities by the members that were trained without each pair's fold: float64 of shape (pairs,).

        Args:
            fold: of each pair, int64 of shape (pairs,).
        """
        found = np.empty(len(fold))
        for number in np.unique(fold):
            rows = np.flatnonzero(fold == number)
            texts = ([questions[row] for row in rows.tolist()] for questions in (first, second))
            found[rows] = self.probability([member for member in members if member.fold == number], *texts)
        return found

    def _logits(self, model: ModelInfo, first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        folder = self._scores / model.version
        parts = [slice(start, start + _PART) for start in range(0, len(first), _PART)]
        paths = [folder / f"{_key(first[part], second[part])}.npy" for part in parts]
        found = [_read(path) for path in paths]
        missing = [number for number, values in enumerate(found) if values is None]
        done = sum(len(values) for values in found if values is not None)
        self._on_progress(Advanced(_STAGE, done, len(first)))
        texts = [(list(first[parts[number]]), list(second[parts[number]])) for number in missing]
        for number, values in zip(
            missing, self._compute.score_pairs(model, texts, ignore, both_ways=True), strict=True
        ):
            if not np.isfinite(values).all():
                raise PipelineError(
                    f"{model.name} (version {model.version}) gave scores that are NaN or infinite: its training has "
                    "diverged; train the teacher anew with a lower learning_rate"
                )
            _write(paths[number], values)
            found[number] = values
            done += len(values)
            self._on_progress(Advanced(_STAGE, done, len(first)))
        return np.concatenate([values for values in found if values is not None] or [np.empty(0, np.float32)])


def texts_of(table: PairTable) -> tuple[list[str], list[str]]:
    """The first and the second questions of a table."""
    return table.pairs["question1"].tolist(), table.pairs["question2"].tolist()


def _key(first: Sequence[str], second: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for texts in (first, second):
        for text in texts:
            encoded = text.encode("utf-8", "surrogatepass")
            digest.update(f"{len(encoded)}:".encode() + encoded)
    return digest.hexdigest()[:32]


def _read(path: Path) -> np.ndarray | None:
    """The scores of a part; None for one that isn't there, or can't be read: it is scored again."""
    try:
        values: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return values


def _write(path: Path, values: np.ndarray) -> None:
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, values.astype("<f4", copy=False), allow_pickle=False)
    except OSError as error:
        raise PipelineError(
            f"can't keep scores in {path.parent} ({reason_of(error)}): make room, or set PIPELINE_HOME"
        ) from error
