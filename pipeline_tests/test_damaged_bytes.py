"""One byte of any file is changed: whoever reads it says so in one line, and takes nothing damaged for whole."""

import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from effort import exhaustive, tries
from made_reports import MODEL, before_and_after, by_their_reports, finished_training, made, summarised

from pipeline.command_line.cli import cli
from pipeline.compute.local import LocalCompute
from pipeline.core.errors import DamagedError, PipelineError
from pipeline.core.store import VersionStore
from pipeline.evaluation.report import EvaluationReport
from pipeline.models.fine_tuned import FineTunedModel
from pipeline.orchestration.asset_values import SIDES, load_value, store_together, store_value, write_value
from pipeline.orchestration.resources import ReportHistory
from pipeline.orchestration.steps import PRODUCTION
from pipeline.orchestration.verification import damage_in
from pipeline.quality.options import PromotionRules
from pipeline.quality.production_record import UnreadableRecord, current_production, earlier_production
from pipeline.quality.promotion import Candidate, promote
from pipeline.question_pairs.schema import Splits
from pipeline.reporting import result_files
from pipeline.reporting.leaderboard import SummarisedReport
from pipeline.reporting.ranking import build_leaderboard
from pipeline.training.checkpoints import CheckpointStore
from pipeline.training.run_folder import RunFolder

FLIPS = tries(10, 150)
"""Changes of each kind of file."""

LONGEST_LINE = 300
BASELINE, REPORT = before_and_after()
_, SPLITS = made(0.1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a value of each kind, a run folder and a checkpoint."""
    home = tmp_path_factory.mktemp("damaged") / "home"
    store = VersionStore(str(home))
    store_together(store, dict(zip(SIDES, (SPLITS.train, SPLITS.dev, SPLITS.eval), strict=True)), "run")
    store_value(store, "base_model", MODEL, "run")
    store_value(store, "baseline_eval_report", BASELINE, "run")
    write_value(store.folder("model_leaderboard/reports"), BASELINE)
    store_value(store, "model_leaderboard", build_leaderboard(summarised(BASELINE, REPORT), SPLITS), "run")
    for name in ("first", "second"):
        model = finished_training(home / "runs" / f"sentence-transformers-ft-{name}", weights=name.encode())
        model = model.model_copy(update={"origin": REPORT.origin})
        report = REPORT.model_copy(update={"model": model.model})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(result_files, "pictures", lambda report: [])
            files = result_files.result_files(model, BASELINE, REPORT)
            store_value(store, "post_train_eval_report", report, "run")
        LocalCompute(home / "runs").add_files(model, files)
        store_value(store, "fine_tuned_model", model, "run")
        candidate, rules = Candidate(model, report, "run"), PromotionRules(max_ap_loss=1)
        promote(store, PRODUCTION, candidate, rules, by_their_reports(candidate), f"run-{name}", datetime.now(UTC))
    checkpoints = CheckpointStore(model_folder(home).parent / "checkpoints", "ours", keep=1)
    staged = checkpoints.staging / "checkpoint-10"
    staged.mkdir(parents=True)
    (staged / "model.safetensors").write_bytes(bytes(1000))
    checkpoints.commit(staged, 10, 0.5)
    checkpoints.discard_staging()
    assert list(damage_in(store, home / "runs")) == []
    return home


def model_folder(home: Path) -> Path:
    (folder,) = (home / "runs").glob("*-second/*-ft")
    return folder


def current(home: Path, asset: str) -> Path:
    store = VersionStore(str(home))
    return home / asset / store.resolve(asset).file


def load(asset: str, *runs: str) -> Callable[[Path], object]:
    return lambda home: load_value(VersionStore(str(home)), asset, runs)


def verify(home: Path) -> None:
    """By the command `verify`, for what only people read."""
    for line in damage_in(VersionStore(str(home)), home / "runs"):
        raise PipelineError(line)


def read_production(home: Path) -> None:
    store = VersionStore(str(home))
    record = current_production(store, PRODUCTION)
    if isinstance(record, UnreadableRecord):
        raise PipelineError(record.message)
    assert record is not None
    for earlier in earlier_production(store, PRODUCTION, record):
        if isinstance(earlier, UnreadableRecord):
            raise PipelineError(earlier.reason)


def history(home: Path) -> tuple[list[SummarisedReport], Splits, int]:
    reports, unreadable = ReportHistory(home=str(home)).reports()
    return reports, SPLITS, unreadable


def read_history(home: Path) -> None:
    """The leaderboard counts the reports that it can't read."""
    left_out = build_leaderboard(*history(home)).left_out
    if count := sum(left_out.values()):
        raise PipelineError(f"{count} reports can't be read")


def verify_model(home: Path) -> None:
    store = VersionStore(str(home))
    LocalCompute(home / "runs").verify(
        store.read("fine_tuned_model", FineTunedModel, store.resolve("fine_tuned_model"))
    )


def resume(home: Path) -> None:
    store = CheckpointStore(model_folder(home).parent / "checkpoints", "ours", keep=1)
    if store.prepare() is None:
        raise PipelineError("the checkpoint was passed over")


def first_record(home: Path) -> Path:
    files = set((home / PRODUCTION).glob("*.json")) - {current(home, PRODUCTION), home / PRODUCTION / "current.json"}
    (path,) = files
    return path


KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "pointer to the current value": (lambda home: home / "base_model" / "current.json", load("base_model")),
    "pointer of a run": (lambda home: home / "base_model" / "runs" / "run.json", load("base_model", "run")),
    "pointers of the splits": (lambda home: home / "together" / "splits" / "current.json", load("eval_split")),
    "pointers of a run's splits": (
        lambda home: home / "together" / "splits" / "runs" / "run.json",
        load("train_split", "run"),
    ),
    "question pairs": (lambda home: current(home, "train_split"), load("train_split")),
    "base model": (lambda home: current(home, "base_model"), load("base_model")),
    "fine-tuned model": (lambda home: current(home, "fine_tuned_model"), load("fine_tuned_model")),
    "report": (lambda home: current(home, "post_train_eval_report"), load("post_train_eval_report")),
    "report in the history": (
        lambda home: next((home / "model_leaderboard" / "reports").glob("*/report.json")),
        read_history,
    ),
    "leaderboard": (lambda home: current(home, "model_leaderboard"), load("model_leaderboard")),
    "leaderboard as CSV": (lambda home: current(home, "model_leaderboard").with_suffix(".csv"), verify),
    "page of a report": (lambda home: current(home, "post_train_eval_report").with_name("report.html"), verify),
    "pointer to production": (lambda home: home / PRODUCTION / "current.json", read_production),
    "record of production": (lambda home: current(home, PRODUCTION), read_production),
    "earlier record of production": (first_record, read_production),
    "manifest": (lambda home: model_folder(home).parent / "manifest.json", verify_model),
    "weights": (lambda home: model_folder(home) / "model.safetensors", verify_model),
    "card": (lambda home: model_folder(home) / "README.md", verify),
    "results as CSV": (
        lambda home: model_folder(home).parent / "binary_classification_evaluation_post_train_results.csv",
        verify,
    ),
    "what was measured": (
        lambda home: model_folder(home).parent / "binary_classification_evaluation_pre_train_results.json",
        verify,
    ),
    "probability": (lambda home: model_folder(home).parent / "duplicate_probability.json", verify),
    "manifest of a checkpoint": (
        lambda home: model_folder(home).parent / "checkpoints" / "10" / "checkpoint.json",
        resume,
    ),
    "file of a checkpoint": (
        lambda home: model_folder(home).parent / "checkpoints" / "10" / "model.safetensors",
        resume,
    ),
}


def test_the_summary_of_a_report_is_made_anew_where_it_is_gone_or_not_what_was_written(
    whole: Path, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(whole, tmp_path / "home"))
    board = build_leaderboard(*history(home))
    summaries = sorted(home.glob("*/*/summary.json"))
    assert len(summaries) == 3
    for path in summaries:
        written = path.read_bytes()
        path.unlink()
        assert build_leaderboard(*history(home)) == board
        assert path.read_bytes() == written
        path.write_bytes(written.replace(b'"f1"', b'"f2"'))
        assert build_leaderboard(*history(home)) == board
        assert path.read_bytes() == written


@exhaustive
@pytest.mark.parametrize("kind", KINDS)
def test_one_changed_byte_is_noticed_and_said_in_a_line(whole: Path, tmp_path: Path, kind: str) -> None:
    find, use = KINDS[kind]
    path, chance = find(whole), random.Random(kind)
    use(whole)
    content = path.read_bytes()
    # Checkpoints that can't be used are deleted by whoever goes on without them.
    home = Path(shutil.copytree(whole, tmp_path / "home")) if use is resume else whole
    target = home / path.relative_to(whole)
    try:
        for _ in range(FLIPS):
            changed = bytearray(content)
            changed[chance.randrange(len(changed))] ^= chance.randrange(1, 256)
            target.parent.mkdir(parents=True, exist_ok=True)
            if use is resume:
                shutil.copytree(path.parent, target.parent, dirs_exist_ok=True)
            target.write_bytes(changed)
            with pytest.raises(PipelineError) as caught:
                use(home)
            said = str(caught.value)
            assert "\n" not in said
            assert len(said) <= LONGEST_LINE
    finally:
        path.write_bytes(content)
    use(whole)


def test_a_damaged_value_is_replaced_by_making_it_again(whole: Path, tmp_path: Path) -> None:
    """What the line advises works, though the damaged bytes have the name of the new ones."""
    home = Path(shutil.copytree(whole, tmp_path / "home"))
    store = VersionStore(str(home))
    for asset in ("base_model", "baseline_eval_report", "train_split"):
        path, value = current(home, asset), load_value(store, asset)
        pointer = home / ("together/splits" if asset in SIDES else asset) / "current.json"
        for target in (path, pointer):
            target.write_bytes(target.read_bytes()[:-9] + b"damaged!!")
        with pytest.raises(PipelineError, match="can't read"):
            load_value(store, asset)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(result_files, "pictures", lambda report: [])
            store_value(store, asset, value, "again")
        found = load_value(store, asset)
        assert found.data_version == value.data_version
        assert isinstance(found, EvaluationReport) is isinstance(value, EvaluationReport)


def test_a_damaged_run_folder_is_not_finished_for_whoever_reads_it(whole: Path, tmp_path: Path) -> None:
    folder = RunFolder(Path(shutil.copytree(model_folder(whole).parent, tmp_path / "run")))
    with folder.manifest.open("ab") as file:
        file.write(b" ")
    with pytest.raises(PipelineError, match="it isn't what was written"):
        folder.finished_result("fingerprint")


def test_the_command_line_names_every_damaged_file(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(shutil.copytree(whole, tmp_path / "home"))
    monkeypatch.setenv("PIPELINE_HOME", str(home))
    monkeypatch.delenv("PIPELINE_RUNS_FOLDER", raising=False)
    command = CliRunner()
    assert command.invoke(cli, ["verify"]).output == f"nothing in {home} is damaged\n"
    for path in (current(home, "model_leaderboard").with_suffix(".csv"), model_folder(home) / "model.safetensors"):
        path.write_bytes(path.read_bytes() + b" ")
    result = command.invoke(cli, ["verify"])
    assert len(result.output.splitlines()) == 2
    assert "leaderboard.csv is not what was written" in result.output
    assert "model.safetensors is not the file that the manifest names: train the model again" in result.output
    assert isinstance(result.exception, DamagedError)
    assert result.exception.values == {"home": str(home), "damaged": 2}
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "empty"))
    assert command.invoke(cli, ["verify"]).output == f"nothing is stored in {tmp_path / 'empty'} yet\n"
