"""When a training is reused, resumed, re-attached or retried: the keys, and the rules about them, on one page.

A training that is asked for has a *fingerprint*: the hash of all that decides the weights but the code, which is
recipe, pairs, base model and teacher. Work on a remote compute is also known by the hash of the code.

- **Reused**: its result is returned, and nothing is trained. In a run folder that has a manifest of the same
  fingerprint and whose files are what was written (`fine_tune`). On a remote compute also from an earlier run, unless
  `train_anew` asks for another training (`starts_over`).
- **Resumed**: it goes on from a checkpoint. In a run folder without a manifest, from the newest checkpoint that is
  whole and was made from the same fingerprint, batches and token budget (`checkpoint_fingerprint`). Checkpoints that
  are damaged or another training's are passed over (`checkpoints.CheckpointStore.prepare`).
- **Re-attached**: a call that still runs on a remote compute is followed instead of a new one being started
  (`Compute.find_training`; the caller's records of calls: `orchestration.work_records`).
- **Retried**: a container that is lost is started again and resumes (`compute.modal.settings.RETRIES`), but not after
  `MAX_WITHOUT_PROGRESS` attempts without a new checkpoint (`count_attempt`). A run of Dagster whose process is lost is
  started again by `dagster/max_retries` (`orchestration.automation`). A step that fails is never retried: it would fail
  again (`orchestration.failures`).

`compute.driver.train` decides in this order: it re-attaches to an earlier call or reuses its result; else it starts the
training in the earlier run folder if there is one, where `fine_tune` resumes it, or in a new one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.checksums import checked_json, read_checked
from pipeline.core.code_version import import_closure
from pipeline.core.errors import ResourceError
from pipeline.core.files import PROJECT_ROOT, content_version, write_bytes
from pipeline.training.recipe import Recipe

# --- the key ----------------------------------------------------------------------------------------------------

NOT_DECISIVE = frozenset({"allow_slow", "save_total_limit", "teacher_model", "teacher_revision"})
"""Knobs that change neither the weights nor what a checkpoint holds. A teacher counts by its version, not its name."""

_FIRST_NAMES: Mapping[str, str] = {
    "lr_scheduler_type": "scheduler",
    "gradient_accumulation_steps": "gradient_accumulation",
    "save_steps": "checkpoint_steps",
}
"""Knobs that were renamed, and the names by which they go into the hash, so that earlier trainings keep theirs."""

ADDED_KNOBS: Mapping[str, Any] = {"soup_size": 1}
"""Knobs that were added after the first release, and the value that gives the behaviour before. At that value a knob is
left out of the hash, so that earlier trainings keep their fingerprints."""


def training_fingerprint(
    recipe: Recipe,
    train_version: str,
    dev_version: str,
    base_model_version: str,
    teacher_version: str | None = None,
) -> str:
    """Hash of all that decides the weights but the code: recipe, pairs, base model and teacher.

    Args:
        teacher_version: None where the recipe names no teacher.
    """
    knobs = {
        _FIRST_NAMES.get(name, name): value
        for name, value in recipe.model_dump(exclude=set(NOT_DECISIVE)).items()
        if name not in ADDED_KNOBS or value != ADDED_KNOBS[name]
    }
    knobs["keep"] = "best" if knobs.pop("load_best_model_at_end") else "last"
    if recipe.warmup_steps < 1:
        knobs["warmup_fraction"] = knobs.pop("warmup_steps")
    # Named, so that it is never taken for the version of something else.
    teacher = [] if teacher_version is None else [{"teacher": teacher_version}]
    return content_version([knobs, train_version, dev_version, base_model_version, *teacher])


def checkpoint_fingerprint(training: str, batches: str) -> str:
    """What a checkpoint must have been made from to be resumed.

    Args:
        training: see `training_fingerprint`.
        batches: version of the plan of all batches, which the token budget and the number of processes change.
    """
    return content_version([training, batches])


def starts_over(is_used: bool, train_anew: bool) -> bool:
    """Whether an earlier result is passed over. One that nobody has used yet is not: it was paid for.

    Args:
        is_used: whether a stored value was made from the earlier result.
        train_anew: the user's setting.
    """
    return is_used and train_anew


# --- the code ---------------------------------------------------------------------------------------------------

CANNOT_CHANGE_WEIGHTS = frozenset(
    {
        "core/checksums.py",
        "core/code_version.py",
        "core/errors.py",
        "core/files.py",
        "core/foreign_text.py",
        "core/hub_errors.py",
        "core/locations.py",
        "core/progress.py",
        "evaluation/decision.py",
        "evaluation/measurement.py",
        "evaluation/results_csv.py",
        "models/decision.py",
        "models/fine_tuned.py",
        "models/info.py",
        "question_pairs/sample.csv",
        "training/job.py",
        "training/manifest.py",
        "training/reuse.py",
        "training/run_folder.py",
    }
)
"""Files of `pipeline/` that the training imports, and that only write, name, record or report: an edit of them trains
nothing again. `pipeline_tests/training/test_reuse.py` trains under an edit of each."""


def deciding_code(root: Path = PROJECT_ROOT) -> list[Path]:
    """The files of this project that decide the weights, relative to `root`: what the training imports, less those that
    can't change them."""
    files = import_closure("pipeline.training.fine_tune", root)
    return [file for file in files if file.relative_to("pipeline").as_posix() not in CANNOT_CHANGE_WEIGHTS]


# --- attempts ---------------------------------------------------------------------------------------------------

MAX_WITHOUT_PROGRESS = 4
"""Attempts in a row that may end without a new checkpoint. Modal starts a crashing container again for ever."""

_NOTE = ".attempts.json"


def count_attempt(run_folder: Path, newest: int) -> None:
    """Note in the run folder that an attempt begins; the caller makes the note durable.

    Args:
        newest: step of the newest checkpoint, 0 without one.

    Raises:
        ResourceError: after `MAX_WITHOUT_PROGRESS` attempts without a new checkpoint.
    """
    step, attempts = _noted(run_folder / _NOTE)
    attempts = attempts if step == newest else 0
    if attempts >= MAX_WITHOUT_PROGRESS:
        # The next call starts counting from 0: the user has changed something, or wants to try again.
        forget_attempts(run_folder)
        raise ResourceError(
            f"{attempts} containers in a row were lost before a new checkpoint, as happens when one is out of memory: "
            "lower token_budget, choose a larger GPU, or make checkpoints more often "
            "(save_steps)",
            attempts=attempts,
            step=newest,
        )
    write_bytes(run_folder / _NOTE, checked_json({"step": newest, "attempts": attempts + 1}))


def forget_attempts(run_folder: Path) -> None:
    """Leave no note in a finished run's folder."""
    (run_folder / _NOTE).unlink(missing_ok=True)


def _noted(note: Path) -> tuple[int, int]:
    """(step, attempts) of the attempt before. A note that can't be read counts as none."""
    try:
        before = read_checked(note.read_bytes())
        return int(before["step"]), int(before["attempts"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0
