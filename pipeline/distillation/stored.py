"""What the job `silver` keeps: scored pairs as a stored value, and their table beside it."""

from typing import ClassVar

from pipeline.core.errors import PipelineError
from pipeline.core.files import content_version
from pipeline.core.store import VersionStore
from pipeline.core.values import StoredValue
from pipeline.duplicates.stored import read_table
from pipeline.question_pairs.schema import DataOrigin
from pipeline.question_pairs.scored import ScoredPairs

SCORED_TABLE = "scored.parquet"


class SilverPairs(StoredValue):
    """Scored pairs of training questions: all labelled ones, and those of the mined ones that were kept.

    Attributes:
        teacher_version: that scored them.
        train_version: of the split whose questions they have.
        origin: where that came from.
        scored_version: data version of the table.
        gold, silver: how many pairs of each.
        candidates: how many mined pairs were scored.
        found_by: how many of the silver pairs each source has found.
        distance: between the distributions of silver and gold scores (total variation, 0 to 1).
        sha256: of the table by its name.
    """

    stored_name: ClassVar[str] = "SilverPairs"

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

    @property
    def data_version(self) -> str:
        """Hash of the pairs and their scores, and of the split that they belong to."""
        return content_version([self.scored_version, self.train_version])


def read_scored(store: VersionStore, asset: str, value: SilverPairs) -> ScoredPairs:
    """The table of a stored value.

    Raises:
        PipelineError: when it is gone, or not what was written.
    """
    table = ScoredPairs.from_arrow(read_table(store, asset, value, SCORED_TABLE))
    if table.data_version != value.scored_version:
        raise PipelineError(f"{asset}: its pairs are not those that it names", make_again=asset)
    return table
