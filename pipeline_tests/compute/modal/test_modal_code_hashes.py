"""Which code containers get, and which edits deploy it anew or make a training another one."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from modal_training import Training

from pipeline.compute.modal.code_hashes import dependencies, deployment_version, sent_files, training_version
from pipeline.core.code_version import import_closure
from pipeline.core.files import PROJECT_ROOT

# --- what an edit does ------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of all that the versions are made of."""
    shutil.copytree(PROJECT_ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT_ROOT / name, tmp_path / name)
    return tmp_path


def versions(project: Path) -> tuple[str, str]:
    """(deployment's, training's), as a new process would find them."""
    sent_files.cache_clear()
    return deployment_version(project), training_version(project)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, (path, old, text.count(old))
    path.write_text(text.replace(old, new), encoding="utf-8")


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_a_copy_has_the_versions_of_the_project(project: Path) -> None:
    assert versions(project) == versions(PROJECT_ROOT)


def test_comments_and_docstrings_anywhere_deploy_nothing_and_train_nothing(project: Path) -> None:
    before = versions(project)
    edited = sorted((project / "pipeline").rglob("*.py"))
    assert {project / path for path in sent_files(project) if path.suffix == ".py"} <= set(edited)
    for path in edited:
        text = path.read_text(encoding="utf-8")
        assert text.startswith('"""'), path
        # Its own docstring gets another word, and there is one more at the end.
        path.write_text(f'# Changed.\n"""Changed. {text[3:]}\n\n"""Changed."""\n', encoding="utf-8")
    append(project / "constraints.txt", "\n# changed\n")
    assert versions(project) == before


@pytest.mark.parametrize(
    ("module", "deploys", "trains"),
    [
        ("training/losses.py", True, True),
        ("training/recipe.py", True, True),
        ("training/fine_tune.py", True, True),
        ("models/packing.py", True, True),
        ("models/embedding.py", True, True),
        ("training/teacher.py", True, True),
        # A base model is looked at there, which leaves a training as it is.
        ("models/inspection.py", True, False),
        ("question_pairs/schema.py", True, True),
        # They write and record what the training makes.
        ("core/files.py", True, False),
        ("evaluation/results_csv.py", True, False),
        ("training/run_folder.py", True, False),
        ("evaluation/metrics.py", True, True),
        # A model is measured there; the report is made from the measurement on the machine that orders the work.
        ("evaluation/tasks.py", True, False),
        ("evaluation/measure.py", True, False),
        ("evaluation/measurement.py", True, False),
        ("compute/modal/app.py", True, False),
        ("evaluation/slices.py", False, False),
        ("evaluation/report_builder.py", False, False),
        ("reporting/plots.py", False, False),
        ("reporting/leaderboard.py", False, False),
        ("question_pairs/sides.py", False, False),
        ("question_pairs/sources.py", False, False),
        ("quality/rules.py", False, False),
        ("command_line/results.py", False, False),
        ("settings/run_config.py", False, False),
        ("orchestration/assets/model.py", False, False),
        ("orchestration/work_records.py", False, False),
        ("definitions.py", False, False),
        ("workflow.py", False, False),
        ("compute/driver.py", False, False),
        ("compute/local.py", False, False),
        ("compute/modal/client.py", False, False),
        ("compute/modal/calls.py", False, False),
        ("compute/modal_app.py", False, False),
    ],
)
def test_an_edit_deploys_and_trains_what_it_can_change(project: Path, module: str, deploys: bool, trains: bool) -> None:
    deployment, training = versions(project)
    append(project / "pipeline" / module, "\nprint('edited')\n")
    edited_deployment, edited_training = versions(project)
    assert (edited_deployment != deployment, edited_training != training) == (deploys, trains)


def test_what_the_training_comes_to_import_counts_from_then_on(project: Path) -> None:
    deployment, training = versions(project)
    append(project / "pipeline" / "training" / "losses.py", "\nimport pipeline.evaluation.slices\n")
    imported = versions(project)
    append(project / "pipeline" / "evaluation" / "slices.py", "\nprint('edited')\n")
    edited = versions(project)
    assert len({deployment, imported[0], edited[0]}) == len({training, imported[1], edited[1]}) == 3


def test_another_package_deploys_and_trains_anew(project: Path) -> None:
    deployment, training = versions(project)
    edit(project / "constraints.txt", "\ntorch==", "\ntorch==9.")
    pinned = versions(project)
    edit(project / "pyproject.toml", '"scipy>=1.13",', '"scipy>=1.14",')
    depends = versions(project)
    assert len({deployment, pinned[0], depends[0]}) == len({training, pinned[1], depends[1]}) == 3


def test_a_package_that_containers_do_without_changes_nothing(project: Path) -> None:
    before = versions(project)
    edit(project / "pyproject.toml", '"dagster>=1.13,<2",', '"dagster>=1.14,<2",')
    assert versions(project) == before


def test_what_a_setting_is_said_to_be_trains_nothing_and_its_default_does(project: Path) -> None:
    before = versions(project)
    recipe = project / "pipeline" / "training" / "recipe.py"
    edit(recipe, 'description="Gradients are clipped to this norm."', 'description="Longer gradients are cut to it."')
    assert versions(project) == before
    edit(recipe, "max_grad_norm: float = Field(default=1.0,", "max_grad_norm: float = Field(default=2.0,")
    deployment, training = versions(project)
    assert deployment != before[0]
    assert training != before[1]


def test_containers_get_the_training_and_not_dagster() -> None:
    package = Path("pipeline")
    assert package / "training" / "fine_tune.py" in sent_files()
    assert package / "orchestration" / "assets" / "model.py" not in sent_files()
    assert package / "compute" / "modal" / "client.py" not in sent_files()
    names = " ".join(dependencies())
    assert "sentence-transformers" in names
    assert "dagster" not in names


# --- what really is imported ------------------------------------------------------------------------------------

PAIRS = """
import json, sys
from pathlib import Path
import pyarrow.parquet as pq
from pipeline.models.info import ModelInfo
from pipeline.question_pairs.schema import PairTable
from pipeline.training.recipe import Recipe

folder = Path(sys.argv[1])
train, dev = (PairTable.from_arrow(pq.read_table(folder / f"{name}.parquet")) for name in ("train", "dev"))
base_model = ModelInfo.from_stored_json((folder / "base_model.json").read_text())
recipe = Recipe.model_validate_json((folder / "recipe.json").read_text())

def ended():
    project = [module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "pipeline"]
    print(json.dumps([project, sorted({name.partition(".")[0] for name in sys.modules})]))
"""

TRAINING = (
    """
import pipeline.training.fine_tune
"""
    + PAIRS
    + """
from pipeline.training.job import RunIdentity, TrainingJob
from pipeline.training.run_folder import RunFolder

job = TrainingJob(train, dev, base_model, recipe)
run_folder = RunFolder.claim(folder / "runs", RunIdentity("run", 1), job.fingerprint)
assert pipeline.training.fine_tune.fine_tune(job, run_folder).steps == 8
ended()
"""
)

CONTAINER = (
    """
import sys, importlib.machinery as machinery

class Finder(machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in ("dagster", "matplotlib"):
            return None
        return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(machinery.PathFinder)] = Finder

from pipeline.compute.modal import app
"""
    + PAIRS
    + """
from pipeline.compute.modal import messages, settings

class Volume:
    # Folders stand for the Volumes, so there is nothing to commit.
    @classmethod
    def from_name(cls, name):
        return cls()

    def commit(self):
        pass

app.modal.Volume = Volume
app.RUN_MOUNT, app.INPUTS_MOUNT = str(folder / "run"), str(folder / "inputs")
settings.INPUTS_MOUNT = app.INPUTS_MOUNT
measured = dict(needs_gpu=False, for_people=False)

def work(function, message):
    outcome, data = getattr(app, function).local(message.model_dump_json())
    outcome = messages.Outcome.from_stored_json(outcome)
    assert outcome.error is None, outcome.error
    return outcome, data

for pairs in (train, dev):
    path = folder / "inputs" / "pairs" / f"{pairs.data_version}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pairs.to_arrow(), path)
(folder / "run").mkdir()
ordered = messages.TrainingMessage(
    volume="run", train_version=train.data_version, dev_version=dev.data_version, base_model=base_model, recipe=recipe,
    **measured,
)
result = work("fine_tune", ordered)[0].result
assert result.steps == 8
assert work("finished_result", messages.CheckMessage(fingerprint=None))[0].result == result
there = result.at("modal-volume://run").model
options = messages.EvaluationOptions(device="cpu")
measuring = messages.MeasuringMessage(
    model=there, eval_version=dev.data_version, dev_version=train.data_version, options=options, **measured
)
assert work("evaluate", measuring)[1]
assert len(work("embed", messages.EmbeddingMessage(model=there, questions=["Why?"]))[1]) == 32 * 4
ended()
"""
)


@pytest.fixture
def inputs(training: Training, tmp_path: Path) -> Path:
    """A folder with a training of eight steps."""
    folder = tmp_path / "work"
    (folder / "inputs" / "models").mkdir(parents=True)
    for name, table in (("train", training.train), ("dev", training.dev)):
        pq.write_table(table.to_arrow(), folder / f"{name}.parquet")
    shutil.copytree(training.base_model.location, folder / "inputs" / "models" / training.base_model.version)
    (folder / "base_model.json").write_text(training.base_model.model_dump_json())
    recipe = training.recipe.model_copy(update={"epochs": 1, "batch_size": 20})
    (folder / "recipe.json").write_text(recipe.model_dump_json())
    return folder


def run(code: str, root: Path, inputs: Path) -> tuple[set[Path], set[str]]:
    """Run code in a fresh interpreter; returns the project's files that it imported, and the names of all packages."""
    environment = {"PATH": "", "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "HF_HOME": str(inputs / "hub")}
    command = [sys.executable, "-c", code, str(inputs)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    said: Any = json.loads(done.stdout.splitlines()[-1])
    return {Path(path).relative_to(root) for path in said[0]}, set(said[1])


@pytest.mark.slow
def test_a_training_imports_no_file_that_its_version_leaves_out(inputs: Path) -> None:
    imported, _ = run(TRAINING, PROJECT_ROOT, inputs)
    closure = set(import_closure("pipeline.training.fine_tune"))
    assert imported <= closure
    # And the version doesn't change with what a training never loads.
    assert {path for path in closure - imported if path.suffix == ".py"} == set()


@pytest.mark.slow
def test_what_is_sent_to_containers_does_without_what_is_not(inputs: Path, tmp_path: Path) -> None:
    """Containers of the loopback server see this machine's packages, so they wouldn't miss one."""
    imported, packages = run(CONTAINER, PROJECT_ROOT, inputs)
    assert imported <= sent_files()
    assert packages.isdisjoint({"dagster", "matplotlib"})

    for path in sent_files():
        target = tmp_path / "sent" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT_ROOT / path, target)
    # The app reads these where it is made; a container doesn't need them.
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT_ROOT / name, tmp_path / "sent" / name)
    for leftover in ("run", "inputs/pairs"):
        shutil.rmtree(inputs / leftover)
    assert run(CONTAINER, tmp_path / "sent", inputs)[0] == imported
