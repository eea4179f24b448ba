"""Which pairs a teacher scores, and how many of them a student learns from: settings."""

from typing import Literal

from pydantic import Field

from pipeline.core.values import FrozenModel

Source = Literal["bm25", "neighbours"]


class SilverOptions(FrozenModel):
    """Which pairs of training questions are scored, and how many of them are kept."""

    sources: Literal["bm25", "neighbours", "both"] = Field(
        default="bm25",
        description="What finds the pairs: `bm25` by shared words (needs the extra `silver`), `neighbours` by the "
        "vectors of a model, or `both`. In the paper on Augmented SBERT (arXiv 2010.08240) `both` was worse on Quora "
        "than either, and `bm25` the best.",
    )
    bm25_per_question: int = Field(
        default=5, ge=1, le=100, description="Pairs with the highest BM25 score that are taken for each question."
    )
    neighbours_per_question: int = Field(
        default=5, ge=1, le=100, description="Pairs with the highest cosine that are taken for each question."
    )
    pairs_per_gold: float = Field(
        default=1.0,
        gt=0,
        le=20,
        description="Silver pairs that are kept for each labelled pair, as far as there are enough. They are drawn so "
        "that their scores are distributed as those of the labelled pairs.",
    )
    seed: int = Field(default=42, ge=0, le=2**32 - 1, description="Seed of the draw.")
    allow_any_teacher: bool = Field(
        default=False,
        description="Use a teacher that isn't far enough ahead of the student too, to measure what it gives.",
    )

    @property
    def used_sources(self) -> tuple[Source, ...]:
        """The sources one by one."""
        return ("bm25", "neighbours") if self.sources == "both" else (self.sources,)

    def wanted_pairs(self, gold: int) -> int:
        """How many silver pairs are wanted beside so many labelled ones."""
        return round(self.pairs_per_gold * gold)
