"""A run folder for a training, as a run of its own would claim it."""

from pathlib import Path

from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.run_folder import RunFolder


def folder_for(job: TrainingJob, runs: Path, unix_time: int = 1) -> RunFolder:
    """The folder of this training below `runs`: the same one each time."""
    return RunFolder.claim(runs, RunIdentity("run", unix_time), job.fingerprint)
