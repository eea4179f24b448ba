"""What the job `silver` keeps: scored pairs as a stored value, with their table and that of vectors beside it."""

from collections.abc import Mapping
from typing import ClassVar

from pipeline.core.errors import PipelineError
from pipeline.core.files import content_version
from pipeline.core.store import VersionStore
from pipeline.core.values import StoredValue, Upgrade
from pipeline.duplicates.stored import read_table
from pipeline.question_pairs.schema import DataOrigin
from pipeline.question_pairs.scored import ScoredPairs
from pipeline.question_pairs.target_vectors import TargetVectors

SCORED_TABLE = "scored.parquet"
VECTORS_TABLE = "vectors.parquet"


class SilverPairs(StoredValue):
    """Scored pairs of training questions: all labelled ones, and those of the mined ones that were kept.

    Attributes:
        teacher_version: that scored them.
        train_version: of the split whose questions they have.
        origin: where that came from.
        scored_version: data version of the table.
        vectors_version: data version of the teacher's vectors of the training questions; None where its members don't
            embed.
        gold, silver: how many pairs of each.
        candidates: how many mined pairs were scored.
        found_by: how many of the silver pairs each source has found.
        distance: between the distributions of silver and gold scores (total variation, 0 to 1).
        sha256: of the tables by their names.
    """

    stored_name: ClassVar[str] = "SilverPairs"
    schema_number: ClassVar[int] = 2
    upgrades: ClassVar[Mapping[int, Upgrade]] = {1: lambda fields: {**fields, "vectors_version": None}}

    teacher_version: str
    train_version: str
    origin: DataOrigin
    scored_version: str
    gold: int
    silver: int
    candidates: int
    found_by: dict[str, int]
    distance: float
    sha256: dict[str, str]
    vectors_version: str | None = None

    @property
    def data_version(self) -> str:
        """Hash of the pairs, their scores and the vectors, and of the split that they belong to."""
        vectors = [] if self.vectors_version is None else [self.vectors_version]
        return content_version([self.scored_version, self.train_version, *vectors])


def read_scored(store: VersionStore, asset: str, value: SilverPairs) -> ScoredPairs:
    """The table of a stored value.

    Raises:
        PipelineError: when it is gone, or not what was written.
    """
    table = ScoredPairs.from_arrow(read_table(store, asset, value, SCORED_TABLE))
    if table.data_version != value.scored_version:
        raise PipelineError(f"{asset}: its pairs are not those that it names", make_again=asset)
    return table


def read_vectors(store: VersionStore, asset: str, value: SilverPairs) -> TargetVectors:
    """The teacher's vectors of a stored value.

    Raises:
        PipelineError: when it has none, they are gone, or not what was written.
    """
    if value.vectors_version is None:
        raise PipelineError(
            f"{asset} have no vectors: they were made by a teacher of cross-encoders, or before there were any; launch "
            "the jobs `teacher`, with architecture: bi_encoder, and `silver` again"
        )
    vectors = TargetVectors.from_arrow(read_table(store, asset, value, VECTORS_TABLE))
    if vectors.data_version != value.vectors_version:
        raise PipelineError(f"{asset}: its vectors are not those that it names", make_again=asset)
    return vectors
