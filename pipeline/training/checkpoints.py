"""Checkpoints that are complete or absent: staged by the trainer, checksummed, renamed into place, pruned."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import DamagedError, PipelineError
from pipeline.core.files import folder_sha256, give_usual_permissions, write_bytes
from pipeline.core.values import Stored

_logger = logging.getLogger(__name__)

CHECKPOINT_MANIFEST = "checkpoint.json"
"""Step, fingerprint, dev score and SHA-256 of each file; a checkpoint without it, or with other files, is not used."""

_PRUNED = ".pruned-"

_CARD = "Checkpoint after step {step:,} of a training run; `manifest.json` of a finished run says which.\n"

_PICKLES = ("training_args.bin",)
"""Written by the trainer, never read again, and code could hide in it."""


class CheckpointManifest(Stored):
    """What `checkpoint.json` says.

    Attributes:
        fingerprint: of the training and its batches.
        score: average precision on the dev split at this step; None where it wasn't measured.
        sha256: of each file by its path below the checkpoint's folder.
    """

    step: int
    fingerprint: str
    score: float | None
    sha256: dict[str, str]


@dataclass(frozen=True)
class CheckpointStore:
    """The checkpoints of one training run.

    Attributes:
        folder: `checkpoints/` of the run folder.
        fingerprint: of the training; checkpoints of another one are passed over.
        keep: how many of the newest stay.
    """

    folder: Path
    fingerprint: str
    keep: int

    @property
    def staging(self) -> Path:
        """Where the trainer writes; nothing in it is ever read back."""
        return self.folder / ".staging"

    def prepare(self) -> Path | None:
        """Remove what an interrupted run left half-written or half-deleted; returns the checkpoint to go on from.

        Where the best checkpoint is damaged, it goes with all later ones: the training takes those steps again, since
        the second best would pass for the best.
        """
        self.discard_staging()
        for doomed in self.folder.glob(f"{_PRUNED}*"):
            shutil.rmtree(doomed)
        if (lost := self._first_lost()) is not None:
            _logger.warning("checkpoint %s is damaged: the training goes on from before it", self.folder / str(lost))
            self._remove([step for step in self.steps() if step >= lost])
        return self.newest()

    def _first_lost(self) -> int | None:
        """The first step whose checkpoint is damaged and the best, or may have been it; None where none is."""
        best = self.best_step()
        lost = [
            step
            for step in self.steps()
            if _read_manifest(self.folder / str(step)) is None
            or (step == best and self._unusable(self.folder / str(step)))
        ]
        return min(lost, default=None)

    def discard_staging(self) -> None:
        """Remove what the trainer has left aside."""
        shutil.rmtree(self.staging, ignore_errors=True)

    def commit(self, staged: Path, step: int, score: float | None = None) -> Path:
        """Finish a staged checkpoint, move it to `<step>/`, and prune the oldest beyond `keep`, but for the best.

        Args:
            score: average precision on the dev split at this step, if it was measured.

        Returns:
            The checkpoint's folder.
        """
        for name in _PICKLES:
            (staged / name).unlink(missing_ok=True)
        # The trainer's card quotes training questions.
        (staged / "README.md").write_text(_CARD.format(step=step), encoding="utf-8")
        give_usual_permissions(staged)
        manifest = CheckpointManifest(
            step=step, fingerprint=self.fingerprint, score=score, sha256=folder_sha256(staged)
        )
        write_bytes(staged / CHECKPOINT_MANIFEST, manifest.to_checked_json())
        final = self.folder / str(step)
        if final.exists():
            shutil.rmtree(final)
        staged.rename(final)
        # Later steps were passed over when this training resumed: they are damaged or another training's.
        self._remove([other for other in self.steps() if other > step])
        kept = {self.best_step(), *self.steps()[-self.keep :]}
        self._remove([other for other in self.steps() if other not in kept])
        return final

    def _remove(self, steps: list[int]) -> None:
        for step in steps:
            # Renamed first: a checkpoint that is being deleted must not look complete.
            doomed = self.folder / f"{_PRUNED}{step}"
            (self.folder / str(step)).rename(doomed)
            shutil.rmtree(doomed)

    def steps(self) -> list[int]:
        """See `checkpoint_steps`."""
        return checkpoint_steps(self.folder)

    def best_step(self) -> int | None:
        """The step with the highest score, the first of equals; None when none has one."""
        scores = [(score, -step) for step in self.steps() if (score := self._score(step)) is not None]
        return -max(scores)[1] if scores else None

    def best(self) -> Path | None:
        """The checkpoint with the highest score.

        Raises:
            PipelineError: when it is damaged: the second best would pass for the best.
        """
        if (step := self.best_step()) is None:
            return None
        path = self.folder / str(step)
        if reason := self._unusable(path):
            raise lost_best(path, reason)
        return path

    def _score(self, step: int) -> float | None:
        manifest = _read_manifest(self.folder / str(step))
        # A checkpoint of another training doesn't compete; the next commit deletes it.
        return manifest.score if manifest and manifest.fingerprint == self.fingerprint else None

    def newest(self) -> Path | None:
        """The newest complete checkpoint of this training; damaged and foreign ones are passed over with a warning."""
        for step in reversed(self.steps()):
            path = self.folder / str(step)
            if (reason := self._unusable(path)) is None:
                return path
            _logger.warning("checkpoint %s is passed over: %s", path, reason)
        return None

    def _unusable(self, path: Path) -> str | None:
        if (manifest := _read_manifest(path)) is None:
            return f"it has no readable {CHECKPOINT_MANIFEST}"
        if manifest.fingerprint != self.fingerprint:
            return "it belongs to another recipe, data, base model or token budget"
        return _damaged_file(path, manifest)


def checkpoint_steps(folder: Path) -> list[int]:
    """The steps that have a folder in `checkpoints/`, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def damage_of(checkpoint: Path) -> str | None:
    """Why a checkpoint can't be used, whatever training it is of; None where it can."""
    if (manifest := _read_manifest(checkpoint)) is None:
        return f"it has no readable {CHECKPOINT_MANIFEST}"
    return _damaged_file(checkpoint, manifest)


def _damaged_file(path: Path, manifest: CheckpointManifest) -> str | None:
    expected, found = manifest.sha256, folder_sha256(path, ignore=(CHECKPOINT_MANIFEST,))
    changed = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    return f"{changed[0]} is missing or damaged" if changed else None


def lost_best(path: Path, reason: str) -> PipelineError:
    """The error for a best checkpoint that is damaged when the training ends."""
    return DamagedError(
        f"the best checkpoint {path} can't be used: {reason}; re-execute the run: it goes on from before that step",
        path=path,
    )


def _read_manifest(path: Path) -> CheckpointManifest | None:
    """The manifest of a checkpoint; None where there is none that can be read."""
    try:
        return CheckpointManifest.from_checked_json((path / CHECKPOINT_MANIFEST).read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, PipelineError):
        return None
