"""Which run a person asks for: a new one, or the rest of an earlier one."""

from dataclasses import dataclass

from pipeline.settings.run_config import RunSettings

EVERYTHING = "*"


@dataclass(frozen=True)
class NewRun:
    """A run of chosen assets.

    Attributes:
        select: assets in Dagster's selection syntax.
    """

    settings: RunSettings
    select: str


@dataclass(frozen=True)
class ResumedRun:
    """What an earlier run has left undone, with its settings.

    Attributes:
        run: the beginning of its id; None for the newest run.
    """

    run: str | None
