"""Records the run of a command so that the UI can re-execute it, Ctrl-C cancels it and `--resume` finds it.

`dg.execute_job` leaves out what Dagster's webserver records: the code location of the run, without which the UI neither
lists it in its overview nor re-executes it, and that the run was cancelled, without which an interrupted run counts as
failed. This module adds both. It alone uses Dagster's private API: `run_storage`, `report_run_canceling` and what is
imported from `dagster._core`.
"""

import socket
import sys
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

from pipeline.core.errors import BusyError, NotFoundError, SettingError
from pipeline.core.files import PROJECT_ROOT
from pipeline.orchestration.execution import told_the_run
from pipeline.orchestration.work_records import PROCESS_TAG, process_of

_DEFINITIONS = "pipeline.definitions"
_LOCATION, _REPOSITORY = "pipeline", "__repository__"
"""Their names in workspace.yaml and `dagster dev`."""

_LOCKS = "command_line"
"""The folder in DAGSTER_HOME where each process that executes a run holds a lock on its own file."""

_MIN_ID_LENGTH = 4
"""Minimum characters of a run's id for `--resume`."""


def job_of_the_definitions(name: str) -> ReconstructableJob:
    """A job of the code location, which the UI and the processes of steps can load.

    `dg.reconstructable` refuses the implicit job of all assets, whose name is reserved.
    """
    return ReconstructableRepository.for_module(_DEFINITIONS, "defs", str(PROJECT_ROOT)).get_reconstructable_job(name)


class RecordedRun:
    """The run of this process.

    Attributes:
        process: identifies this process in the tags of the run.
        run_id: None before the run is created.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.process = f"{socket.gethostname()}/{uuid.uuid4().hex}"
        self.run_id: str | None = None
        self._instance = instance

    @property
    def tags(self) -> dict[str, str]:
        """Tags to create the run with."""
        return {PROCESS_TAG: self.process}

    def begin(self, run_id: str) -> None:
        """Remember the id of the run, and record its code location."""
        self.run_id = run_id
        if (run := self._instance.get_run_by_id(run_id)) and run.remote_job_origin is None:
            self._instance.run_storage.replace_job_origin(run, _origin(run.job_name))

    def cancel(self) -> None:
        """Record that the run is being cancelled, while its steps still run."""
        run = self._instance.get_run_by_id(self.run_id) if self.run_id else None
        if run and run.status in (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED):
            self._instance.report_run_canceling(run, "The command that runs it was interrupted.")

    def close(self) -> None:
        """Record a run that has not ended as cancelled."""
        run = self._instance.get_run_by_id(self.run_id) if self.run_id else None
        if run and not run.is_finished:
            self._instance.report_run_canceled(run, "The command that ran it has ended.")


@contextmanager
def recorded_run(instance: dg.DagsterInstance) -> Iterator[RecordedRun]:
    """The run that this process creates in this block. Its lock tells other commands that it is in progress."""
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


def run_to_resume(instance: dg.DagsterInstance, wanted: str | None) -> dg.DagsterRun:
    """The run to continue: the newest, or the one whose id begins with `wanted`.

    A run whose process is gone is recorded as cancelled.

    Raises:
        NotFoundError: when there is no such run, or more than one.
        BusyError: when it is in progress.
        SettingError: when it has succeeded.
    """
    run = _named(instance, wanted) if wanted else next(iter(instance.get_runs(limit=1)), None)
    if run is None:
        raise NotFoundError(f"no run is recorded in DAGSTER_HOME {instance.root_directory}: leave --resume out")
    if not run.is_finished:
        if _is_alive(instance, run):
            raise BusyError(
                f"run {run.run_id} is in progress: wait for it to end, or terminate it in the UI", run_id=run.run_id
            )
        instance.report_run_canceled(run, "The process that ran it is gone.")
        return _named(instance, run.run_id)
    if run.status == dg.DagsterRunStatus.SUCCESS:
        which = "run" if wanted else "the newest run,"
        raise SettingError(
            f"{which} {run.run_id} of {run.job_name} succeeded, so there is nothing to resume: leave --resume out"
            + ("" if wanted else ", or name an earlier run with --resume RUN"),
            run_id=run.run_id,
        )
    return run


def _named(instance: dg.DagsterInstance, wanted: str) -> dg.DagsterRun:
    if (exact := instance.get_run_by_id(wanted)) is not None:
        return exact
    found = (
        [run for run in instance.get_runs() if run.run_id.startswith(wanted)] if len(wanted) >= _MIN_ID_LENGTH else []
    )
    if len(found) != 1:
        raise NotFoundError(
            f"--resume {wanted} matches {len(found) or 'no'} runs: give more of the id that the UI shows",
            wanted=wanted,
            matches=len(found),
        )
    return found[0]


def _is_alive(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process of an unfinished run is alive. Runs of other machines and of Dagster count as alive."""
    process = process_of(instance, run)
    if not process or process.partition("/")[0] != socket.gethostname():
        return True
    path = _lock_file(instance, process)
    try:
        with FileLock(path, timeout=0):
            # A killed process leaves its file.
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
