"""What decides whether a training is the same as an earlier one: files that can't change the weights don't."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline.core.code_version import import_closure
from pipeline.core.errors import ResourceError
from pipeline.core.files import PROJECT_ROOT, file_sha256
from pipeline.training.reuse import (
    CANNOT_CHANGE_WEIGHTS,
    MAX_WITHOUT_PROGRESS,
    count_attempt,
    deciding_code,
    forget_attempts,
    starts_over,
)

TRAINING = """
import sys
from pathlib import Path

import numpy as np
import torch

from pipeline.models.base_model import resolve_base_model
from pipeline.models.options import BaseModelChoice
from pipeline.question_pairs.options import PairSource
from pipeline.question_pairs.sources import load_pairs
from pipeline.training.fine_tune import fine_tune
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import RunFolder

torch.set_num_threads(1)
folder, model = map(Path, sys.argv[1:])
pairs, base = load_pairs(PairSource(source="file", path=str(folder / "pairs.tsv"))), BaseModelChoice(model=str(model))
recipe = Recipe(
    batch_size=16, learning_rate=1e-3, epochs=2, evaluations_per_epoch=2, average_decay=0.9, dropout=0.1, device="cpu",
    loss="cosent", loss_weights={"distillation_embeddings": 1.0}, teacher_model="itself",
)
info = resolve_base_model(base)
job = TrainingJob(pairs.take(np.arange(96)), pairs.take(np.arange(96, 144)), info, recipe, info)
fine_tune(job, RunFolder.claim(folder / "runs", RunIdentity("run", 1), job.fingerprint))
"""

CHANGED_RETURN = '''

def _changed(value):
    """A number that a function of this file returns, a thousandth smaller; numbers in other values too."""
    import numpy
    import torch

    match value:
        case float() | torch.Tensor() if not isinstance(value, torch.Tensor) or value.is_floating_point():
            return value * 0.999
        case numpy.ndarray() if numpy.issubdtype(value.dtype, numpy.floating):
            return value * value.dtype.type(0.999)
        case list() | tuple() if type(value) in (list, tuple):
            return type(value)(_changed(item) for item in value)
        case dict() if type(value) is dict:
            return {key: _changed(item) for key, item in value.items()}
    return value
'''


class _Edit(ast.NodeTransformer):
    """Every number that a function returns, and every text of an error, becomes another one."""

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if node.value is not None:
            node.value = ast.Call(ast.Name("_changed", ast.Load()), [node.value], [])
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        for part in ast.walk(node):
            if isinstance(part, ast.JoinedStr):
                part.values.append(ast.Constant(" (edited)"))
        return node


def edit(path: Path) -> None:
    if path.suffix != ".py":
        path.write_bytes(path.read_bytes() + b"edited")
        return
    tree = _Edit().visit(ast.parse(path.read_text(encoding="utf-8")))
    path.write_text(ast.unparse(ast.fix_missing_locations(tree)) + CHANGED_RETURN, encoding="utf-8")


def weights_under_edits(folder: Path, files: Iterable[str], model: Path, pairs: Path) -> str:
    """Train with a copy of the package in which these files are edited; returns the SHA-256 of the weights."""
    shutil.copytree(PROJECT_ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(pairs, folder / "pairs.tsv")
    for file in files:
        edit(folder / "pipeline" / file)
    (folder / "train.py").write_text(TRAINING)
    result = subprocess.run(
        [sys.executable, str(folder / "train.py"), str(folder), str(model)],
        env={"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    (weights,) = folder.glob("runs/*/*-ft/model.safetensors")
    return file_sha256(weights)


@pytest.mark.slow
def test_files_that_are_left_out_can_not_change_the_weights(
    tiny_model: Path, small_pairs: Path, tmp_path: Path
) -> None:
    def weights(name: str, *files: str) -> str:
        return weights_under_edits(tmp_path / name, files, tiny_model, small_pairs)

    unedited = weights("unedited")
    assert weights("left out", *CANNOT_CHANGE_WEIGHTS) == unedited
    # The same kind of edit does change them elsewhere.
    for file in ("training/losses.py", "core/values.py"):
        assert weights(file.replace("/", "-"), file) != unedited, file


def test_all_else_that_the_training_imports_decides() -> None:
    imported = {file.relative_to("pipeline").as_posix() for file in import_closure("pipeline.training.fine_tune")}
    assert imported >= CANNOT_CHANGE_WEIGHTS
    deciding = {file.relative_to("pipeline").as_posix() for file in deciding_code()}
    assert deciding == imported - CANNOT_CHANGE_WEIGHTS
    # What chooses the best checkpoint decides too.
    assert {"evaluation/metrics.py", "training/checkpoints.py", "training/trainer.py", "models/loading.py"} < deciding


@pytest.mark.parametrize(
    ("is_used", "train_anew", "expected"),
    [(False, False, False), (True, False, False), (False, True, False), (True, True, True)],
)
def test_only_a_result_that_was_used_is_passed_over(is_used: bool, train_anew: bool, expected: bool) -> None:
    assert starts_over(is_used, train_anew) == expected


def test_attempts_are_counted_from_the_newest_checkpoint_on(tmp_path: Path) -> None:
    for step in (0, 5):
        for _ in range(MAX_WITHOUT_PROGRESS):
            count_attempt(tmp_path, step)
    with pytest.raises(ResourceError) as caught:
        count_attempt(tmp_path, 5)
    assert caught.value.values == {"attempts": MAX_WITHOUT_PROGRESS, "step": 5}
    # The next call counts from 0 again, and one that ends leaves nothing behind.
    count_attempt(tmp_path, 5)
    forget_attempts(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_note_of_attempts_that_is_damaged_counts_as_none(tmp_path: Path) -> None:
    for _ in range(MAX_WITHOUT_PROGRESS + 1):
        (tmp_path / ".attempts.json").write_text("{")
        count_attempt(tmp_path, 0)
