"""Work on any compute is recorded before it is waited for, and ended where nobody would find it again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest
from made_reports import a_training
from small_data import sample_pairs

from pipeline.compute.base import Compute, EarlierWork, MeasuringJob, Usage, Work, WorkRecord
from pipeline.compute.driver import Caller, train
from pipeline.core.errors import PipelineError
from pipeline.core.progress import LogLine, OnProgress, ProgressEvent
from pipeline.evaluation.measurement import Measurement
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Orders, Recipe

RESULT = a_training("t1")
USAGE = Usage(gpu="none", gpu_seconds=0.0, attempts=1, cost=None)


def nothing() -> None:
    """Happens."""


@dataclass
class Place(Compute):
    """Says in `log` what was asked of it; the rest says what it does then."""

    kind = "made up"

    log: list[str] = field(default_factory=list)
    while_followed: Callable[[], None] = nothing
    while_cancelled: Callable[[], None] = nothing
    is_found: bool = False

    def work_fingerprint(self, job: TrainingJob) -> str:
        return "same"

    def find_training(self, job: TrainingJob, earlier: EarlierWork) -> Work[FineTunedModel] | None:
        self.log.append(f"find {earlier.record.call_id}")
        return Training(self, earlier.record, "taking it up") if self.is_found else None

    def start_training(
        self, job: TrainingJob, run: RunIdentity, earlier: WorkRecord | None = None
    ) -> Work[FineTunedModel]:
        self.log.append(f"start after {earlier.call_id}" if earlier else "start")
        return Training(self, WorkRecord(call_id="new", fingerprint="same"), "")

    def start_measuring(self, job: MeasuringJob) -> Work[Measurement]:
        raise NotImplementedError

    def add_files(self, model: FineTunedModel, files: Mapping[str, bytes], replace: bool = True) -> None:
        raise NotImplementedError

    def verify(self, model: FineTunedModel) -> None:
        raise NotImplementedError

    def download(self, model: FineTunedModel) -> FineTunedModel:
        self.log.append("download")
        return model

    def embed(self, model: ModelInfo, questions: list[str]) -> np.ndarray:
        raise NotImplementedError


class Training(Work[FineTunedModel]):
    """Work of that place."""

    def __init__(self, place: Place, record: WorkRecord, remark: str) -> None:
        self.record, self.remark, self._place = record, remark, place

    def follow(self, on_progress: OnProgress) -> Usage:
        self._place.log.append("follow")
        self._place.while_followed()
        return USAGE

    def cancel(self) -> None:
        self._place.log.append("cancel")
        self._place.while_cancelled()

    def collect(self) -> FineTunedModel:
        self._place.log.append("collect")
        return RESULT


@dataclass
class Records(Caller):
    """A caller with records, whose actions stand in the place's log too."""

    place: Place
    on_record: EarlierWork | None = None
    while_recorded: Callable[[], None] = nothing
    is_ending: bool = True

    def record(self, work: WorkRecord) -> None:
        self.place.log.append(f"record {work.call_id}")
        self.while_recorded()

    def earlier(self, fingerprint: str) -> EarlierWork | None:
        return self.on_record if fingerprint == "same" else None

    def wants_an_end(self) -> bool:
        return self.is_ending

    def took(self, usage: Usage) -> None:
        self.place.log.append(f"took {usage.attempts}")


def recorded(is_used: bool = False) -> EarlierWork:
    return EarlierWork(WorkRecord(call_id="old", fingerprint="same"), is_used)


@cache
def a_job() -> TrainingJob:
    pairs = sample_pairs()
    base_model = ModelInfo(kind="folder", name="m", location="/m", version="1")
    return TrainingJob(pairs, pairs, base_model, Recipe())


def trained(place: Place, caller: Caller | None = None, orders: Orders | None = None) -> list[ProgressEvent]:
    events: list[ProgressEvent] = []
    try:
        assert train(place, a_job(), RunIdentity("run", 1), events.append, caller, orders) == RESULT
    finally:
        place.log += [event.text for event in events if isinstance(event, LogLine)]
    return events


def interrupt() -> None:
    raise KeyboardInterrupt


def fail() -> None:
    raise PipelineError("it went wrong")


def test_work_is_recorded_before_it_is_waited_for() -> None:
    place = Place()
    trained(place, Records(place))
    assert place.log == ["start", "record new", "follow", "took 1", "collect"]


def test_a_caller_without_records_has_work_done_too() -> None:
    place = Place()
    trained(place)
    assert place.log == ["start", "follow", "collect"]


def test_a_model_is_downloaded_when_that_is_ordered() -> None:
    place = Place()
    trained(place, orders=Orders(download_model=True))
    assert place.log == ["start", "follow", "collect", "download", f"the model is at {RESULT.model.location}"]


def test_recorded_work_that_is_found_is_taken_up_with_a_remark() -> None:
    place = Place(is_found=True)
    trained(place, Records(place, recorded(is_used=True)))
    assert place.log == ["find old", "record old", "follow", "took 1", "collect", "taking it up"]


def test_recorded_work_that_is_not_found_is_gone_on_with() -> None:
    place = Place()
    trained(place, Records(place, recorded()))
    assert place.log[:3] == ["find old", "start after old", "record new"]


@pytest.mark.parametrize(("is_used", "begins"), [(True, ["start"]), (False, ["find old"])])
def test_to_train_anew_passes_over_only_what_was_used(is_used: bool, begins: list[str]) -> None:
    place = Place(is_found=True)
    trained(place, Records(place, recorded(is_used)), Orders(train_anew=True))
    assert place.log[:1] == begins


@pytest.mark.parametrize(("is_ending", "ends"), [(True, ["cancel"]), (False, [])])
def test_an_interrupt_ends_the_work_where_the_caller_wants_it(is_ending: bool, ends: list[str]) -> None:
    place = Place(while_followed=interrupt)
    with pytest.raises(KeyboardInterrupt):
        trained(place, Records(place, is_ending=is_ending))
    assert place.log == ["start", "record new", "follow", *ends]


def test_a_failure_is_no_reason_to_end_the_work() -> None:
    place = Place(while_followed=fail)
    with pytest.raises(PipelineError, match="it went wrong"):
        trained(place, Records(place))
    assert place.log == ["start", "record new", "follow"]


@pytest.mark.parametrize(("failure", "error"), [(fail, PipelineError), (interrupt, KeyboardInterrupt)])
def test_work_that_could_not_be_recorded_is_ended(failure: Callable[[], None], error: type[BaseException]) -> None:
    place = Place()
    with pytest.raises(error):
        trained(place, Records(place, while_recorded=failure))
    assert place.log == ["start", "record new", "cancel"]


def test_work_that_was_found_stays_on_record_and_is_not_ended() -> None:
    place = Place(is_found=True)
    with pytest.raises(PipelineError, match="it went wrong"):
        trained(place, Records(place, recorded(), while_recorded=fail))
    assert place.log == ["find old", "record old"]


def test_work_that_cannot_be_ended_is_named_and_the_interrupt_still_counts() -> None:
    place = Place(while_followed=interrupt, while_cancelled=fail)
    with pytest.raises(KeyboardInterrupt):
        trained(place, Records(place))
    assert place.log[-1] == "the work new could NOT be cancelled: it went wrong"
