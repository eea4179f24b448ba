"""Trains in a process that outlives its caller, and is found again by its number and the folder that it works in."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from pyarrow import parquet

from other_process.backend import KIND, cancel, is_running
from pipeline.compute.base import Compute, EarlierWork, MeasuringJob, Usage, Work, WorkRecord
from pipeline.compute.driver import interrupts_held, raise_held_interrupt
from pipeline.compute.local import LocalCompute
from pipeline.core.errors import PipelineError
from pipeline.core.progress import OnProgress, from_json_line
from pipeline.evaluation.measurement import Measurement
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.models.info import ModelInfo
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.run_folder import RunFolder

POLL_SECONDS = 0.05
JOB = ".job"


@dataclass(frozen=True)
class ProcessCompute(Compute):
    """Trains in another process; what lies on the disk is looked at in this one."""

    kind: ClassVar[str] = KIND

    runs_folder: Path

    @property
    def _here(self) -> LocalCompute:
        return LocalCompute(self.runs_folder)

    def work_fingerprint(self, job: TrainingJob) -> str:
        return job.fingerprint

    def find_training(self, job: TrainingJob, earlier: EarlierWork) -> Work[FineTunedModel] | None:
        number, folder = earlier.record.call_id, RunFolder(Path(earlier.record.place))
        if is_running(int(number)):
            return ProcessWork(folder, job, earlier.record, f"taking up the process {number}")
        if folder.finished_result(job.fingerprint):
            return ProcessWork(folder, job, earlier.record, f"the result of the process {number} stands")
        return None

    def start_training(
        self, job: TrainingJob, run: RunIdentity, earlier: WorkRecord | None = None
    ) -> Work[FineTunedModel]:
        again = earlier is not None and Path(earlier.place).is_dir()
        folder = (
            RunFolder(Path(earlier.place))
            if earlier and again
            else RunFolder.claim(self.runs_folder, run, job.fingerprint)
        )
        (folder.path / JOB).mkdir(exist_ok=True)
        for name, table in (("train", job.train), ("dev", job.dev)):
            parquet.write_table(table.to_arrow(), folder.path / JOB / f"{name}.parquet")
        order = {"base_model": job.base_model.model_dump(), "recipe": job.recipe.model_dump()}
        (folder.path / JOB / "order.json").write_text(json.dumps(order))
        with (folder.path / JOB / "events.jsonl").open("w") as events, (folder.path / JOB / "log").open("w") as log:
            command = [sys.executable, "-m", "other_process.worker", str(folder.path)]
            process = subprocess.Popen(command, stdout=events, stderr=log, start_new_session=True)
        record = WorkRecord(call_id=str(process.pid), place=str(folder.path), fingerprint=job.fingerprint)
        return ProcessWork(folder, job, record, "", process)

    def start_measuring(self, job: MeasuringJob) -> Work[Measurement]:
        return self._here.start_measuring(job)

    def add_files(self, model: FineTunedModel, files: Mapping[str, bytes], replace: bool = True) -> None:
        self._here.add_files(model, files, replace)

    def verify(self, model: FineTunedModel) -> None:
        self._here.verify(model)

    def download(self, model: FineTunedModel) -> FineTunedModel:
        return self._here.download(model)

    def embed(self, model: ModelInfo, questions: list[str]) -> np.ndarray:
        return self._here.embed(model, questions)


class ProcessWork(Work[FineTunedModel]):
    """A training in another process, which may have been started by a caller that is gone."""

    def __init__(
        self,
        folder: RunFolder,
        job: TrainingJob,
        record: WorkRecord,
        remark: str,
        process: "subprocess.Popen[bytes] | None" = None,
    ) -> None:
        self.record: WorkRecord = record
        self.remark = remark
        self._folder, self._job, self._process = folder, job, process

    def follow(self, on_progress: OnProgress) -> Usage | None:
        with interrupts_held(), (self._folder.path / JOB / "events.jsonl").open() as events:
            pending = ""
            while True:
                raise_held_interrupt()
                goes_on = self._process.poll() is None if self._process else is_running(int(self.record.call_id))
                *lines, pending = (pending + events.read()).split("\n")
                for line in lines:
                    on_progress(from_json_line(line))
                if not goes_on:
                    return None
                time.sleep(POLL_SECONDS)

    def cancel(self) -> None:
        cancel(self.record.call_id)

    def collect(self) -> FineTunedModel:
        result = self._folder.finished_result(self._job.fingerprint)
        if result is None:
            log = (self._folder.path / JOB / "log").read_text().strip().splitlines()
            raise PipelineError(f"the process {self.record.call_id} ended without a model: {log[-1:] or 'no word'}")
        return result
