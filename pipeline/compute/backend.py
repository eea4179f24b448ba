"""What a place to compute says of itself, so that nothing outside its folder has to know it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.compute.base import Compute


@dataclass(frozen=True)
class Variable:
    """An environment variable.

    Attributes:
        default: what holds where it is not set, in words.
        meaning: in half a sentence.
    """

    name: str
    default: str
    meaning: str


@dataclass(frozen=True)
class PruneDecision:
    """What becomes of one training run's files.

    Attributes:
        name: of the container that they lie in.
        kept_because: why they stay; None for those that may go.
    """

    name: str
    created: datetime
    kept_because: str | None


@dataclass(frozen=True)
class Pruning:
    """How old training runs are deleted where they cost money.

    Attributes:
        job, op, schedule: names in Dagster. They stay: schedules that people have switched on go by them.
        what: what is deleted, such as "Volumes of old training runs on Modal".
        decide: (containers that something points to, how many of the newest stay) → what becomes of each.
        delete: deletes one container.
    """

    job: str
    op: str
    schedule: str
    what: str
    decide: Callable[[Collection[str], int], list[PruneDecision]]
    delete: Callable[[str], None]


def _no_settings() -> None:
    """Check nothing."""


@dataclass(frozen=True)
class Backend:
    """A place to compute, without the libraries that it needs.

    Attributes:
        kind: its name, as `PIPELINE_COMPUTE` has it. Run tags and metadata of its work begin with it.
        title: what people call it.
        create: makes the compute; imports what it needs. Takes the folder for runs on this machine.
        check: raises `PipelineError` for settings that make no sense, without importing what the compute needs.
        variables: the environment variables that it reads.
        asset_kinds: shown on the assets that it makes, as Dagster's `kinds`.
        scheme: of locations `<scheme>://<container>/<path>` where it keeps models; None where they lie on this machine.
        place_name: what it calls the place where a training's files lie, such as `volume`.
        cancel: ends recorded work, by its call id, when nobody waits for it any more; None where work ends with its
            caller.
        pruning: how old training runs are deleted; None where nothing is billed.
        preload: modules that a step imports here to train or evaluate, and that take seconds.
    """

    kind: str
    title: str
    create: Callable[[Path], Compute]
    check: Callable[[], None] = _no_settings
    variables: tuple[Variable, ...] = ()
    asset_kinds: frozenset[str] = frozenset()
    scheme: str | None = None
    place_name: str = "place"
    cancel: Callable[[str], None] | None = None
    pruning: Pruning | None = None
    preload: tuple[str, ...] = ()
