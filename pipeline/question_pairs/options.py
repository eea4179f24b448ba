"""Where question pairs come from and how they are split: the settings of the dataset."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from pipeline.core.errors import excerpt
from pipeline.core.foreign_text import has_password, without_credentials
from pipeline.core.values import FrozenModel, Settings

PAIR_COLUMNS = ("pair_id", "question1_id", "question2_id", "question1", "question2", "is_duplicate")
"""The parts of a pair, for which a file may have column names of its own."""

Keep = Literal["keep", "drop"]
Quoting = Literal["auto", "csv", "none"]


class PairSource(Settings):
    """Where the question pairs come from, and what is done with those that are broken or stand there twice."""

    # The sample was generated, and another seed gave other pairs.
    removed: ClassVar[Mapping[str, Any]] = {"sample_seed": 42}

    # A refused value may hold a password; pydantic would quote it.
    model_config = ConfigDict(hide_input_in_errors=True)

    source: Literal["bundled_sample", "file", "hub"] = Field(
        default="bundled_sample",
        description="`bundled_sample`: about 4,000 generated Quora-like pairs, no download. "
        "`file`: question pairs of your own in `path`. `hub`: a dataset of the Hugging Face hub.",
    )
    path: str | None = Field(
        default=None,
        description="File, folder of files or fsspec URL of question pairs: TSV, CSV, Parquet, Arrow, JSON lines, "
        "Excel, plain or compressed by gzip, zstd or bzip2. A relative path starts at the working directory.",
    )
    hub_id: str = Field(
        default="quora-competitions/quora",
        min_length=1,
        description="Id of the dataset on the Hugging Face hub; by default Quora's whole release, 404,290 pairs.",
    )
    hub_config: str | None = Field(
        default="default",
        description="Configuration of the hub dataset: the folder that its files are in. Empty: the only one it has.",
    )
    hub_revision: str = Field(
        default="refs/convert/parquet",
        min_length=1,
        description="Branch, tag or commit. By default the hub's own conversion to Parquet, which datasets that were "
        "published as a script need too; `main`: the files as they were uploaded.",
    )
    hub_split: str = Field(default="train", min_length=1, description="Split of the hub dataset to read.")
    corrections: str | None = Field(
        default=None,
        description="File, folder or URL of reviewed pairs, in any form that `path` takes. Their labels replace those "
        "of all pairs with the same two questions, before anything else is done. Rows without a label wait for review.",
    )
    columns: dict[str, str] = Field(
        default={},
        description="Your names of columns, where they are others than those known: `{question1: first, question2: "
        "second, is_duplicate: same}`; also pair_id, question1_id and question2_id.",
    )
    labels: dict[str, int] = Field(
        default={},
        description="What your labels mean, where they are others than those known (1, true, t, yes, y, duplicate; 0, "
        'false, f, no, n, not duplicate, not_duplicate): `{"same": 1, "related": 0}`. Letter case and outer blanks '
        "don't count; your own words count before those known.",
    )
    quoting: Quoting = Field(
        default="auto",
        description="How quotes in CSV and TSV are read. `csv`: around a field, doubled inside. `none`: as letters. "
        "`auto`: by CSV's rules, in a TSV that breaks them as letters; a text in quotes that has whole rows in it is "
        "refused.",
    )
    max_rejected_share: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of rows that may be broken (no label or an unknown one, a wrong number of fields, a NUL "
        "byte). They are left out and counted; more of them are refused.",
    )
    repeated_pairs: Keep = Field(
        default="keep",
        description="Pairs that an earlier row has in the same order: `keep` them, or `drop` all but the first.",
    )
    mirrored_pairs: Keep = Field(
        default="keep",
        description="Pairs whose first row has the two questions the other way round: `keep` or `drop` them.",
    )
    contradictory_pairs: Literal["keep", "drop", "fail"] = Field(
        default="keep",
        description="Rows with the same two questions and different labels: `keep` them, `drop` them all, or `fail`.",
    )
    max_bytes: int = Field(
        default=2 << 30,
        ge=1 << 10,
        le=1 << 40,
        description="Bytes of decompressed and decoded data, of all files together, beyond which a source is refused.",
    )
    max_rows: int = Field(
        default=20_000_000,
        ge=1,
        le=10**10,
        description="Rows of all files together beyond which a source is refused. A million take 1.5 GB of memory.",
    )
    max_seconds: float = Field(
        default=1_800.0,
        gt=0,
        le=86_400,
        description="Seconds in which a source behind a URL must have been read. The sensor waits 40 seconds at most.",
    )
    fraction: float = Field(
        default=1.0, gt=0, le=1, description="Share of the pairs to use, from the first on; the others are dropped."
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
                raise ValueError(f"{excerpt(word)} is {meaning}: say 1 for duplicate, or 0 for not duplicate")
            if not key:
                raise ValueError("a blank label is a missing one, which can't have a meaning")
            if keys.setdefault(key, meaning) != meaning:
                raise ValueError(f"{excerpt(word)} stands there twice, as 1 and as 0: letter case doesn't count")
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
    """How the pairs are divided."""

    strategy: Literal["reference", "question_disjoint", "question_hash"] = Field(
        default="question_disjoint",
        description="`question_disjoint`: no question stands on two sides, the honest figure. "
        "`question_hash`: the same, and as the data grow, a pair that was held out once is never trained on; pairs "
        "that would carry a question from side to side are left out. "
        "`reference`: row for row `datasets.Dataset.train_test_split`, for comparison with published results.",
    )
    eval_fraction: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Share of all pairs in the eval split; the reference system used 0.1. With `question_hash` that of "
        "a pair to be there.",
    )
    dev_fraction: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of the training pairs set aside in the dev split, to watch and select on. 0: none, as the "
        "reference system; then the last model is the model.",
    )
    seed: int = Field(default=42, ge=0, le=2**32 - 1, description="Seed of the shuffle; the reference system used 42.")
    train_limit: int | None = Field(
        default=None,
        ge=1,
        description="Train on the first so many training pairs only. Dev and eval stay whole.",
    )
