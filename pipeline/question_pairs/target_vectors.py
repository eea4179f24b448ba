"""Where a teacher puts the training questions, in the space of the student's base model."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from pipeline.core.errors import PipelineError, counted, listing
from pipeline.question_pairs.questions import question_key
from pipeline.question_pairs.schema import table_version

_BASE_MODEL_KEY = b"base_model_version"
_AGAIN = "launch the job `silver` again"


@dataclass(frozen=True)
class TargetVectors:
    """A vector of length 1 for each training question, by a teacher that has seen none of its pairs.

    Attributes:
        texts: the questions, each in one wording.
        vectors: float16 of shape (questions, dimensions of the base model). Treated as read-only.
        base_model_version: of the student's base model, in whose space they lie.

    Raises:
        PipelineError: when there is another number of vectors than of questions, a question stands there twice, or a
            vector isn't of length 1.
    """

    texts: list[str]
    vectors: np.ndarray
    base_model_version: str

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.texts) or self.vectors.dtype != np.float16:
            raise PipelineError(
                f"{counted(len(self.texts), 'question')} can't have vectors of shape {self.vectors.shape} and type "
                f"{self.vectors.dtype}: {_AGAIN}"
            )
        if len(self._row_of) < len(self.texts):
            raise PipelineError(f"some questions have two target vectors: {_AGAIN}")
        # As squares of float16 lose digits. NaN is not close to 1 either.
        length = np.linalg.norm(self.vectors.astype(np.float32), axis=1)
        if not np.allclose(length, 1, atol=1e-2):
            at = int(np.argmax(~np.isclose(length, 1, atol=1e-2)))
            raise PipelineError(f"target vector {at + 1:,} has the length {length[at]:.4g} instead of 1: {_AGAIN}")

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {question_key(text): row for row, text in enumerate(self.texts)}

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""
        return int(self.vectors.shape[1])

    @cached_property
    def data_version(self) -> str:
        """Hash of the questions, their vectors in their order, and the space that these lie in."""
        digest = hashlib.sha256(table_version(self._questions()).encode())
        digest.update(f"{self.base_model_version}:{self.dimensions}:".encode())
        digest.update(self.vectors.astype("<f2", copy=False).tobytes())
        return digest.hexdigest()[:16]

    def of(self, texts: list[str]) -> np.ndarray:
        """The vectors of some texts, NaN for those without: float16 of shape (len(texts), dimensions).

        Texts that are one question (`question_key`) have one vector.
        """
        rows = np.array([self._row_of.get(question_key(text), -1) for text in texts], dtype=np.int64)
        found = np.full((len(texts), self.dimensions), np.nan, dtype=np.float16)
        found[rows >= 0] = self.vectors[rows[rows >= 0]]
        return found

    def to_arrow(self) -> pa.Table:
        """Columns `question` and `vector`, with the base model's version in the metadata."""
        flat = pa.array(np.ascontiguousarray(self.vectors).reshape(-1))
        table = self._questions().append_column("vector", pa.FixedSizeListArray.from_arrays(flat, self.dimensions))
        return table.replace_schema_metadata({_BASE_MODEL_KEY: self.base_model_version.encode()})

    @classmethod
    def from_arrow(cls, table: pa.Table) -> "TargetVectors":
        """The reverse of `to_arrow`.

        Raises:
            PipelineError: for a table that `to_arrow` did not make.
        """
        metadata = table.schema.metadata or {}
        if _BASE_MODEL_KEY not in metadata or table.schema.names != ["question", "vector"]:
            raise PipelineError(
                f"a stored table has the columns {listing(table.schema.names)}, not those of target vectors: {_AGAIN}"
            )
        lists = table["vector"].combine_chunks()
        vectors = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(table), lists.type.list_size)
        return cls(table["question"].to_pylist(), vectors, metadata[_BASE_MODEL_KEY].decode())

    def _questions(self) -> pa.Table:
        return pa.table({"question": pa.array(self.texts, pa.large_string())})
