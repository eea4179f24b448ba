"""The command line as a person uses it: real processes, real exit codes, real signals."""

import ast
import hashlib
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
from dagster_runs import run
from modal_loopback import wait_until

from pipeline.core.files import PROJECT_ROOT

# Every command is a process of its own.
pytestmark = pytest.mark.slow

SECONDS = 480


def pipeline(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python -m pipeline` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        env={**os.environ, **(environment or {})},
    )


def weights(home: Path) -> list[str]:
    """SHA-256 of the weights of each finished run, oldest first."""
    folders = sorted(manifest.parent for manifest in (home / "runs").glob("*/manifest.json"))
    return [hashlib.sha256(next(f.glob("*-ft/model.safetensors")).read_bytes()).hexdigest() for f in folders]


def processes_of_session(session: int) -> list[int]:
    """The processes that a command has left, whoever their parent is now."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, which comes second in brackets, may have blanks.
            number, rest = stat.read_text().split(" (", 1)
            if int(rest.rsplit(")", 1)[1].split()[3]) == session:
                found.append(int(number))
    return found


def assert_one_line_error(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command failed with one line that has these words, and wrote nothing else but that it was starting."""
    assert result.returncode == 1
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert lines[:-1] in ([], ["starting"]), result.stderr
    assert lines[-1].startswith("Error: ")
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("fine_tuned_model.epochs=-3", ("fine_tuned_model.epochs", "-3", "at least 1 and at most 1,000")),
        ("fine_tuned_model.batch_size=0", ("fine_tuned_model.batch_size", "at least 2")),
        ("fine_tuned_model.loss=hinge", ("fine_tuned_model.loss", "hinge", "online_contrastive")),
        ("fine_tuned_model.epoch=3", ("no setting 'epoch'", "epochs")),
        ("training.epochs=3", ("no step 'training'", "`python -m pipeline config` lists the steps")),
        ("epochs", ("step.setting=value",)),
    ],
)
def test_a_bad_setting_is_refused_before_anything_starts(
    pipeline_home: Path, setting: str, words: tuple[str, ...]
) -> None:
    assert_one_line_error(pipeline("materialize", "--set", setting), *words)
    assert not pipeline_home.exists()


def test_a_bare_command_prints_the_help_and_the_version_is_told(pipeline_home: Path) -> None:
    bare = pipeline()
    assert (bare.returncode, bare.stderr) == (0, "")
    assert bare.stdout.startswith("Usage: ")
    assert "\n  materialize " in bare.stdout
    told = pipeline("--version")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == f"quora-pipeline {importlib.metadata.version('quora-finetuning-pipeline')}\n"
    assert not pipeline_home.exists()


def test_config_prints_a_file_that_materialize_takes(pipeline_home: Path, tmp_path: Path) -> None:
    printed = pipeline("config", "--set", "splits.eval_fraction=0.25")
    assert printed.returncode == 0, printed.stderr
    assert "      # Share of all pairs in the eval split" in printed.stdout
    path = tmp_path / "all.yaml"
    path.write_text(printed.stdout)
    assert "eval_fraction: 0.25" in pipeline("config", "--config", str(path)).stdout
    assert_one_line_error(pipeline("config", "--set", "splits.eval_fraction=2"), "splits.eval_fraction", "below 1")


def test_pairs_are_looked_at_and_nothing_is_written(pipeline_home: Path, small_pairs: Path) -> None:
    source = ("--set", "raw_quora_dataset.source=file", "--set", f"raw_quora_dataset.path={small_pairs}")
    looked = pipeline("pairs", *source)
    assert looked.returncode == 0, looked.stderr
    assert "| kept | 240 | |" in looked.stdout
    assert "eval_split: 24 pairs" in looked.stdout
    # The same by its own option, which a setting can change.
    assert pipeline("pairs", "--pairs", str(small_pairs)).stdout == looked.stdout
    assert "read | 240" in pipeline("pairs", "--pairs", "nowhere", *source[2:]).stdout
    small_pairs.write_text("question1,question2\na,b\n")
    assert_one_line_error(pipeline("pairs", *source), "lacks the column is_duplicate")
    assert not pipeline_home.exists()


def test_finetune_refuses_the_same_settings(pipeline_home: Path) -> None:
    assert_one_line_error(pipeline("finetune", "--set", "fine_tuned_model.epochs=0"), "fine_tuned_model.epochs")
    assert not pipeline_home.exists()


def test_a_config_file_that_is_not_there_is_named(pipeline_home: Path) -> None:
    assert_one_line_error(pipeline("materialize", "--config", "nowhere.yaml"), "nowhere.yaml")


def test_a_selection_that_matches_nothing_lists_the_assets(pipeline_home: Path) -> None:
    assert_one_line_error(pipeline("materialize", "--select", "eval"), "eval", "eval_split")


def test_a_selection_that_needs_one_split_makes_its_step_whole(pipeline_home: Path, small_config: Path) -> None:
    result = pipeline("materialize", "--config", str(small_config), "--select", "+key:train_split")
    assert result.returncode == 0, result.stderr
    assert all((pipeline_home / side / "current.json").is_file() for side in ("train_split", "dev_split", "eval_split"))


def test_the_published_model_is_not_pushed_without_a_repository(pipeline_home: Path) -> None:
    result = pipeline("materialize", "--select", "published_model")
    assert result.returncode == 1
    assert "publish_production_model.repository is the placeholder owner/name" in result.stderr.splitlines()[-1]


def test_a_blocking_check_ends_the_run_with_its_one_line(pipeline_home: Path, small_config: Path) -> None:
    result = pipeline(
        "materialize", "--config", str(small_config), "--select", "group:dataset",
        "--set", "splits_checks.min_train_pairs=1000",
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1] == (
        "Error: train_split: the train split has 153 pairs; it needs 1,000"
    )


def test_a_failing_step_ends_with_its_one_line(pipeline_home: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.tsv"
    path.write_text("question1\tquestion2\nWhy?\tWhy not?\n")
    result = pipeline(
        "materialize", "--select", "raw_quora_dataset",
        "--set", "raw_quora_dataset.source=file", "--set", f"raw_quora_dataset.path={path}",
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1].startswith("Error: raw_quora_dataset: ")
    assert "lacks the column is_duplicate" in result.stderr
    assert not (pipeline_home / "raw_quora_dataset").exists()


def test_an_unknown_compute_is_refused(pipeline_home: Path) -> None:
    result = pipeline("materialize", "--select", "*", environment={"PIPELINE_COMPUTE": "mars"})
    assert_one_line_error(result, "PIPELINE_COMPUTE is 'mars'")
    assert not pipeline_home.exists()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("mars", ("PIPELINE_COMPUTE is 'mars'", "local", "modal")),
        ("mars.backend", ("PIPELINE_COMPUTE is 'mars.backend'", "No module named 'mars'")),
        # A module without a backend.
        ("json.decoder", ("PIPELINE_COMPUTE is 'json.decoder'", "it must have a BACKEND")),
    ],
)
def test_finetune_refuses_an_unknown_compute(pipeline_home: Path, kind: str, words: tuple[str, ...]) -> None:
    assert_one_line_error(pipeline("finetune", environment={"PIPELINE_COMPUTE": kind}), *words)
    assert not pipeline_home.exists()


PLACE = '''
"""This machine, for money."""

from pipeline.compute.base import Backend, Usage, Work
from pipeline.core.values import Cost


class Billed(Work):
    def __init__(self, work):
        self.work = work

    def follow(self, on_progress):
        self.work.follow(on_progress)
        return Usage("H100", 12.0, 1, Cost(amount=1.5, currency="USD", prices_as_of="2026-01-01"))

    def cancel(self):
        self.work.cancel()

    def collect(self):
        return self.work.collect()


def create(runs_folder):
    from pipeline.compute.local import LocalCompute

    class Elsewhere(LocalCompute):
        def start_training(self, job, run, earlier=None):
            return Billed(super().start_training(job, run, earlier))

    return Elsewhere(runs_folder / "elsewhere")


BACKEND = Backend(kind="elsewhere", title="elsewhere", create=create)
'''
"""A backend outside the project."""


def test_finetune_trains_where_the_environment_says_and_tells_the_cost(
    pipeline_home: Path, small_config: Path, tmp_path: Path
) -> None:
    (tmp_path / "places").mkdir()
    (tmp_path / "places" / "elsewhere.py").write_text(PLACE)
    result = pipeline(
        "finetune", "--config", str(small_config),
        environment={"PIPELINE_COMPUTE": "places.elsewhere", "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "12 GPU seconds on H100, about 1.50 USD (prices of 2026-01-01)" in result.stdout.splitlines()
    (manifest,) = (pipeline_home / "runs").rglob("manifest.json")
    assert manifest.parents[1] == pipeline_home / "runs" / "elsewhere"
    # Each stage has a line at its end; the libraries' own bars are not shown.
    lines = result.stderr.splitlines()
    assert lines[0] == "starting"
    for stage in ("evaluating tiny: ", "training: ", "evaluating tiny-ft: "):
        done, total = re.findall(r": ([\d,]*\d) of ([\d,]*\d)", [line for line in lines if f"  {stage}" in line][-1])[0]
        assert done == total
    assert "it/s" not in result.stderr


def test_dagster_materialises_one_asset_by_name(pipeline_home: Path) -> None:
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "--select", "base_model"]
    result = subprocess.run(
        [*command, "-m", "pipeline.definitions"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    pointer = json.loads((pipeline_home / "base_model" / "current.json").read_text())
    assert (pipeline_home / "base_model" / pointer["file"]).is_file()


def test_finetune_does_not_import_dagster(pipeline_home: Path) -> None:
    code = (
        "import sys; from pipeline.command_line.cli import main; sys.argv = ['pipeline', 'finetune', '--set', "
        "'raw_quora_dataset.path=x', '--set', 'raw_quora_dataset.source=file']\n"
        "try: main()\nexcept SystemExit:\n"
        "    print('dagster' in sys.modules, 'pipeline.workflow' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, check=True, capture_output=True, text=True)
    assert output.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_the_run_after_an_interrupted_one_is_undisturbed(
    pipeline_home: Path, small_config: Path, ending: signal.Signals
) -> None:
    made = dg.AssetSelection.groups("dataset") | dg.AssetSelection.assets("base_model")
    with dg.DagsterInstance.ephemeral() as instance:
        run(pipeline_home, small_config, instance, made)
    the_model = ["--config", str(small_config), "--select", "key:fine_tuned_model"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "materialize", *the_model, "--set", "fine_tuned_model.epochs=200"],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + SECONDS
    while not list((pipeline_home / "runs").glob("*/checkpoints/[0-9]*/checkpoint.json")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # As a terminal does it: the whole process group gets the signal.
    os.killpg(process.pid, ending)
    output = process.communicate(timeout=60)[0]
    if ending == signal.SIGINT:
        assert process.returncode == 130, output
        said = output.strip().splitlines()[-1]
        assert said.startswith("Interrupted in fine_tuned_model. DAGSTER_HOME is not set, so the run can't be resumed")
    (unfinished,) = (pipeline_home / "runs").glob("sentence-transformers-ft-*")
    assert not (unfinished / "manifest.json").exists()
    wait_until(lambda: not processes_of_session(process.pid), 10)

    after = pipeline("materialize", *the_model)
    assert after.returncode == 0, after.stderr
    assert len(weights(pipeline_home)) == 1
    assert not (unfinished / "manifest.json").exists()


def test_two_runs_at_once_keep_to_their_own_files_and_finetune_gives_the_same_as_one_of_them(
    pipeline_home: Path, small_config: Path
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "pipeline", "materialize", "--config", str(small_config), "--set", seed],
            cwd=PROJECT_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in ("splits.seed=1", "splits.seed=2")
    ]
    outputs = [process.communicate(timeout=SECONDS) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    together = weights(pipeline_home)
    assert len(set(together)) == 2
    (materialized, said), _ = outputs
    for word in ("average precision", "accuracy", "F1", "threshold", "Model", "Results", "UI"):
        assert word in materialized
    assert "Traceback" not in said

    finetuned = pipeline("finetune", "--config", str(small_config), "--set", "splits.seed=1")
    assert finetuned.returncode == 0, finetuned.stderr
    assert weights(pipeline_home)[-1] in together
    # Whoever reads them learns that these are not the table's figures.
    assert finetuned.stdout.count("As the reference system prints it, at oracle thresholds") == 2
    printed = {
        name: ast.literal_eval(line.split(" eval ", 1)[1])
        for line in finetuned.stdout.splitlines()
        if (name := line.split(" eval ", 1)[0]) in ("pre train", "post train")
    }
    assert list(printed["post train"]) == ["cossim", "manhattan", "euclidean", "dot"]
    row = re.search(r"average precision {2,}\D+([\d.]+)\D+([\d.]+)", materialized)
    assert row is not None
    assert float(row[1]) == pytest.approx(printed["pre train"]["cossim"]["ap"], abs=5e-5)
    assert float(row[2]) == pytest.approx(printed["post train"]["cossim"]["ap"], abs=5e-5)
