"""Settings of mining: which questions, and which of their pairs are duplicates."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from pipeline.core.values import FrozenModel, Settings
from pipeline.models.options import Device
from pipeline.vectors.options import EngineChoice


class QuestionSource(FrozenModel):
    """Which questions are mined."""

    path: str | None = Field(
        default=None,
        description="File, folder of files or URL of questions, in any form that the dataset takes. Empty: the "
        "distinct questions of the dataset.",
    )
    column: str | None = Field(default=None, description="The column that holds them, where it isn't clear.")


class MiningOptions(Settings):
    """What counts as duplicates in a corpus, and how they are found."""

    # A setting of an engine that was removed. Saved run configs of the job `mine` have it without a value.
    removed: ClassVar[Mapping[str, Any]] = {"recall": None}

    threshold: float | None = Field(
        default=None,
        gt=-1,
        le=1,
        description="Minimum cosine of duplicates. Empty: the lowest that has `precision`; where "
        "the probability is 1/2, with a `prior`; else the model's threshold of the best F1 on the dev split.",
    )
    precision: float | None = Field(
        default=None, gt=0, le=1, description="Wanted precision, by the dev split and the share of duplicates."
    )
    prior: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of duplicates among the pairs at or above `floor`, which corrects the probability. Empty: "
        "as on the dev split.",
    )
    estimate_prior: bool = Field(
        default=False,
        description="Estimate that share from the scores. It is far too low where the dev pairs that are no duplicates "
        "were collected because they look alike, as Quora's.",
    )
    floor: float | None = Field(
        default=None,
        gt=-1,
        le=1,
        description="Minimum cosine of the pairs to find: no later threshold can be lower. Empty: `threshold`, or "
        "the model's threshold of the best F1 on the dev split.",
    )
    engine: EngineChoice = Field(
        default="auto",
        description="`exact` compares all with all and misses nothing; `index` (faiss, an extra) is quicker in large "
        "corpora and misses some; `auto` takes the index from 200,000 questions on, where it is installed.",
    )
    device: Device = Field(default="auto", description="Where to embed: `auto` takes a GPU where there is one.")

    @model_validator(mode="after")
    def _settings_go_together(self) -> "MiningOptions":
        if self.threshold is not None and self.precision is not None:
            raise ValueError("`threshold` and `precision` are two ways to say the same: give one of them")
        if self.prior is not None and self.estimate_prior:
            raise ValueError("`prior` is given, so it can't be estimated too: leave out `estimate_prior`")
        if self.threshold is not None and self.floor is not None and self.floor > self.threshold:
            raise ValueError(f"`floor` {self.floor:g} is above `threshold` {self.threshold:g}: lower it")
        return self


class MiningJobOptions(MiningOptions):
    """What counts as duplicates, and how they are found, in a job that is done again and again."""

    max_share_change: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Warn when the share of questions with a duplicate moved further since the last time.",
    )


class IndexOptions(FrozenModel):
    """What new questions are looked for in."""

    min_recall: float = Field(
        default=0.99, ge=0, le=1, description="Least share of the nearest questions of a sample that it must find."
    )
