"""The run of a command in Dagster's history: the UI can re-execute it, Ctrl-C cancels it, `--resume` takes it up again.

Dagster's Python API for a run in one's own process leaves out what its webserver records: which code location a run
belongs to, without which the UI neither lists the run in its overview nor re-executes it, and that someone asked for
the end of a run, without which an interrupted run counts as failed. This module adds both. `run_storage`,
`report_run_canceling` and what is imported from `dagster._core` are no public API of Dagster: their use is kept to this
file.
"""

import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from filelock import FileLock, Timeout

from pipeline.core.errors import PipelineError
from pipeline.core.files import PROJECT_ROOT
from pipeline.orchestration.progress_logger import told_the_run
from pipeline.orchestration.work_records import PROCESS_TAG, process_of

_DEFINITIONS = "pipeline.definitions"
_LOCATION, _REPOSITORY = "pipeline", "__repository__"
"""As workspace.yaml and `dagster dev` call them."""

_LOCKS = "command_line"
"""Folder in DAGSTER_HOME with a file for each process that runs something; it holds the lock of its file."""

_SHORTEST = 4
"""Characters of a run's id that a person may give."""


def job_of_the_definitions(name: str) -> ReconstructableJob:
    """A job as the code location has it, so that the UI knows its runs; steps load it in their processes.

    `dg.reconstructable` refuses the job that stands for any selection of assets, as its name is Dagster's own.
    """
    return ReconstructableRepository.for_module(_DEFINITIONS, "defs", str(PROJECT_ROOT)).get_reconstructable_job(name)


class RecordedRun:
    """The run of this process.

    Attributes:
        process: names this process in the tags of its run.
        run_id: None before the run is recorded.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.process = f"{socket.gethostname()}/{uuid.uuid4().hex}"
        self.run_id: str | None = None
        self._instance = instance

    @property
    def tags(self) -> dict[str, str]:
        """The tags that the run must be created with."""
        return {PROCESS_TAG: self.process}

    def begin(self, run_id: str) -> None:
        """Note which run it is, and record its code location."""
        self.run_id = run_id
        if (run := self._instance.get_run_by_id(run_id)) and run.remote_job_origin is None:
            self._instance.run_storage.replace_job_origin(run, _origin(run.job_name))

    def cancel(self) -> None:
        """Record that the end of the run was asked for, before its steps have ended."""
        run = self._instance.get_run_by_id(self.run_id) if self.run_id else None
        if run and run.status in (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED):
            self._instance.report_run_canceling(run, "The command that runs it was interrupted.")

    def close(self) -> None:
        """Record the end of a run that has not come to an end by itself."""
        run = self._instance.get_run_by_id(self.run_id) if self.run_id else None
        if run and not run.is_finished:
            self._instance.report_run_canceled(run, "The command that ran it has ended.")


@contextmanager
def recorded_run(instance: dg.DagsterInstance) -> Iterator[RecordedRun]:
    """The run that this process is about to begin; it is known to be alive meanwhile."""
    run = RecordedRun(instance)
    lock = FileLock(_lock_file(instance, run.process))
    Path(lock.lock_file).parent.mkdir(exist_ok=True)
    try:
        with lock, told_the_run(run.begin):
            try:
                yield run
            finally:
                run.close()
    finally:
        with suppress(OSError):
            Path(lock.lock_file).unlink()


def cancel_in_background(run: RecordedRun) -> None:
    """As `RecordedRun.cancel`, for whoever can't wait for a database that is in use."""
    threading.Thread(target=run.cancel, name="cancel the run", daemon=True).start()


def run_to_resume(instance: dg.DagsterInstance, wanted: str | None) -> dg.DagsterRun:
    """The run that is to be gone on with: the newest, or the one whose id begins with `wanted`.

    A run whose process is gone counts as cancelled from now on.

    Raises:
        PipelineError: when there is none, several are meant, it has succeeded, or it is in progress.
    """
    run = _named(instance, wanted) if wanted else next(iter(instance.get_runs(limit=1)), None)
    if run is None:
        raise PipelineError(f"no run is recorded in DAGSTER_HOME {instance.root_directory}: leave `--resume` out")
    if not run.is_finished:
        if _is_alive(instance, run):
            raise PipelineError(f"run {run.run_id} is in progress: wait for its end, or terminate it in the UI")
        instance.report_run_canceled(run, "The process that ran it is gone.")
        return _named(instance, run.run_id)
    if run.status == dg.DagsterRunStatus.SUCCESS:
        which = "" if wanted else "the newest, "
        raise PipelineError(
            f"run {run.run_id} ({which}{run.job_name}) has succeeded: there is nothing to resume; start a new run "
            "without `--resume`" + ("" if wanted else ", or name an earlier one: `--resume RUN`")
        )
    return run


def _named(instance: dg.DagsterInstance, wanted: str) -> dg.DagsterRun:
    if (exact := instance.get_run_by_id(wanted)) is not None:
        return exact
    found = [run for run in instance.get_runs() if run.run_id.startswith(wanted)] if len(wanted) >= _SHORTEST else []
    if len(found) != 1:
        what = f"{len(found)} runs begin with it" if found else "no run has it"
        raise PipelineError(f"`--resume {wanted}` names no run ({what}): give more of the id that the UI shows")
    return found[0]


def _is_alive(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process of an unfinished run is there; of runs of other machines and of Dagster's own it can't be
    told, and they count as alive."""
    process = process_of(instance, run)
    if not process or process.partition("/")[0] != socket.gethostname():
        return True
    path = _lock_file(instance, process)
    try:
        with FileLock(path, timeout=0):
            # A process that was killed couldn't remove it.
            path.unlink(missing_ok=True)
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _lock_file(instance: dg.DagsterInstance, process: str) -> Path:
    return Path(instance.root_directory) / _LOCKS / f"{process.partition('/')[2]}.lock"


def _origin(job_name: str) -> RemoteJobOrigin:
    target = LoadableTargetOrigin(
        executable_path=sys.executable, module_name=_DEFINITIONS, working_directory=str(PROJECT_ROOT)
    )
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, _LOCATION)
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, _REPOSITORY), job_name)
