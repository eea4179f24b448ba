"""The run folders on this machine: what is in them, and how they are deleted."""

import os
import re
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

from pipeline.compute.backend import TrainingFiles
from pipeline.training.run_folder import STEM, RunFolder

_NAME = re.compile(rf"{re.escape(STEM)}-(\d+)")
_PRUNED = ".pruned-"
"""How a folder is called while it is deleted: it must not look like a training any more."""


def trainings(runs_folder: Path) -> list[TrainingFiles]:
    """Every run folder; links and folders of other names are passed over."""
    if not runs_folder.is_dir():
        return []
    found = [path for path in runs_folder.iterdir() if _NAME.fullmatch(path.name)]
    return [_files(RunFolder(path)) for path in found if path.is_dir() and not path.is_symlink()]


def _files(run: RunFolder) -> TrainingFiles:
    checkpoints, _ = _weighed(run.checkpoints)
    size, touched = _weighed(run.path)
    number = _NAME.fullmatch(run.path.name)
    assert number is not None
    created = _moment(min(int(number[1]), touched))
    return TrainingFiles(run.path.name, created, _moment(touched), run.manifest.is_file, size, checkpoints)


def _weighed(folder: Path) -> tuple[int, float]:
    """Bytes on the disk of all files below a folder, and when the newest was written, in seconds since 1970."""
    size, newest = 0, 0.0
    for path in (folder, *folder.rglob("*")):
        try:
            status = path.lstat()
        except FileNotFoundError:
            # A checkpoint that its training deletes meanwhile, or no folder.
            continue
        newest = max(newest, status.st_mtime)
        size += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return size, newest


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def delete(runs_folder: Path, name: str) -> None:
    """Delete a run folder, for good.

    Raises:
        ValueError: for a name that is no training's.
    """
    _remove(_checked(runs_folder, name), runs_folder)


def delete_checkpoints(runs_folder: Path, name: str) -> None:
    """Delete the checkpoints of a finished training, for good.

    Raises:
        ValueError: for a name that is no training's, or a training that is not finished: it would start anew.
    """
    run = RunFolder(_checked(runs_folder, name))
    if not run.manifest.is_file():
        raise ValueError(f"the training in {run.path} is not finished: its checkpoints stay")
    if run.checkpoints.is_dir() and not run.checkpoints.is_symlink():
        _remove(run.checkpoints, runs_folder)


def _checked(runs_folder: Path, name: str) -> Path:
    path = runs_folder / name
    if not _NAME.fullmatch(name) or path.is_symlink():
        raise ValueError(f"{name!r} is not the run folder of a training")
    return path


def _remove(folder: Path, runs_folder: Path) -> None:
    doomed = runs_folder / f"{_PRUNED}{folder.parent.name}-{folder.name}-{os.getpid()}"
    folder.rename(doomed)
    shutil.rmtree(doomed)
