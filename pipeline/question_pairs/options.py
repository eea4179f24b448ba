"""Where question pairs come from and how they are split: the settings of the dataset."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from pipeline.core.errors import excerpt
from pipeline.core.foreign_text import has_password, without_credentials
from pipeline.core.values import FrozenModel, Settings

PAIR_COLUMNS = ("pair_id", "question1_id", "question2_id", "question1", "question2", "is_duplicate")
"""The parts of a pair. A file may have other names for its columns."""

Keep = Literal["keep", "drop"]
Quoting = Literal["auto", "csv", "none"]


class PairSource(Settings):
    """Where the question pairs come from, and what happens to broken, repeated and contradictory ones."""

    # The sample was generated, and another seed gave other pairs.
    removed: ClassVar[Mapping[str, Any]] = {"sample_seed": 42}

    # A refused value may hold a password; pydantic would quote it.
    model_config = ConfigDict(hide_input_in_errors=True)

    source: Literal["bundled_sample", "file", "hub"] = Field(
        default="bundled_sample",
        description="`bundled_sample`: about 4,000 generated Quora-like pairs, no download. "
        "`file`: your own question pairs in `path`. `hub`: a dataset of the Hugging Face hub.",
    )
    path: str | None = Field(
        default=None,
        description="File, folder or fsspec URL of question pairs in TSV, CSV, Parquet, Arrow, JSON lines or Excel, "
        "plain or compressed with gzip, zstd or bzip2. A relative path starts at the working directory.",
    )
    hub_id: str = Field(
        default="quora-competitions/quora",
        min_length=1,
        description="Id of the dataset on the Hugging Face hub. The default is Quora's whole release, 404,290 pairs.",
    )
    hub_config: str | None = Field(
        default="default",
        description="Configuration of the hub dataset: the folder of its files. Empty: its only one.",
    )
    hub_revision: str = Field(
        default="refs/convert/parquet",
        min_length=1,
        description="Branch, tag or commit. The default is the hub's own conversion to Parquet, which also exists for "
        "datasets that were published as a script; `main`: the files as they were uploaded.",
    )
    hub_split: str = Field(default="train", min_length=1, description="Split of the hub dataset to read.")
    corrections: str | None = Field(
        default=None,
        description="File, folder or URL of reviewed pairs, in any form that `path` takes. Their labels replace those "
        "of all pairs with the same two questions, before anything else is done. Rows without a label are ignored.",
    )
    columns: dict[str, str] = Field(
        default={},
        description="Your names of columns, if they aren't the known ones: `{question1: first, question2: second, "
        "is_duplicate: same}`; also pair_id, question1_id and question2_id.",
    )
    labels: dict[str, int] = Field(
        default={},
        description="Meanings of your labels, if they aren't the known ones (1, true, t, yes, y, duplicate; 0, false, "
        'f, no, n, not duplicate, not_duplicate): `{"same": 1, "related": 0}`. Letter case and outer blanks are '
        "ignored. Your meanings take precedence.",
    )
    quoting: Quoting = Field(
        default="auto",
        description="How quotes in CSV and TSV are read. `csv`: around a field, doubled inside. `none`: as letters. "
        "`auto`: by CSV's rules, or as letters in a TSV that breaks them; a quoted text that contains whole rows is "
        "refused.",
    )
    max_rejected_share: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Largest share of broken rows (no label or an unknown one, a wrong number of fields, a NUL byte). "
        "They are left out and counted. A source with more of them is refused.",
    )
    repeated_pairs: Keep = Field(
        default="keep",
        description="Pairs that repeat an earlier row in the same order: `keep` or `drop` them.",
    )
    mirrored_pairs: Keep = Field(
        default="keep",
        description="Pairs that repeat an earlier row with the questions swapped: `keep` or `drop` them.",
    )
    contradictory_pairs: Literal["keep", "drop", "fail"] = Field(
        default="keep",
        description="Rows with the same two questions and different labels: `keep` them, `drop` them all, or `fail`.",
    )
    max_bytes: int = Field(
        default=2 << 30,
        ge=1 << 10,
        le=1 << 40,
        description="Most bytes of decompressed and decoded data of all files together. A larger source is refused.",
    )
    max_rows: int = Field(
        default=20_000_000,
        ge=1,
        le=10**10,
        description="Most rows of all files together. A larger source is refused. A million take 1.5 GB of memory.",
    )
    max_seconds: float = Field(
        default=1_800.0,
        gt=0,
        le=86_400,
        description="Time limit in seconds for a source behind a URL. The sensor waits at most 40 seconds.",
    )
    fraction: float = Field(
        default=1.0, gt=0, le=1, description="Share of the pairs to use, from the first row on. The others are dropped."
    )

    @field_validator("path", "corrections")
    @classmethod
    def _has_no_password(cls, path: str | None) -> str | None:
        if path and has_password(path):
            raise ValueError(
                f"{excerpt(without_credentials(path))} was given with a password, which Dagster would keep with the "
                "run: leave it out, and set FSSPEC_<PROTOCOL>_PASSWORD in the environment (docs/your-own-pairs.md)"
            )
        return path

    @field_validator("labels")
    @classmethod
    def _labels_are_clear(cls, labels: dict[str, int]) -> dict[str, int]:
        keys: dict[str, int] = {}
        for word, meaning in labels.items():
            key = word.strip().lower()
            if meaning not in (0, 1):
                raise ValueError(f"{excerpt(word)} is {meaning}: use 1 for duplicate, or 0 for not duplicate")
            if not key:
                raise ValueError("a blank label is a missing one and can't have a meaning")
            if keys.setdefault(key, meaning) != meaning:
                raise ValueError(f"{excerpt(word)} is given twice, as 1 and as 0: letter case is ignored")
        return labels

    @model_validator(mode="after")
    def _settings_go_together(self) -> "PairSource":
        if self.source == "file" and not self.path:
            raise ValueError("source 'file' needs `path`: name the file of question pairs")
        if self.source != "file" and self.path:
            raise ValueError(
                f"`path` is set to {excerpt(without_credentials(self.path))} but source is {self.source!r}: set source "
                "to 'file'"
            )
        if unknown := [part for part in self.columns if part not in PAIR_COLUMNS]:
            raise ValueError(
                f"`columns` names the part {unknown[0]!r}, but the parts are: {', '.join(PAIR_COLUMNS)} (each with "
                "your column's name behind it)"
            )
        return self


class SplitPlan(FrozenModel):
    """How the pairs are divided into splits."""

    strategy: Literal["reference", "question_disjoint", "question_hash"] = Field(
        default="question_disjoint",
        description="`question_disjoint`: no question is in two splits, for honest results. `question_hash`: the same, "
        "and as the data grow, a pair that was held out once is never trained on; pairs that would put a question in "
        "two splits are left out. `reference`: the rows of `datasets.Dataset.train_test_split`, for comparison with "
        "published results.",
    )
    eval_fraction: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Share of all pairs in the eval split. The reference system used 0.1. With `question_hash` it is "
        "the chance of a pair to be there.",
    )
    dev_fraction: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of the training pairs in the dev split, which chooses checkpoint and thresholds. 0: none, "
        "as in the reference system, and the last checkpoint is used.",
    )
    seed: int = Field(default=42, ge=0, le=2**32 - 1, description="Seed of the shuffle. The reference system used 42.")
    train_limit: int | None = Field(
        default=None,
        ge=1,
        description="Number of training pairs to use, from the first on. Dev and eval stay whole.",
    )
