"""Reads question pairs from a local file or the bundled sample into the one schema."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.errors import PipelineError
from pipeline.question_pairs.schema import PAIR_SCHEMA, PairTable, ids_by_text
from pipeline.references import DataOrigin


class PairSource(BaseModel):
    """Where the question pairs come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["bundled_sample", "file"] = Field(
        default="bundled_sample",
        description="`bundled_sample`: about 4,000 generated Quora-like pairs, no download. "
        "`file`: question pairs of your own in `path`.",
    )
    path: str | None = Field(
        default=None,
        description="TSV, CSV or Parquet file with the columns question1, question2 and is_duplicate "
        "(and, if it has them, id, qid1 and qid2). A relative path starts at the working directory.",
    )
    sample_seed: int = Field(
        default=42,
        ge=0,
        le=2**32 - 1,
        description="Seed of the bundled sample: another seed draws other pairs.",
    )

    @model_validator(mode="after")
    def _path_goes_with_file(self) -> "PairSource":
        if self.source == "file" and not self.path:
            raise ValueError("source 'file' needs `path`: name the file of question pairs")
        if self.source != "file" and self.path:
            raise ValueError(f"`path` is set to {self.path!r} but source is {self.source!r}: set source to 'file'")
        return self


_TEXT_COLUMNS = ("question1", "question2")
_LABEL_COLUMN = "is_duplicate"
_ID_COLUMNS = {
    "pair_id": ("pair_id", "id"),
    "question1_id": ("question1_id", "qid1"),
    "question2_id": ("question2_id", "qid2"),
}
_LABELS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


def load_pairs(source: PairSource) -> PairTable:
    """Read the pairs of a source; rows keep their order, none is dropped, missing texts become empty strings.

    Question ids come from the file when every row has them; otherwise distinct texts are numbered in order of
    first appearance.

    Raises:
        PipelineError: when the file is missing, unreadable, empty or lacks a column, or a label is not 0 or 1.
    """
    if source.source == "bundled_sample":
        # Imported here because only this source needs the sentences.
        from pipeline.question_pairs.sample import bundled_sample

        origin = DataOrigin(source=f"bundled sample, seed {source.sample_seed}", synthetic=True)
        return _with_version(PairTable(bundled_sample(source.sample_seed), origin))
    path = Path(str(source.path)).expanduser()
    if not path.is_file():
        raise PipelineError(f"no file of question pairs at {path.absolute()}: correct `path` of raw_quora_dataset")
    frame = _read(path)
    return _with_version(PairTable(_to_schema(frame, path), DataOrigin(source=path.name, synthetic=False)))


def _with_version(table: PairTable) -> PairTable:
    return PairTable(table.pairs, table.origin.model_copy(update={"dataset_version": table.data_version}))


def _read(path: Path) -> pd.DataFrame:
    """The file's table, text as strings; Parquet is recognised by its first bytes, TSV and CSV by the header line."""
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    try:
        if is_parquet:
            frame: pd.DataFrame = pq.read_table(path).to_pandas()
            return frame
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        if not header.strip():
            raise PipelineError(f"{path} is empty: it needs a header line and question pairs")
        separator = "\t" if "\t" in header else ","
        # `NA` and `null` are words that people ask about: only an empty field is a missing one.
        frame = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (pa.ArrowInvalid, pd.errors.ParserError, UnicodeDecodeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PipelineError(f"can't read question pairs from {path}: {reason}") from error
    if not isinstance(frame.index, pd.RangeIndex):
        # pandas takes surplus fields for row labels and shifts the columns.
        raise PipelineError(f"can't read question pairs from {path}: rows have more fields than its header has columns")
    return frame


def _to_schema(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    missing = [name for name in (*_TEXT_COLUMNS, _LABEL_COLUMN) if name not in frame.columns]
    if missing:
        found = ", ".join(map(str, frame.columns))
        raise PipelineError(f"{path} lacks the column {', '.join(missing)}; it has: {found}")
    if frame.empty:
        raise PipelineError(f"{path} has a header but no question pairs")
    question1, question2 = (frame[name].astype("object").fillna("").astype(str) for name in _TEXT_COLUMNS)
    ids = {name: _integer_column(frame, aliases) for name, aliases in _ID_COLUMNS.items()}
    question_ids = (ids["question1_id"], ids["question2_id"])
    if question_ids[0] is None or question_ids[1] is None:
        question_ids = ids_by_text(question1, question2)
    pair_id = ids["pair_id"]
    columns = {
        "pair_id": np.arange(len(frame)) if pair_id is None else pair_id,
        "question1_id": question_ids[0],
        "question2_id": question_ids[1],
        "question1": question1,
        "question2": question2,
        "is_duplicate": _labels(frame[_LABEL_COLUMN], path),
    }
    return pd.DataFrame(columns).reset_index(drop=True)[PAIR_SCHEMA.names]


def _integer_column(frame: pd.DataFrame, aliases: tuple[str, ...]) -> np.ndarray | None:
    """The first of these columns that is there and an integer in every row, as int64."""
    for name in aliases:
        if name in frame.columns:
            numbers = pd.to_numeric(frame[name], errors="coerce")
            if numbers.notna().all() and (numbers % 1 == 0).all():
                return numbers.to_numpy(dtype=np.int64)
    return None


def _labels(column: pd.Series, path: Path) -> np.ndarray:
    texts = column.astype(str).str.strip().str.lower()
    labels = texts.map(_LABELS)
    if labels.isna().any():
        bad = labels.isna()
        first = int(np.flatnonzero(bad)[0])
        raise PipelineError(
            f"{path}: {int(bad.sum()):,} of {len(bad):,} rows have an is_duplicate that is not 0 or 1; the first is "
            f"data row {first + 1}: {column.iloc[first]!r}"
        )
    return labels.to_numpy(dtype=bool)
