"""Checkpoints that are complete or absent: staged by the trainer, checksummed, renamed into place, pruned."""

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.storage import folder_sha256, json_text, write_text

_logger = logging.getLogger(__name__)

SEAL = "checkpoint.json"
"""Step, fingerprint and SHA-256 of each file; a checkpoint without it, or with other files, is not used."""

_PRUNED = ".pruned-"

_CARD = "Checkpoint after step {step:,} of a training run; `manifest.json` of a finished run says which.\n"

_PICKLES = ("training_args.bin",)
"""Written by the trainer, never read again, and code could hide in it."""


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

    def clear_staging(self) -> None:
        """Remove what an interrupted run left half-written or half-deleted."""
        shutil.rmtree(self.staging, ignore_errors=True)
        for doomed in self.folder.glob(f"{_PRUNED}*"):
            shutil.rmtree(doomed)

    def publish(self, staged: Path, step: int) -> Path:
        """Seal a staged checkpoint, move it to `<step>/`, and prune the oldest beyond `keep`.

        Returns:
            The checkpoint's folder.
        """
        for name in _PICKLES:
            (staged / name).unlink(missing_ok=True)
        # The trainer's card quotes training questions.
        (staged / "README.md").write_text(_CARD.format(step=step), encoding="utf-8")
        seal = {"step": step, "fingerprint": self.fingerprint, "sha256": folder_sha256(staged)}
        write_text(staged / SEAL, json_text(seal))
        final = self.folder / str(step)
        if final.exists():
            shutil.rmtree(final)
        staged.rename(final)
        # Later steps were passed over when this training resumed: they are damaged or another training's.
        later = [other for other in self.steps() if other > step]
        for old in later + [other for other in self.steps() if other <= step][: -self.keep]:
            # Renamed first: a checkpoint that is being deleted must not look complete.
            doomed = self.folder / f"{_PRUNED}{old}"
            (self.folder / str(old)).rename(doomed)
            shutil.rmtree(doomed)
        return final

    def steps(self) -> list[int]:
        """Steps that have a folder, ascending."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal())

    def newest(self) -> Path | None:
        """The newest complete checkpoint of this training; damaged and foreign ones are passed over with a warning."""
        for step in reversed(self.steps()):
            path = self.folder / str(step)
            if (reason := self._unusable(path)) is None:
                return path
            _logger.warning("checkpoint %s is passed over: %s", path, reason)
        return None

    def _unusable(self, path: Path) -> str | None:
        try:
            seal = json.loads((path / SEAL).read_text(encoding="utf-8"))
            expected, fingerprint = seal["sha256"], seal["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError):
            return f"it has no readable {SEAL}"
        if fingerprint != self.fingerprint:
            return "it belongs to another recipe, data or base model"
        found = folder_sha256(path, ignore=(SEAL,))
        changed = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        return f"{changed[0]} is missing or damaged" if changed else None
