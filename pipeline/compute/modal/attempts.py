"""Counts a training's attempts since its newest checkpoint: Modal starts a crashing container again for ever."""

from pathlib import Path

from pipeline.core.checksums import checked_json, read_checked
from pipeline.core.errors import PipelineError
from pipeline.core.files import write_bytes
from pipeline.training.run_folder import RunFolder

MOST_WITHOUT_PROGRESS = 4
"""Attempts in a row that may end without a new checkpoint."""


def count_attempt(folder: RunFolder) -> None:
    """Note the attempt that begins; the caller makes the note durable.

    Raises:
        PipelineError: when enough attempts got nowhere.
    """
    steps = [int(path.name) for path in folder.checkpoints.glob("*") if path.name.isdecimal()]
    newest, note = max(steps, default=0), _note(folder)
    before = _read(note)
    attempts = before["attempts"] if before["step"] == newest else 0
    if attempts >= MOST_WITHOUT_PROGRESS:
        # Whoever orders the training again has changed something, or wants to try.
        note.unlink()
        raise PipelineError(
            f"{attempts} containers in a row were lost before a new checkpoint, as happens when one is out of memory: "
            "lower token_budget, choose another PIPELINE_MODAL_GPU, or make checkpoints more often "
            "(checkpoint_steps)"
        )
    write_bytes(note, checked_json({"step": newest, "attempts": attempts + 1}))


def forget_attempts(folder: RunFolder) -> None:
    """Leave no note in a finished run's folder."""
    _note(folder).unlink(missing_ok=True)


def _read(note: Path) -> dict[str, int]:
    """The note of the attempt before. One that can't be read counts as none: all it stops is endless attempts."""
    try:
        before = read_checked(note.read_bytes())
        return {"step": int(before["step"]), "attempts": int(before["attempts"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"step": 0, "attempts": 0}


def _note(folder: RunFolder) -> Path:
    return folder.path / ".attempts.json"
