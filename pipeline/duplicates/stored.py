"""The stored values of the job `mine`: a corpus, its vectors, what was mined, and the index; and the checks of them.

Layout below an asset's folder: `<version>.json` is the value, `<version>/…` are its tables as Parquet. The value has
the SHA-256 of each table.
"""

import hashlib
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from pipeline.core.errors import DamagedError
from pipeline.core.files import content_version, write_bytes
from pipeline.core.store import VersionStore, changed, unreadable
from pipeline.core.values import StoredValue
from pipeline.models.info import ModelInfo
from pipeline.quality.rules import Finding, skipped

if TYPE_CHECKING:
    from pipeline.duplicates.corpus import Corpus

QUESTIONS_TABLE, ROWS_TABLE = "questions.parquet", "rows.parquet"
PAIRS_TABLE, CLUSTERS_TABLE, REVIEW_TABLE = "pairs.parquet", "clusters.parquet", "review.parquet"
REPORT_FILE = "report.md"


class QuestionSet(StoredValue):
    """The questions of a corpus.

    Attributes:
        source: where they came from.
        synthetic: generated questions.
        corpus_version: of the distinct questions, see `Corpus.version`.
        questions: how many distinct ones there are.
        texts: how many texts the source has.
        blank, repeated: how many of these are blank, or repeat an earlier one.
        per_row: texts in a row of the source.
        sha256: of each table by its name.
    """

    stored_name: ClassVar[str] = "QuestionSet"

    source: str
    synthetic: bool
    corpus_version: str
    questions: int
    texts: int
    blank: int
    repeated: int
    per_row: int
    sha256: dict[str, str]

    @property
    def data_version(self) -> str:
        """Hash of the questions and of who asks them."""
        return content_version([self.corpus_version, self.sha256[ROWS_TABLE]])


class QuestionEmbeddings(StoredValue):
    """The vectors of a corpus by one model; they lie in the cache of this machine.

    Attributes:
        corpus_version: of the questions.
        model: that embedded them.
        questions, dimensions: shape of the vectors.
        precision: they were computed in.
    """

    stored_name: ClassVar[str] = "QuestionEmbeddings"

    corpus_version: str
    model: ModelInfo
    questions: int
    dimensions: int
    precision: str

    @property
    def data_version(self) -> str:
        """Hash of what was embedded, and with what."""
        return content_version([self.corpus_version, self.model.version, self.precision])


class MinedDuplicates(StoredValue):
    """What was mined from a corpus.

    Attributes:
        corpus_version, model_version: what it was mined from.
        floor, threshold: cosines; see `MinedCorpus`.
        candidates, pairs: how many pairs reach each.
        prior: share of duplicates among the candidates; None without a decision.
        duplicate_ratio: share of the questions that stand in a pair.
        clusters, removable: how many, and how many texts another one stands for.
        engine, recall: what found the pairs, and the share that it found by a sample; None where that is all of them.
        sha256: of each table by its name.
    """

    stored_name: ClassVar[str] = "MinedDuplicates"

    corpus_version: str
    model_version: str
    floor: float
    threshold: float
    candidates: int
    pairs: int
    prior: float | None
    duplicate_ratio: float
    clusters: int
    removable: int
    engine: str
    recall: float | None
    sha256: dict[str, str]

    @property
    def data_version(self) -> str:
        """Hash of what was found."""
        return content_version([self.corpus_version, self.model_version, self.threshold, self.sha256])


class QuestionIndex(StoredValue):
    """What new questions are looked for in.

    Attributes:
        kind: `exact`: the vectors themselves; `index`: also an inverted file of faiss.
        corpus_version, model_version: whose vectors it has.
        questions: how many.
        recall: share of a sample's 10 nearest questions that it finds; 1 for `exact`.
        file: its path on this machine; empty for `exact`.
        sha256: of that file; empty without one.
    """

    stored_name: ClassVar[str] = "QuestionIndex"

    kind: str
    corpus_version: str
    model_version: str
    questions: int
    recall: float
    file: str
    sha256: str

    @property
    def data_version(self) -> str:
        """Hash of what it is an index of, and how."""
        return content_version([self.kind, self.corpus_version, self.model_version, self.sha256])


def as_parquet(table: pa.Table) -> bytes:
    """The bytes of a Parquet file."""
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def hashes(files: dict[str, bytes]) -> dict[str, str]:
    """SHA-256 of each file."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}


def write_files(store: VersionStore, asset: str, version: str, files: Mapping[str, bytes]) -> None:
    """Write the tables of a value, before the value itself, which has their hashes."""
    for name, content in files.items():
        write_bytes(store.folder(asset) / version / name, content)


def read_table(store: VersionStore, asset: str, value: Any, name: str) -> pa.Table:
    """A table of a stored value.

    Raises:
        PipelineError: when it is gone, or not what was written.
    """
    path = store.folder(asset) / value.data_version / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(asset, path, error) from error
    if hashlib.sha256(content).hexdigest() != value.sha256[name]:
        raise changed(asset, path)
    from pyarrow import parquet

    return parquet.read_table(io.BytesIO(content))


def question_set(corpus: "Corpus", synthetic: bool) -> tuple[QuestionSet, dict[str, bytes]]:
    """A corpus as a stored value and its tables."""
    files = {
        QUESTIONS_TABLE: as_parquet(pa.table({"question": pa.array(corpus.texts, pa.large_string())})),
        ROWS_TABLE: as_parquet(pa.table({"question": pa.array(corpus.rows, pa.int64())})),
    }
    value = QuestionSet(
        source=corpus.name,
        synthetic=synthetic,
        corpus_version=corpus.version,
        questions=len(corpus),
        texts=len(corpus.rows),
        blank=corpus.blank,
        repeated=corpus.repeated,
        per_row=corpus.per_row,
        sha256=hashes(files),
    )
    return value, files


def read_question_set(store: VersionStore, asset: str, value: QuestionSet) -> "Corpus":
    """The corpus of a stored value.

    Raises:
        PipelineError: when its tables are gone, or not what was written.
    """
    from pipeline.duplicates.corpus import Corpus

    texts = read_table(store, asset, value, QUESTIONS_TABLE)["question"].to_pylist()
    rows: np.ndarray = read_table(store, asset, value, ROWS_TABLE)["question"].to_numpy()
    corpus = Corpus(value.source, texts, rows, value.per_row)
    if corpus.version != value.corpus_version:
        raise DamagedError(f"{asset}: its questions are not those that it names", make_again=asset, asset=asset)
    return corpus


# --- what must hold of them ---

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
