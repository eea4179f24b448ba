"""Vectors of training questions by a teacher: what they promise, and what is refused."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import PipelineError
from pipeline.question_pairs.target_vectors import TargetVectors

TEXTS = ["How old is it?", "Who is she?", "Où est-il ?"]
VECTORS = np.array([[1, 0], [0.6, 0.8], [0, -1]], dtype=np.float16)


def made(texts: list[str] = TEXTS, vectors: np.ndarray = VECTORS, version: str = "0" * 16) -> TargetVectors:
    return TargetVectors(texts, vectors, version)


def test_a_file_gives_back_what_was_written() -> None:
    buffer = io.BytesIO()
    pq.write_table(made().to_arrow(), buffer)
    read = TargetVectors.from_arrow(pq.read_table(buffer))
    assert (read.texts, read.base_model_version, read.dimensions) == (TEXTS, "0" * 16, 2)
    np.testing.assert_array_equal(read.vectors, VECTORS)
    assert read.data_version == made().data_version


def test_no_questions_are_a_table_too() -> None:
    empty = made([], np.empty((0, 4), dtype=np.float16))
    read = TargetVectors.from_arrow(empty.to_arrow())
    assert (len(read), read.dimensions) == (0, 4)


def test_each_part_decides_the_version() -> None:
    others = [
        made(TEXTS[::-1]),
        made(vectors=VECTORS[[0, 2, 1]]),
        made(version="1" * 16),
        made(TEXTS[:2], VECTORS[:2]),
    ]
    assert len({made().data_version, *(other.data_version for other in others)}) == 5


def test_a_question_has_its_vector_however_it_is_written_and_an_unknown_one_has_none() -> None:
    found = made().of(["what is this?", "who is she? ", "How old is it?"])
    assert found.dtype == np.float16
    assert np.isnan(found[0]).all()
    np.testing.assert_array_equal(found[1:], VECTORS[[1, 0]])


@pytest.mark.parametrize(
    ("texts", "vectors", "said"),
    [
        (TEXTS[:2], VECTORS, "2 questions can't have vectors of shape"),
        (TEXTS, VECTORS.astype(np.float32), "type float32"),
        (["Who is she?", "who is she?", "x"], VECTORS, "two target vectors"),
        (TEXTS, VECTORS * np.float16(2), "target vector 1 has the length 2 instead of 1"),
        (TEXTS, VECTORS * np.array([[1], [np.nan], [1]], dtype=np.float16), "target vector 2 has the length nan"),
    ],
)
def test_what_is_no_table_of_vectors_is_refused(texts: list[str], vectors: np.ndarray, said: str) -> None:
    with pytest.raises(PipelineError, match=said):
        made(texts, vectors)


def test_another_table_is_refused() -> None:
    with pytest.raises(PipelineError, match="has the columns question, not those of target vectors"):
        TargetVectors.from_arrow(pa.table({"question": ["a"]}))
