"""What a place to compute says of itself, so that nothing outside its folder has to know it."""

from collections.abc import Callable
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
class TrainingFiles:
    """The files of one training, as a place keeps them.

    Attributes:
        name: `sentence-transformers-ft-<UNIX_TIMESTAMP>`.
        created: when the training began, in UTC.
        touched: when something was last written, in UTC; where the place doesn't say, when it began.
        is_finished: asks whether there is a manifest, which may take a request.
        size: bytes of all files; None where the place doesn't say.
        checkpoints: bytes of the checkpoints among them; 0 where they can't be deleted alone.
    """

    name: str
    created: datetime
    touched: datetime
    is_finished: Callable[[], bool]
    size: int | None = None
    checkpoints: int = 0


@dataclass(frozen=True)
class Pruning:
    """How the files of old trainings are found and deleted. Which of them may go is no matter of the place.

    Attributes:
        job, op, schedule: names in Dagster. They stay: schedules that people have switched on go by them.
        what: what is deleted, such as "Volumes of old training runs on Modal".
        trainings: every training that there is, by the folder for runs on this machine, in any order.
        delete: deletes one training, by that folder and the training's name.
        delete_checkpoints: deletes the checkpoints of one; None where they go with the rest only.
    """

    job: str
    op: str
    schedule: str
    what: str
    trainings: Callable[[Path], list[TrainingFiles]]
    delete: Callable[[Path, str], None]
    delete_checkpoints: Callable[[Path, str], None] | None = None


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
        pruning: how old training runs are deleted; None where nothing is kept.
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
